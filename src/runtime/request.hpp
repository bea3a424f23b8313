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

/// Throws Error(kBadInput) unless the image is there, has at least one pixel and at most
/// kMaxImagePixels, and holds three bytes for each.
void check_image(const Image* image);

/// Throws Error(kBadInput) when a threshold is not a number.
void check_thresholds(const Thresholds& thresholds);

/// All that can be said without the model's sizes: the image, and of each prompt what check_prompt
/// and check_boxes say.
void check_request(const ImageRequest& request, const Tokenizer& tokenizer,
                   const ModelConfig& config, Semantics semantics);

}  // namespace sam3trt
