#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sam3trt {

struct RingPoint {
  int32_t x = 0;
  int32_t y = 0;

  [[nodiscard]] bool operator==(const RingPoint&) const = default;
};

/// The points of a polygon whose last one is joined to its first.
using Ring = std::vector<RingPoint>;

/// What the points of an outline are.
enum class OutlinePoints {
  /// Corners of pixels: pixel (x, y) covers x to x + 1. What COCO's polygons are; the area of the
  /// ring is the number of pixels.
  kPixelCorners,
  /// The outermost pixels themselves, as OpenCV's contours: its fillPoly, which draws the outline,
  /// too, gives the mask again. A pixel that stands alone has one point.
  kPixels,
};

/// The outlines of a mask of `height` * `width` pixels, given as run lengths (rle.hpp): one ring
/// for each part, whose pixels are joined by their sides. A part with holes has one ring all the
/// same: each hole is joined to what is left of it by a cut that runs there and back, so filling
/// each ring by the even-odd rule gives exactly the mask. By rows of the parts' first pixels;
/// points that lie on a straight run are left out. Throws Error(kBadInput) when the runs do not
/// fill the mask.
[[nodiscard]] std::vector<Ring> mask_outlines(std::span<const uint32_t> counts, int64_t height,
                                              int64_t width, OutlinePoints points);

}  // namespace sam3trt
