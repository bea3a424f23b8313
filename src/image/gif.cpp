#include <gif_lib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "image/decoders.hpp"

namespace sam3trt {
namespace {

/// LZW codes of 12 bits stand for at most 4096 pixels, so that no file holds more than this.
constexpr int64_t kMaxPixelsPerByte = 4096;
constexpr int kGraphicsControl = 0xF9;

struct GifInput {
  std::span<const std::byte> bytes;
};

int take_bytes(GifFileType* gif, GifByteType* target, int size) {
  auto* input = static_cast<GifInput*>(gif->UserData);
  const size_t count = std::min(static_cast<size_t>(std::max(size, 0)), input->bytes.size());
  std::memcpy(target, input->bytes.data(), count);
  input->bytes = input->bytes.subspan(count);
  return static_cast<int>(count);
}

struct CloseGif {
  void operator()(GifFileType* gif) const { DGifCloseFile(gif, nullptr); }
};

class GifReader {
 public:
  GifReader(std::span<const std::byte> bytes, const std::string& name)
      : input_{bytes}, name_(name) {
    int error = 0;
    gif_.reset(DGifOpen(&input_, take_bytes, &error));
    if (gif_ == nullptr) fail(error);
  }

  /// Reads up to the first image's description; nothing is allocated for its pixels.
  void find_image() {
    while (true) {
      GifRecordType type = UNDEFINED_RECORD_TYPE;
      check(DGifGetRecordType(gif_.get(), &type));
      if (type == IMAGE_DESC_RECORD_TYPE) break;
      if (type == TERMINATE_RECORD_TYPE) throw_undecodable(name_, "GIF", "it has no image");
      if (type == EXTENSION_RECORD_TYPE) skip_extension();
    }
    check(DGifGetImageDesc(gif_.get()));
  }

  /// The canvas with the first image on it, as palette indices; the rest is the transparent colour.
  [[nodiscard]] std::vector<uint8_t> read_indices(int64_t width, int64_t height) {
    std::vector<uint8_t> canvas(static_cast<size_t>(width * height), transparent_.value_or(0));
    const GifImageDesc& frame = gif_->Image;
    std::vector<uint8_t> interlaced_rows;
    const auto read_row = [&](int y) {
      uint8_t* target = canvas.data() + (int64_t{frame.Top} + y) * width + frame.Left;
      check(DGifGetLine(gif_.get(), target, frame.Width));
    };
    if (frame.Interlace) {
      constexpr std::array<std::array<int, 2>, 4> kPasses = {{{0, 8}, {4, 8}, {2, 4}, {1, 2}}};
      for (const auto& [first, step] : kPasses) {
        for (int y = first; y < frame.Height; y += step) read_row(y);
      }
    } else {
      for (int y = 0; y < frame.Height; ++y) read_row(y);
    }
    return canvas;
  }

  /// The image's colours, else the file's, else greys; indices beyond them are black.
  [[nodiscard]] std::array<std::array<uint8_t, 3>, 256> colors() const {
    std::array<std::array<uint8_t, 3>, 256> colors{};
    const ColorMapObject* map =
        gif_->Image.ColorMap != nullptr ? gif_->Image.ColorMap : gif_->SColorMap;
    bool is_grey_ramp = true;
    const int count = map == nullptr ? 0 : std::clamp(map->ColorCount, 0, 256);
    for (int i = 0; i < count; ++i) {
      const GifColorType& color = map->Colors[i];
      colors[static_cast<size_t>(i)] = {color.Red, color.Green, color.Blue};
      is_grey_ramp = is_grey_ramp && color.Red == i && color.Green == i && color.Blue == i;
    }
    if (!is_grey_ramp) return colors;
    for (size_t i = 0; i < colors.size(); ++i) colors[i].fill(static_cast<uint8_t>(i));
    return colors;
  }

  /// Pillow's canvas grows to hold the first image.
  [[nodiscard]] int64_t width() const {
    return std::max<int64_t>(gif_->SWidth, int64_t{gif_->Image.Left} + gif_->Image.Width);
  }
  [[nodiscard]] int64_t height() const {
    return std::max<int64_t>(gif_->SHeight, int64_t{gif_->Image.Top} + gif_->Image.Height);
  }
  [[nodiscard]] int64_t image_pixels() const {
    return int64_t{gif_->Image.Width} * gif_->Image.Height;
  }

 private:
  void skip_extension() {
    int code = 0;
    GifByteType* block = nullptr;
    check(DGifGetExtension(gif_.get(), &code, &block));
    while (block != nullptr) {
      if (code == kGraphicsControl && block[0] >= 4 && (block[1] & 1) != 0) transparent_ = block[4];
      check(DGifGetExtensionNext(gif_.get(), &block));
    }
  }

  void check(int status) const {
    if (status == GIF_ERROR) fail(gif_->Error);
  }

  [[noreturn]] void fail(int error) const {
    const char* reason = GifErrorString(error);
    throw_undecodable(name_, "GIF",
                      error == D_GIF_ERR_READ_FAILED ? "the file ends too early"
                      : reason == nullptr            ? "damaged data"
                                                     : reason);
  }

  GifInput input_;
  const std::string& name_;
  std::unique_ptr<GifFileType, CloseGif> gif_;
  std::optional<uint8_t> transparent_;
};

}  // namespace

Image decode_gif(std::span<const std::byte> bytes, const std::string& name, int64_t max_pixels) {
  GifReader reader(bytes, name);
  reader.find_image();
  const int64_t plausible = static_cast<int64_t>(bytes.size()) * kMaxPixelsPerByte;
  if (reader.image_pixels() > plausible) {
    throw_undecodable(name, "GIF", "the file is far too short for its first image");
  }
  Image image = make_image(reader.width(), reader.height(), name, "GIF", max_pixels, max_pixels);
  const auto indices = reader.read_indices(image.width, image.height);
  const auto colors = reader.colors();
  uint8_t* target = image.rgb.data();
  for (const uint8_t index : indices) target = std::copy_n(colors[index].data(), 3, target);
  return image;
}

}  // namespace sam3trt
