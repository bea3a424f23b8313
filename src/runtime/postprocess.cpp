#include "runtime/postprocess.hpp"

#include <algorithm>

#include "image/resize.hpp"

namespace sam3trt {

std::vector<Detection> select_detections(const PromptLogits& prompt, float threshold, int64_t width,
                                         int64_t height) {
  const float presence = sigmoid(prompt.presence);
  const std::array<float, 2> scale = {static_cast<float>(width), static_cast<float>(height)};
  std::vector<Detection> kept;
  for (size_t query = 0; query < prompt.logits.size(); ++query) {
    const float score = sigmoid(prompt.logits[query]) * presence;
    if (!(score > threshold)) continue;
    Detection detection{static_cast<int64_t>(query), score, {}};
    for (size_t i = 0; i < 4; ++i) detection.box[i] = prompt.boxes[query * 4 + i] * scale[i % 2];
    kept.push_back(detection);
  }
  std::ranges::stable_sort(kept, std::ranges::greater{}, &Detection::score);
  return kept;
}

std::vector<uint8_t> binary_mask(std::span<const float> logits, int64_t side, int64_t width,
                                 int64_t height, Semantics semantics, float threshold) {
  const bool sigmoid_first = semantics == Semantics::kHf;
  std::vector<float> source(logits.begin(), logits.end());
  if (sigmoid_first) std::ranges::transform(source, source.begin(), sigmoid);
  std::vector<float> resized(static_cast<size_t>(width) * static_cast<size_t>(height));
  resize_bilinear(source, side, side, resized, height, width);
  std::vector<uint8_t> mask(resized.size());
  std::ranges::transform(resized, mask.begin(), [&](float value) {
    return static_cast<uint8_t>((sigmoid_first ? value : sigmoid(value)) > threshold ? 1 : 0);
  });
  return mask;
}

std::vector<uint8_t> positive_mask(std::span<const float> logits, int64_t side, int64_t width,
                                   int64_t height) {
  std::vector<float> resized(static_cast<size_t>(width) * static_cast<size_t>(height));
  resize_bilinear(logits, side, side, resized, height, width);
  std::vector<uint8_t> mask(resized.size());
  std::ranges::transform(resized, mask.begin(),
                         [](float value) { return static_cast<uint8_t>(value > 0.0F ? 1 : 0); });
  return mask;
}

}  // namespace sam3trt
