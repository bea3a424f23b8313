#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/semantics.hpp"
#include "cuda/kernels/mask.hpp"

namespace sam3trt {

/// A mask to be made: which plane of the logits, and the size of its picture in pixels.
struct MaskRequest {
  uint64_t plane = 0;
  int64_t height = 0;
  int64_t width = 0;
};

/// Where the scratch of each mask lies, and how much all of them need.
struct MaskPlan {
  std::vector<MaskTask> tasks;
  uint64_t bit_words = 0;  ///< uint32 words of MaskArgs::bits
  uint64_t columns = 0;    ///< uint32 words of MaskArgs::changes, lasts and areas each
};

/// Throws Error(kInternal) for sizes below 1 or masks above kMaxImageSide or kMaxImagePixels.
[[nodiscard]] MaskPlan plan_masks(std::span<const MaskRequest> requests, int64_t side);

/// The smallest resized value that is inside: that of binary_mask's rule, probability > threshold.
/// Hugging Face resizes probabilities, so it is the next float; Meta resizes logits, so it is the
/// smallest logit whose sigmoid is greater (sigmoid never falls in single precision: measured over
/// all floats in -104..104, and it is constant outside). NaN, which no value reaches, when nothing
/// is inside.
[[nodiscard]] float mask_cut(Semantics semantics, float threshold);

}  // namespace sam3trt
