#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "image/image.hpp"

namespace sam3trt {

/// The extensions that encode_image knows, for messages.
inline constexpr const char* kWritableExtensions = ".png, .jpg, .jpeg or .webp";

/// True for these, with their dot, in upper or lower case.
[[nodiscard]] bool is_writable_extension(std::string_view extension);

/// The bytes of an image file: PNG (lossless, packed fast rather than small), JPEG (quality 90,
/// full colour resolution) or WebP (lossy, quality 85), by the extension. The same image gives the
/// same bytes. Throws Error(kBadInput) for another extension, and for a size that the format cannot
/// hold.
[[nodiscard]] std::vector<std::byte> encode_image(std::string_view extension, const Image& image);

[[nodiscard]] std::vector<std::byte> encode_jpeg(const Image& image);
[[nodiscard]] std::vector<std::byte> encode_webp(const Image& image);

}  // namespace sam3trt
