#pragma once

#include <cstddef>
#include <span>

#include "image/image.hpp"

namespace sam3trt {

/// The orientation (1 to 8) that an EXIF block names; 1 when there is none or it is damaged.
/// `tiff` starts at the byte order mark "II" or "MM".
[[nodiscard]] int exif_orientation(std::span<const std::byte> tiff);

/// Turns the picture upright, as Pillow's `ImageOps.exif_transpose` does.
[[nodiscard]] Image apply_orientation(Image image, int orientation);

}  // namespace sam3trt
