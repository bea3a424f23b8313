#pragma once

#include <span>

#include "sam3trt/image_view.hpp"
#include "sam3trt/object_prompt.hpp"
#include "sam3trt/prompt.hpp"
#include "sam3trt/result.hpp"

namespace sam3trt {

/// An image and what is looked for in it.
struct ImageRequest {
  ImageView image;
  std::span<const Prompt> prompts;
  std::span<const ObjectPrompt> objects{};  ///< Results are ImageResult::objects.
  bool multimask = false;                   ///< InteractOptions::multimask for the objects.
};

/// How objects that are pointed at are segmented.
struct InteractOptions {
  /// Several masks for each prompt, which a single click often needs: the result is the one with
  /// the highest predicted IoU, all are its candidates. Else one mask.
  bool multimask = false;
  bool logits = false;  ///< Give ObjectResult::logits.
};

/// What a call gives.
struct DetectOptions {
  Thresholds thresholds;
  MaskOutput masks = MaskOutput::kRunLengths;  ///< Bits only on a GPU.
};

}  // namespace sam3trt
