#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "image/image.hpp"

namespace sam3trt {

/// Decodes like decode_image with another limit on the number of pixels.
[[nodiscard]] Image decode_image(std::span<const std::byte> bytes, const std::string& name,
                                 int64_t max_pixels);

/// One decoder per format. `name` appears in messages; images of more than `max_pixels` are
/// refused before memory is taken for them. Each throws Error(kBadInput) for anything it cannot
/// decode completely. Orientation marks are applied.
[[nodiscard]] Image decode_jpeg(std::span<const std::byte> bytes, const std::string& name,
                                int64_t max_pixels);
[[nodiscard]] Image decode_png(std::span<const std::byte> bytes, const std::string& name,
                               int64_t max_pixels);
[[nodiscard]] Image decode_webp(std::span<const std::byte> bytes, const std::string& name,
                                int64_t max_pixels);
/// The first frame of an animation, on its canvas.
[[nodiscard]] Image decode_gif(std::span<const std::byte> bytes, const std::string& name,
                               int64_t max_pixels);
/// The first directory.
[[nodiscard]] Image decode_tiff(std::span<const std::byte> bytes, const std::string& name,
                                int64_t max_pixels);
[[nodiscard]] Image decode_avif(std::span<const std::byte> bytes, const std::string& name,
                                int64_t max_pixels);
/// Pixels as libheif gives them; Pillow has no reader of its own to compare with.
[[nodiscard]] Image decode_heic(std::span<const std::byte> bytes, const std::string& name,
                                int64_t max_pixels);
[[nodiscard]] Image decode_bmp(std::span<const std::byte> data, const std::string& name,
                               int64_t max_pixels);

/// A black image; throws Error(kBadInput) when a side is not positive or above kMaxImageSide, when
/// there are more than `max_pixels`, or more than `plausible_pixels`, the most that a file of this
/// length can hold.
[[nodiscard]] Image make_image(int64_t width, int64_t height, const std::string& name,
                               const char* format, int64_t max_pixels, int64_t plausible_pixels);

/// Throws Error(kBadInput): "<name>: is not a readable <format> file: <reason>".
[[noreturn]] void throw_undecodable(const std::string& name, const char* format,
                                    const std::string& reason);

}  // namespace sam3trt
