#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "image/image.hpp"

namespace sam3trt {

/// The orientation (1 to 8) that an EXIF block names; 1 when its value is not one of these, nothing
/// when the block has none or is damaged before it. `block` is a TIFF file, with JPEG's prefix
/// "Exif\0\0" up to twice before it.
[[nodiscard]] std::optional<int> exif_orientation(std::span<const std::byte> block);

/// The first `tiff:Orientation` of an XMP packet, as an attribute or an element; nothing when there
/// is none, 1 when its digit is not one of 1 to 8.
[[nodiscard]] std::optional<int> xmp_orientation(std::string_view packet);

/// Where a file says how it is to be turned; EXIF wins, as in Pillow's `Image.getexif`.
struct OrientationMarks {
  std::optional<int> exif{};
  std::optional<int> xmp{};

  [[nodiscard]] int value() const { return exif ? *exif : xmp.value_or(1); }
};

/// Turns the image upright, as Pillow's `ImageOps.exif_transpose` does.
[[nodiscard]] Image apply_orientation(Image image, int orientation);

}  // namespace sam3trt
