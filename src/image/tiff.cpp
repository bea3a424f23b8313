#include <tiffio.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "base/checked.hpp"
#include "image/decoders.hpp"
#include "image/ink.hpp"
#include "image/orientation.hpp"

namespace sam3trt {
namespace {

/// Strips and tiles may be larger than the image, up to this.
constexpr uint64_t kSmallBlock = uint64_t{64} << 20;
constexpr uint16_t kMaxSamples = 6;  // as Pillow's TiffImagePlugin

/// What libtiff reads from; its messages are kept for the error.
struct TiffInput {
  std::span<const std::byte> bytes;
  uint64_t at = 0;
  std::string message{};
  bool has_lost_palette = false;
};

TiffInput& input_of(thandle_t handle) { return *static_cast<TiffInput*>(handle); }

tmsize_t take_bytes(thandle_t handle, void* target, tmsize_t size) {
  TiffInput& input = input_of(handle);
  if (size <= 0 || input.at >= input.bytes.size()) return 0;
  const size_t count = std::min<size_t>(static_cast<size_t>(size), input.bytes.size() - input.at);
  std::memcpy(target, input.bytes.data() + input.at, count);
  input.at += count;
  return static_cast<tmsize_t>(count);
}

tmsize_t refuse_bytes(thandle_t, void*, tmsize_t) { return 0; }

toff_t seek_to(thandle_t handle, toff_t offset, int whence) {
  TiffInput& input = input_of(handle);
  if (whence == SEEK_CUR) offset += input.at;
  if (whence == SEEK_END) offset += input.bytes.size();
  return input.at = offset;
}

int ignore_close(thandle_t) { return 0; }
toff_t size_of(thandle_t handle) { return input_of(handle).bytes.size(); }

/// The first message is the cause. Returning 1 keeps libtiff from printing it.
int keep_error(TIFF*, void* user, const char*, const char* format, va_list arguments) {
  auto* input = static_cast<TiffInput*>(user);
  if (!input->message.empty()) return 1;
  char text[256] = {};
  static_cast<void>(std::vsnprintf(text, sizeof text, format, arguments));
  input->message = text;
  return 1;
}

/// libtiff warns of a damaged palette, and takes the image for a grey one.
int find_lost_palette(TIFF*, void* user, const char*, const char* format, va_list arguments) {
  char text[256] = {};
  static_cast<void>(std::vsnprintf(text, sizeof text, format, arguments));
  if (std::string_view(text).find("ColorMap") != std::string_view::npos) {
    static_cast<TiffInput*>(user)->has_lost_palette = true;
  }
  return 1;
}

struct CloseTiff {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
};
using TiffFile = std::unique_ptr<TIFF, CloseTiff>;

TiffFile open_tiff(TiffInput& input, int64_t max_pixels) {
  const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(TIFFOpenOptionsAlloc(),
                                                                             TIFFOpenOptionsFree);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), keep_error, &input);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), find_lost_palette, &input);
  TIFFOpenOptionsSetMaxSingleMemAlloc(
      options.get(), static_cast<tmsize_t>(max_pixels * kMaxSamples * 2 + int64_t{kSmallBlock}));
  // "m": read, do not map.
  return TiffFile(TIFFClientOpenExt("TIFF", "rm", &input, take_bytes, refuse_bytes, seek_to,
                                    ignore_close, size_of, nullptr, nullptr, options.get()));
}

/// How samples become RGB.
enum class Colors { kGrey, kGreyInverted, kRgb, kPalette, kCmyk, kYcbcr };

struct Layout {
  uint32_t width = 0;
  uint32_t height = 0;
  uint16_t bits = 1;
  uint16_t samples = 1;
  uint16_t format = SAMPLEFORMAT_UINT;
  uint16_t photometric = PHOTOMETRIC_MINISWHITE;
  uint16_t compression = COMPRESSION_NONE;
  bool is_separate = false;       ///< One plane per sample.
  bool is_premultiplied = false;  ///< The sample behind the colours is an alpha they contain.
  Colors colors = Colors::kGrey;
  std::array<const uint16_t*, 3> palette{};

  [[nodiscard]] uint16_t color_samples() const {
    if (colors == Colors::kRgb || colors == Colors::kYcbcr) return 3;
    return colors == Colors::kCmyk ? 4 : 1;
  }
};

class TiffReader {
 public:
  TiffReader(std::span<const std::byte> bytes, const std::string& name, int64_t max_pixels)
      : input_{bytes}, name_(name), file_(open_tiff(input_, max_pixels)) {
    if (file_ == nullptr) fail();
    read_layout();
    image_ = make_image(layout_.width, layout_.height, name, "TIFF", max_pixels, max_pixels);
  }

