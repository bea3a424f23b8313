#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "sam3trt/export.hpp"
#include "sam3trt/image_view.hpp"

namespace sam3trt {

/// An 8-bit RGB image: height x width x 3, row-major, interleaved.
struct Image {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> rgb;

  [[nodiscard]] size_t offset(int64_t x, int64_t y) const {
    return static_cast<size_t>(y * width + x) * 3;
  }
};

/// The image as a view, for the library's calls; it must outlive them.
[[nodiscard]] SAM3TRT_API ImageView view_of(const Image& image);

/// Reads and decodes a file, turned as its EXIF orientation says. Throws Error(kBadInput) for
/// anything damaged, truncated, too large or of a format that is not supported.
[[nodiscard]] SAM3TRT_API Image read_image(const std::filesystem::path& path);

}  // namespace sam3trt
