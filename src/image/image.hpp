#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sam3trt/image.hpp"

namespace sam3trt {

/// Decodes JPEG (greyscale, RGB, YCbCr, YCCK, CMYK; baseline and progressive), PNG (all kinds,
/// interlaced too; without its end when all pixels are there), WebP, GIF (the first frame of
/// animations), TIFF (1 to 16 bits, grey, RGB, palette, CMYK, YCbCr, with alpha, strips and tiles),
/// AVIF and BMP (1 to 32 bits a pixel, run-length coded too) to the pixels that Pillow's
/// `ImageOps.exif_transpose` and `convert("RGB")` give: alpha and colour profiles are dropped,
/// 16-bit grey is clipped at 255, and the image is turned as EXIF, or without it XMP, says. HEIC is
/// decoded as libheif does. The first bytes say which format it is. `name` appears in messages.
/// Throws Error(kBadInput) for anything damaged, truncated, too large or of another kind, which is
/// named where it is known.
[[nodiscard]] Image decode_image(std::span<const std::byte> bytes, const std::string& name);

/// Throws Error(kBadInput) when a side is not positive or above kMaxImageSide, or when there are
/// more than `max_pixels`. `name` begins the message.
void check_image_size(int64_t width, int64_t height, const std::string& name,
                      int64_t max_pixels = kMaxImagePixels);

/// PNG file bytes, 8-bit RGB; deterministic.
[[nodiscard]] std::vector<std::byte> encode_png(const Image& image);

}  // namespace sam3trt
