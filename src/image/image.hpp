#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "sam3trt/export.hpp"

namespace sam3trt {

/// An 8-bit RGB picture: height x width x 3, row-major, interleaved.
struct Image {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> rgb;

  [[nodiscard]] size_t offset(int64_t x, int64_t y) const {
    return static_cast<size_t>(y * width + x) * 3;
  }
};

/// Largest accepted picture, in pixels; larger ones are refused with a reason.
inline constexpr int64_t kMaxImagePixels = int64_t{1} << 28;

/// Decodes JPEG (greyscale, RGB, YCbCr, YCCK, CMYK; baseline and progressive), PNG (all kinds,
/// interlaced too), WebP (lossy and lossless) and BMP (1 to 32 bits a pixel) to the pixels that
/// Pillow's `convert("RGB")` gives: alpha and colour profiles are dropped, and the EXIF orientation
/// of JPEG, PNG and WebP is applied as `ImageOps.exif_transpose` does (one in XMP is not read). On
/// purpose different: 16-bit grey PNG keeps the high byte, where Pillow clips at 255. Refused:
/// animated WebP, run-length coded BMP. `name` appears in messages. Throws Error(kBadInput) for
/// anything damaged, truncated, too large or of another format.
[[nodiscard]] Image decode_image(std::span<const std::byte> bytes, const std::string& name);

/// Reads and decodes a file.
[[nodiscard]] SAM3TRT_API Image read_image(const std::filesystem::path& path);

/// PNG file bytes, 8-bit RGB; deterministic.
[[nodiscard]] std::vector<std::byte> encode_png(const Image& image);

}  // namespace sam3trt
