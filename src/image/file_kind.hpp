#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace sam3trt {

enum class ImageFormat { kJpeg, kPng, kWebp, kGif, kTiff, kAvif, kHeic, kBmp, kOther };

/// What the first bytes are; names of files say nothing here.
[[nodiscard]] ImageFormat find_image_format(std::span<const std::byte> bytes);

/// The formats that are read, for messages.
inline constexpr const char* kReadableFormats = "JPEG, PNG, WebP, GIF, TIFF, AVIF, HEIC or BMP";

/// A sentence for a file that is not read: what it is, where that can be told, and the way out.
[[nodiscard]] std::string describe_other_file(std::span<const std::byte> bytes);

}  // namespace sam3trt
