#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/tracker_config.hpp"
#include "tracking/tracker_model.hpp"

namespace sam3trt {

/// Logit of an object's score where a mask decides: above 0 when it has a pixel.
inline constexpr float kMaskScore = 10.0F;

/// How well an object is seen: FrameRecord::quality.
[[nodiscard]] float quality_of(const ObjectView& view);

/// Whether a single mask counts as it is: its area at +delta is at least the threshold's share of
/// that at -delta. Of the number of its logits above +delta, and above -delta.
[[nodiscard]] bool is_stable(std::array<int64_t, 2> above, const TrackerConfig& config);

/// Index of the mask of the multimask output with the highest predicted IoU, the first of equals;
/// index 0 is the single mask.
[[nodiscard]] size_t best_of_several(std::span<const float> ious);

/// Whether the single mask must be seen before it is known which one counts.
[[nodiscard]] bool hangs_on_single(bool multimask, const TrackerConfig& config);

/// Which of the decoder's masks counts: the one with the highest predicted IoU of those of
/// multimask, or the single one unless it is known to be unstable, where hangs_on_single().
[[nodiscard]] size_t choose_mask(std::span<const float> ious, bool multimask, bool unstable);

/// Whose pointer is the object's: that of the best mask, or of the single one always its own.
[[nodiscard]] size_t choose_pointer(std::span<const float> ious, bool multimask);

/// 0..1 at any size as logits of -10 to 10.
[[nodiscard]] Logits mask_logits(std::span<const float> mask);

/// Square logits to another side, with antialias.
[[nodiscard]] Logits resize_logits(std::span<const float> logits, int64_t from, int64_t to);

/// A mask of the decoder to remember, by way of the size of the model's input.
[[nodiscard]] MemoryInput sharp_memory(LogitPlane mask, bool binary, float object_score,
                                       const TrackSizes& sizes);

/// The same as 0..1 at the model's size and resized after that.
[[nodiscard]] MemoryInput soft_memory(const ObjectView& view, bool binary, const TrackSizes& sizes);

/// The same for logits at the model's size.
[[nodiscard]] MemoryInput soft_memory(Logits whole, bool binary, float object_score,
                                      const TrackSizes& sizes);

/// kMaskScore or its negative.
[[nodiscard]] float mask_score(std::span<const float> logits);
[[nodiscard]] float mask_score(const BitMask& bits);

}  // namespace sam3trt
