#include "tracking/object_mask.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/sigmoid.hpp"
#include "image/resize.hpp"

namespace sam3trt {

bool is_stable(std::array<int64_t, 2> above, const TrackerConfig& config) {
  const auto least = static_cast<float>(above[0]);
  const auto most = static_cast<float>(above[1]);
  const float stability = most > 0.0F ? least / most : 1.0F;
  return stability >= static_cast<float>(config.stability_threshold);
}

size_t best_of_several(std::span<const float> ious) {
  return static_cast<size_t>(std::max_element(ious.begin() + 1, ious.end()) - ious.begin());
}

bool hangs_on_single(bool multimask, const TrackerConfig& config) {
  return !multimask && config.stability_fallback;
}

size_t choose_mask(std::span<const float> ious, bool multimask, bool unstable) {
  return multimask || unstable ? best_of_several(ious) : 0;
}

size_t choose_pointer(std::span<const float> ious, bool multimask) {
  return multimask ? best_of_several(ious) : 0;
}

Logits mask_logits(std::span<const float> mask) {
  Logits logits(mask.size());
  std::ranges::transform(mask, logits.begin(),
                         [](float value) { return value * 2 * kMaskScore - kMaskScore; });
  return logits;
}

Logits resize_logits(std::span<const float> logits, int64_t from, int64_t to) {
  if (from == to) return {logits.begin(), logits.end()};
  Logits resized(static_cast<size_t>(to * to));
  resize_bilinear_antialias(logits, from, from, resized, to, to);
  return resized;
}

MemoryInput sharp_memory(LogitPlane mask, bool binary, float object_score,
                         const TrackSizes& sizes) {
  return {std::move(mask), sizes.mask_side(), true, binary, object_score};
}

float quality_of(const ObjectView& view) {
  return view.object_score > 0.0F ? (2 * sigmoid(view.object_score) - 1) * view.iou : 0.0F;
}

MemoryInput soft_memory(const ObjectView& view, bool binary, const TrackSizes& sizes) {
  Logits whole(static_cast<size_t>(sizes.image * sizes.image));
  resize_bilinear(view.mask.values(), sizes.mask_side(), sizes.mask_side(), whole, sizes.image,
                  sizes.image);
  return soft_memory(std::move(whole), binary, view.object_score, sizes);
}

MemoryInput soft_memory(Logits whole, bool binary, float object_score, const TrackSizes& sizes) {
  // The memory encoder takes logits; beyond this one its sigmoid is 0 or 1 in float32.
  constexpr double kMost = 100;
  for (float& value : whole) value = binary ? (value > 0.0F ? 1.0F : 0.0F) : sigmoid(value);
  Logits mask = resize_logits(whole, sizes.image, sizes.memory_mask_side());
  for (float& value : mask) {
    const double inside = std::clamp(static_cast<double>(value), 0.0, 1.0);
    value = static_cast<float>(std::clamp(std::log(inside) - std::log1p(-inside), -kMost, kMost));
  }
  return {std::move(mask), sizes.memory_mask_side(), false, false, object_score};
}

float mask_score(std::span<const float> logits) {
  const bool any = std::ranges::any_of(logits, [](float value) { return value > 0.0F; });
  return any ? kMaskScore : -kMaskScore;
}

float mask_score(const BitMask& bits) { return bits.empty() ? -kMaskScore : kMaskScore; }

}  // namespace sam3trt
