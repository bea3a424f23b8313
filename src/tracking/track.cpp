#include "tracking/track.hpp"

#include <algorithm>
#include <utility>

#include "image/resize.hpp"
#include "tracking/object_input.hpp"

namespace sam3trt {

const FrameRecord* settled(const MemoryBank& bank, int64_t frame, const TrackingRules& rules) {
  const FrameRecord* record = bank.conditioning(frame);
  if ((record == nullptr || record->mask.empty()) && !rules.corrections_condition) {
    record = bank.rolling(frame);
  }
  return record != nullptr && !record->mask.empty() ? record : nullptr;
}

DecodeInput follow(const MemoryBank& bank, const FrameTime& time, const TrackerConfig& config) {
  DecodeInput input;
  input.features = FrameFeatures::kMemory;
  input.memory = bank.select(time.frame, time.reverse, time.pointers, config);
  input.tokens = no_tokens();
  return input;
}

DecodeInput follow_seen(const MemoryBank& bank, const FrameTime& time, const FrameQuality& quality,
                        const TrackerConfig& config) {
  DecodeInput input;
  input.features = FrameFeatures::kMemory;
  input.memory = bank.select_seen(time.frame, time.reverse, time.pointers, quality, config);
  input.tokens = no_tokens();
  return input;
}

DecodeInput decode_mask(std::vector<float> mask, bool multimask) {
  DecodeInput input;
  input.features = FrameFeatures::kRaw;
  input.tokens = no_tokens();
  input.mask = std::move(mask);
  input.multimask = multimask;
  return input;
}

ObjectView view_of_frame_mask(std::span<const float> mask, int64_t width, int64_t height,
                              const DecodeOutput& decoded, bool there, const TrackSizes& sizes) {
  ObjectView view = decoded.view;
  std::vector<float> hard(mask.size());
  std::ranges::transform(mask, hard.begin(), [](float value) {
    return value > 0.5F ? -kNoObjectLogit : kNoObjectLogit;
  });
  Logits resized(static_cast<size_t>(sizes.mask_side() * sizes.mask_side()));
  resize_bilinear_antialias(hard, height, width, resized, sizes.mask_side(), sizes.mask_side());
  view.mask = std::move(resized);
  view.object_score = there ? kMaskScore : -kMaskScore;
  view.iou = 1;
  if (!there) view.pointer = decoded.absent;
  return view;
}

ObjectView view_of_mask(std::span<const float> mask, const DecodeOutput& decoded,
                        const TrackSizes& sizes) {
  ObjectView view = decoded.view;
  view.mask = resize_logits(mask_logits(mask), sizes.image, sizes.mask_side());
  view.object_score = mask_score(mask);
  if (view.object_score <= 0.0F) view.pointer = decoded.absent;
  return view;
}

}  // namespace sam3trt
