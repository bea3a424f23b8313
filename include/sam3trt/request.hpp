#pragma once

#include <span>

#include "sam3trt/image_view.hpp"
#include "sam3trt/prompt.hpp"
#include "sam3trt/result.hpp"

namespace sam3trt {

/// An image and what is looked for in it.
struct ImageRequest {
  ImageView image;
  std::span<const Prompt> prompts;
};

/// What a call gives.
struct DetectOptions {
  Thresholds thresholds;
  MaskOutput masks = MaskOutput::kRunLengths;  ///< Bits only on a GPU.
};

}  // namespace sam3trt
