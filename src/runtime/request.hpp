#pragma once

#include <span>

#include "image/image.hpp"
#include "runtime/prompt.hpp"

namespace sam3trt {

/// A picture and what is looked for in it.
struct ImageRequest {
  const Image* image = nullptr;
  std::span<const Prompt> prompts;
};

/// What is kept; probabilities.
struct Thresholds {
  double score = 0.5;
  double mask = 0.5;
};

}  // namespace sam3trt
