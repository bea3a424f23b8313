#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sam3trt {

/// A mask that competes for pixels with others.
struct MaskLayer {
  std::span<const uint32_t> counts;  ///< Run lengths (image/rle.hpp).
  double score = 0;
};

/// Which of the masks each pixel belongs to, height x width, row-major: 0 is none, i + 1 the i-th
/// mask. Where masks overlap, the one with the highest score has the pixel, of equal ones the
/// first. Throws Error(kBadInput) for run lengths that do not fill the image.
[[nodiscard]] std::vector<uint16_t> label_map(std::span<const MaskLayer> masks, int64_t width,
                                              int64_t height);

}  // namespace sam3trt
