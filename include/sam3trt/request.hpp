#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "sam3trt/image_view.hpp"
#include "sam3trt/object_prompt.hpp"
#include "sam3trt/prompt.hpp"
#include "sam3trt/result.hpp"

namespace sam3trt {

/// Masks of everything: a grid of clicks whose masks are filtered and merged as Segment Anything's
/// automatic mask generator does, without crops.
struct EverythingOptions {
  int64_t points_per_side = 32;       ///< Up to 256.
  double score_threshold = 0.88;      ///< Masks with a higher predicted IoU are kept,
  double stability_threshold = 0.95;  ///< and of these, the ones that are at least so stable.
  double nms_threshold = 0.7;  ///< IoU of boxes above which the mask with the lower score goes.
};

/// An image and what is looked for in it.
struct ImageRequest {
  ImageView image;
  std::span<const Prompt> prompts;
  std::span<const ObjectPrompt> objects{};  ///< Results are ImageResult::objects.
  bool multimask = false;                   ///< InteractOptions::multimask for the objects.
  /// Masks of everything, behind those of `objects`, by falling score.
  std::optional<EverythingOptions> everything{};
};

/// How objects that are pointed at are segmented.
struct InteractOptions {
  /// Several masks for each prompt, which a single click often needs: the result is the one with
  /// the highest predicted IoU, all are its candidates. Else one mask.
  bool multimask = false;
  bool logits = false;            ///< Give ObjectResult::logits.
  bool candidate_logits = false;  ///< Give MaskCandidate::logits.
};

/// What a call gives.
struct DetectOptions {
  Thresholds thresholds;
  MaskOutput masks = MaskOutput::kRunLengths;  ///< Bits only on a GPU.
};

}  // namespace sam3trt