  [[nodiscard]] Image read() {
    if (layout_.colors == Colors::kYcbcr && layout_.compression == COMPRESSION_JPEG &&
        !layout_.is_separate) {
      TIFFSetField(tiff(), TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
      layout_.colors = Colors::kRgb;
    }
    find_blocks();
    std::vector<std::vector<uint8_t>> planes(layout_.is_separate ? layout_.color_samples() : 1U);
    for (uint32_t y = 0; y < layout_.height; y += block_height_) {
      for (uint32_t x = 0; x < layout_.width; x += block_width_) {
        if (layout_.colors == Colors::kYcbcr) {
          read_ycbcr_block(x, y);
          continue;
        }
        for (size_t plane = 0; plane < planes.size(); ++plane) {
          read_block(x, y, static_cast<uint16_t>(plane), planes[plane]);
        }
        convert_block(x, y, planes);
      }
    }
    return apply_orientation(std::move(image_), marks().value());
  }

 private:
  [[nodiscard]] TIFF* tiff() const { return file_.get(); }

  [[noreturn]] void fail() const {
    throw_undecodable(name_, "TIFF", input_.message.empty() ? "damaged data" : input_.message);
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw_undecodable(name_, "TIFF", what + " is not supported; save it as 8-bit RGB or grey");
  }

  void read_layout() {
    Layout& layout = layout_;
    uint16_t planar = PLANARCONFIG_CONTIG;
    if (TIFFGetField(tiff(), TIFFTAG_IMAGEWIDTH, &layout.width) == 0 ||
        TIFFGetField(tiff(), TIFFTAG_IMAGELENGTH, &layout.height) == 0) {
      throw_undecodable(name_, "TIFF", "it does not say its size");
    }
    TIFFGetField(tiff(), TIFFTAG_PHOTOMETRIC, &layout.photometric);
    TIFFGetFieldDefaulted(tiff(), TIFFTAG_BITSPERSAMPLE, &layout.bits);
    TIFFGetFieldDefaulted(tiff(), TIFFTAG_SAMPLESPERPIXEL, &layout.samples);
    TIFFGetFieldDefaulted(tiff(), TIFFTAG_SAMPLEFORMAT, &layout.format);
    TIFFGetFieldDefaulted(tiff(), TIFFTAG_COMPRESSION, &layout.compression);
    TIFFGetFieldDefaulted(tiff(), TIFFTAG_PLANARCONFIG, &planar);
    layout.is_separate = planar == PLANARCONFIG_SEPARATE && layout.samples > 1;
    if (TIFFIsCODECConfigured(layout.compression) == 0) {
      refuse("compression " + std::to_string(layout.compression));
    }
    read_colors();
    if (input_.has_lost_palette)
      throw_undecodable(name_, "TIFF", "its palette is missing or cut off");
    uint16_t extra_count = 0;
    const uint16_t* extra = nullptr;
    if (TIFFGetField(tiff(), TIFFTAG_EXTRASAMPLES, &extra_count, &extra) != 0 && extra_count > 0) {
      layout.is_premultiplied = extra[0] == EXTRASAMPLE_ASSOCALPHA && !layout.is_separate &&
                                layout.samples > layout.color_samples();
    }
    check_samples();
  }

  void read_colors() {
    Layout& layout = layout_;
    uint16_t* map[3] = {};
    switch (layout.photometric) {
      case PHOTOMETRIC_MINISWHITE:
        layout.colors = Colors::kGreyInverted;
        break;
      case PHOTOMETRIC_MINISBLACK:
        layout.colors = Colors::kGrey;
        break;
      case PHOTOMETRIC_RGB:
        layout.colors = Colors::kRgb;
        break;
      case PHOTOMETRIC_PALETTE:
        layout.colors = Colors::kPalette;
        if (TIFFGetField(tiff(), TIFFTAG_COLORMAP, map, map + 1, map + 2) == 0) {
          input_.has_lost_palette = true;
          break;
        }
        std::copy_n(map, 3, layout.palette.begin());
        break;
      case PHOTOMETRIC_SEPARATED:
        layout.colors = Colors::kCmyk;
        break;
      case PHOTOMETRIC_YCBCR:
        layout.colors = Colors::kYcbcr;
        break;
      default:
        refuse("colour space " + std::to_string(layout.photometric));
    }
  }

  void check_samples() const {
    const std::string bits = std::to_string(layout_.bits) + " bits per sample";
    if (layout_.format == SAMPLEFORMAT_IEEEFP) refuse("floating point");
    const bool is_grey = layout_.color_samples() == 1 && layout_.colors != Colors::kPalette;
    const bool is_signed_grey = layout_.format == SAMPLEFORMAT_INT && is_grey && layout_.bits == 8;
    if (layout_.format != SAMPLEFORMAT_UINT && !is_signed_grey) refuse("signed " + bits);
    if (layout_.samples < layout_.color_samples() || layout_.samples > kMaxSamples) {
      refuse(std::to_string(layout_.samples) + " samples per pixel");
    }
    const bool is_small = layout_.bits == 1 || layout_.bits == 2 || layout_.bits == 4;
    const bool fits = layout_.bits == 8 ||
                      (is_small && layout_.color_samples() == 1 && layout_.samples == 1) ||
                      (layout_.bits == 16 && layout_.colors != Colors::kPalette &&
                       layout_.colors != Colors::kYcbcr && (!is_grey || layout_.samples == 1));
    if (!fits) refuse(bits);
  }

  /// Sizes of strips or tiles, checked before memory is taken for one.
  void find_blocks() {
    is_tiled_ = TIFFIsTiled(tiff()) != 0;
    block_width_ = layout_.width;
    if (is_tiled_) {
      TIFFGetField(tiff(), TIFFTAG_TILEWIDTH, &block_width_);
      TIFFGetField(tiff(), TIFFTAG_TILELENGTH, &block_height_);
    } else {
      TIFFGetFieldDefaulted(tiff(), TIFFTAG_ROWSPERSTRIP, &block_height_);
      block_height_ = std::min(block_height_, layout_.height);
    }
    if (block_width_ == 0 || block_height_ == 0) {
      throw_undecodable(name_, "TIFF", "its strips or tiles are empty");
    }
    const uint64_t sample_bytes = layout_.bits > 8 ? 2 : 1;
    const uint64_t whole =
        uint64_t{layout_.width} * layout_.height * layout_.samples * sample_bytes;
    const auto pixels = checked_mul(block_width_, block_height_);
    const auto bytes = pixels ? checked_mul(*pixels, layout_.samples * sample_bytes) : std::nullopt;
    if (!bytes || *bytes > std::max(whole, kSmallBlock)) {
      throw_undecodable(name_, "TIFF",
                        "a block of " + std::to_string(block_width_) + "x" +
                            std::to_string(block_height_) + " pixels is far larger than the image");
    }
    if (layout_.colors == Colors::kYcbcr) return;
    row_bytes_ = is_tiled_ ? TIFFTileRowSize64(tiff()) : TIFFScanlineSize64(tiff());
    const uint64_t row_samples = layout_.is_separate ? 1 : layout_.samples;
    if (row_bytes_ < (block_width_ * row_samples * layout_.bits + 7) / 8 ||
        row_bytes_ * block_height_ > *bytes + block_height_) {
      throw_undecodable(name_, "TIFF", "its rows have an impossible size");
    }
  }

  [[nodiscard]] uint32_t rows_at(uint32_t y) const {
    return std::min(block_height_, layout_.height - y);
  }

  void read_block(uint32_t x, uint32_t y, uint16_t plane, std::vector<uint8_t>& target) {
    target.resize(row_bytes_ * block_height_);
    const auto size = static_cast<tmsize_t>(row_bytes_ * (is_tiled_ ? block_height_ : rows_at(y)));
    const tmsize_t found =
        is_tiled_
            ? TIFFReadEncodedTile(tiff(), TIFFComputeTile(tiff(), x, y, 0, plane), target.data(),
                                  size)
            : TIFFReadEncodedStrip(tiff(), TIFFComputeStrip(tiff(), y, plane), target.data(), size);
    if (found != size) fail();
  }

  /// One row's samples of one plane as bytes: small ones as they are, wide grey clipped at 255 as
  /// Pillow does, other wide ones their high byte.
  void unpack_row(const uint8_t* from, size_t count, uint8_t* to, size_t step) const {
    const bool is_wide_grey = layout_.samples == 1;
    for (size_t i = 0; i < count; ++i, to += step) {
      if (layout_.bits == 8) {
        *to = from[i];
      } else if (layout_.bits == 16) {
        uint16_t value = 0;
        std::memcpy(&value, from + 2 * i, 2);
        *to = static_cast<uint8_t>(is_wide_grey ? std::min<int>(value, 255) : value >> 8);
      } else {
        const size_t bit = i * layout_.bits;
        *to = static_cast<uint8_t>((from[bit / 8] >> (8 - layout_.bits - bit % 8)) &
                                   ((1 << layout_.bits) - 1));
      }
    }
  }

  void convert_block(uint32_t x, uint32_t y, const std::vector<std::vector<uint8_t>>& planes) {
    const size_t columns = std::min(block_width_, layout_.width - x);
    const size_t samples = layout_.is_separate ? planes.size() : layout_.samples;
    std::vector<uint8_t> row(columns * samples);
    for (uint32_t line = 0; line < rows_at(y); ++line) {
      for (size_t plane = 0; plane < planes.size(); ++plane) {
        const size_t count = layout_.is_separate ? columns : row.size();
        unpack_row(planes[plane].data() + line * row_bytes_, count, row.data() + plane,
                   planes.size());
      }
      uint8_t* to = image_.rgb.data() + image_.offset(x, int64_t{y} + line);
      for (size_t i = 0; i < columns; ++i, to += 3) to_rgb(row.data() + i * samples, to);
    }
  }

  void to_rgb(const uint8_t* from, uint8_t* to) const {
    switch (layout_.colors) {
      case Colors::kGrey:
      case Colors::kGreyInverted: {
        int value = from[0];
        if (layout_.bits < 8) value = value * 255 / ((1 << layout_.bits) - 1);
        // Pillow does not invert wide grey.
        if (layout_.colors == Colors::kGreyInverted && layout_.bits <= 8) value = 255 - value;
        std::fill_n(to, 3, static_cast<uint8_t>(value));
        break;
      }
      case Colors::kPalette:
        for (size_t c = 0; c < 3; ++c)
          to[c] = static_cast<uint8_t>(layout_.palette[c][from[0]] >> 8);
        return;
      case Colors::kCmyk:
        for (size_t c = 0; c < 3; ++c) to[c] = ink_to_light(from[c], 255 - from[3]);
        return;
      case Colors::kRgb:
      case Colors::kYcbcr:
        std::copy_n(from, 3, to);
        break;
    }
    if (!layout_.is_premultiplied) return;
    // As Pillow unpacks "RGBa".
    const int alpha = from[layout_.color_samples()];
    for (size_t c = 0; c < 3; ++c) {
      to[c] = static_cast<uint8_t>(alpha == 0 ? 0 : std::min(255 * to[c] / alpha, 255));
    }
  }

  /// libtiff's own conversion, which knows subsampling and old JPEG; rows come from the bottom up.
  void read_ycbcr_block(uint32_t x, uint32_t y) {
    raster_.resize(size_t{block_width_} * block_height_);
    const int done = is_tiled_ ? TIFFReadRGBATileExt(tiff(), x, y, raster_.data(), 1)
                               : TIFFReadRGBAStripExt(tiff(), y, raster_.data(), 1);
    if (done == 0) fail();
    const uint32_t rows = rows_at(y);
    const uint32_t columns = std::min(block_width_, layout_.width - x);
    const uint32_t last = (is_tiled_ ? block_height_ : rows) - 1;
    for (uint32_t line = 0; line < rows; ++line) {
      const uint32_t* from = raster_.data() + size_t{last - line} * block_width_;
      uint8_t* to = image_.rgb.data() + image_.offset(x, int64_t{y} + line);
      for (uint32_t i = 0; i < columns; ++i, to += 3) {
        to[0] = static_cast<uint8_t>(TIFFGetR(from[i]));
        to[1] = static_cast<uint8_t>(TIFFGetG(from[i]));
        to[2] = static_cast<uint8_t>(TIFFGetB(from[i]));
      }
    }
  }

  [[nodiscard]] OrientationMarks marks() const {
    OrientationMarks marks;
    uint16_t orientation = 1;
    if (TIFFGetField(tiff(), TIFFTAG_ORIENTATION, &orientation) != 0) marks.exif = orientation;
    uint32_t size = 0;
    const char* packet = nullptr;
    if (TIFFGetField(tiff(), TIFFTAG_XMLPACKET, &size, &packet) != 0 && packet != nullptr) {
      marks.xmp = xmp_orientation({packet, size});
    }
    return marks;
  }

  TiffInput input_;
  const std::string& name_;
  TiffFile file_;
  Layout layout_;
  Image image_;
  bool is_tiled_ = false;
  uint32_t block_width_ = 0;
  uint32_t block_height_ = 0;
  uint64_t row_bytes_ = 0;
  std::vector<uint32_t> raster_;
};

}  // namespace

Image decode_tiff(std::span<const std::byte> bytes, const std::string& name, int64_t max_pixels) {
  return TiffReader(bytes, name, max_pixels).read();
}

}  // namespace sam3trt
