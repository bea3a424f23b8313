#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/semantics.hpp"
#include "base/sigmoid.hpp"

namespace sam3trt {

/// What one prompt got from the detector: Q logits, one presence logit, Q boxes x0 y0 x1 y1 in
/// 0..1.
struct PromptLogits {
  std::span<const float> logits;
  float presence = 0;
  std::span<const float> boxes;
};

/// A query that is kept.
struct Detection {
  int64_t query = 0;
  float score = 0;             ///< sigmoid(logit) * sigmoid(presence)
  std::array<float, 4> box{};  ///< Pixels of the original image, not clipped.
};

/// Queries with score > threshold by falling score, equal scores by rising query, as Hugging Face's
/// Sam3ImageProcessor and Meta's Sam3Processor keep them (both leave them unsorted). Boxes are
/// scaled to an image of width x height pixels.
[[nodiscard]] std::vector<Detection> select_detections(const PromptLogits& prompt, float threshold,
                                                       int64_t width, int64_t height);

/// A square of side x side mask logits as height x width bytes (1 inside), by bilinear resize
/// without antialias. Hugging Face resizes probabilities, Meta logits; either keeps probability >
/// threshold.
[[nodiscard]] std::vector<uint8_t> binary_mask(std::span<const float> logits, int64_t side,
                                               int64_t width, int64_t height, Semantics semantics,
                                               float threshold);

/// The same where a resized logit is above 0.
[[nodiscard]] std::vector<uint8_t> positive_mask(std::span<const float> logits, int64_t side,
                                                 int64_t width, int64_t height);

}  // namespace sam3trt
