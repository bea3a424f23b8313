#include "image/palette_png.hpp"

#include <png.h>

#include <array>
#include <string>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr size_t kColours = 256;

/// The bits of an index spread over the channels, from their highest bits down (VOC devkit,
/// VOClabelcolormap).
std::array<uint8_t, kColours * 3> make_palette() {
  std::array<uint8_t, kColours * 3> palette{};
  for (size_t i = 0; i < kColours; ++i) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      const unsigned target = 7 - bit / 3;
      palette[3 * i + bit % 3] |= static_cast<uint8_t>((i >> bit & 1U) << target);
    }
  }
  return palette;
}

}  // namespace

std::vector<std::byte> encode_palette_png(std::span<const uint8_t> indices, int64_t width,
                                          int64_t height) {
  if (width < 1 || height < 1 || indices.size() != static_cast<size_t>(width * height)) {
    throw Error(ErrorCode::kInternal, "encode_palette_png: the buffer has a wrong size");
  }
  static const std::array<uint8_t, kColours* 3> kPalette = make_palette();
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB_COLORMAP;
  image.colormap_entries = kColours;
  // Room for what does not shrink; an image of labels is far smaller.
  std::vector<std::byte> bytes(PNG_IMAGE_PNG_SIZE_MAX(image));
  png_alloc_size_t size = bytes.size();
  if (png_image_write_to_memory(&image, bytes.data(), &size, 0, indices.data(), 0,
                                kPalette.data()) == 0) {
    throw Error(ErrorCode::kInternal,
                std::string("a palette PNG cannot be written: ") + image.message);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace sam3trt
