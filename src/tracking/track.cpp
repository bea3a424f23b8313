#include "tracking/track.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
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

DecodeInput decode_mask(LogitPlane mask, int64_t side, bool multimask) {
  DecodeInput input;
  input.features = FrameFeatures::kRaw;
  input.tokens = no_tokens();
  input.mask = std::move(mask);
  input.mask_side = side;
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

namespace {

/// A view of a mask, but for the mask.
ObjectView view_around(float object_score, const DecodeOutput& decoded) {
  ObjectView view = decoded.view;
  view.object_score = object_score;
  if (object_score <= 0.0F) view.pointer = decoded.absent;
  return view;
}

/// Logits of a mask of image * image values, at the decoder's size.
Logits logits_of_mask(std::span<const float> mask, const TrackSizes& sizes) {
  return resize_logits(mask_logits(mask), sizes.image, sizes.mask_side());
}

/// What logits_of_mask gives of a smaller mask that is resized to the image.
class LaterLogits : public LogitPlane::Store {
 public:
  LaterLogits(LogitPlane mask, const TrackSizes& sizes) : mask_(std::move(mask)), sizes_(sizes) {}

  [[nodiscard]] size_t size() const override { return mask_.size(); }

  [[nodiscard]] std::span<const float> values() const override {
    std::call_once(once_, [&] {
      const Logits whole = resize_logits(mask_.values(), sizes_.mask_side(), sizes_.image);
      values_ = logits_of_mask(whole, sizes_);
    });
    return values_;
  }

 private:
  LogitPlane mask_;
  TrackSizes sizes_;
  mutable std::once_flag once_;
  mutable Logits values_;
};

}  // namespace

ObjectView view_of_mask(std::span<const float> mask, const DecodeOutput& decoded,
                        const TrackSizes& sizes) {
  ObjectView view = view_around(mask_score(mask), decoded);
  view.mask = logits_of_mask(mask, sizes);
  return view;
}

ObjectView view_of_small_mask(const LogitPlane& mask, const DecodeOutput& decoded,
                              const TrackSizes& sizes) {
  ObjectView view = view_around(mask_score(mask.values()), decoded);
  view.mask = LogitPlane(std::make_shared<const LaterLogits>(mask, sizes));
  return view;
}

}  // namespace sam3trt
