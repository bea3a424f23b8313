#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "image/image.hpp"

namespace sam3trt {

struct Point {
  double x = 0.0;
  double y = 0.0;
};

/// A closed line around a part of a mask, or around a hole in it, in pixels of the image: a pixel's
/// upper left corner has its own coordinates.
using Contour = std::vector<Point>;

/// The part of a mask inside its bounding box: bytes of 0 or 1, row by row, with a frame of zeros
/// one pixel wide around them.
struct MaskShape {
  int64_t x0 = 0;  ///< Of the bounding box, without the frame.
  int64_t y0 = 0;
  int64_t width = 0;  ///< 0 when the mask is empty.
  int64_t height = 0;
  std::vector<uint8_t> rows;  ///< (height + 2) x (width + 2)

  [[nodiscard]] const uint8_t* row(int64_t y) const {
    return rows.data() + (y + 1) * (width + 2) + 1;
  }
};

/// The mask with these run lengths (image/rle.hpp) of an image of that size; throws
/// Error(kBadInput) when they do not fill it exactly.
[[nodiscard]] MaskShape make_mask_shape(std::span<const uint32_t> counts, int64_t image_width,
                                        int64_t image_height);

/// The outlines of the mask with steps smoothed away: they lie within a pixel of the mask's edge.
/// Parts that touch at a corner only are apart. Nothing when they would have more than
/// `max_points`.
[[nodiscard]] std::vector<Contour> trace_contours(const MaskShape& shape, size_t max_points);

}  // namespace sam3trt
