#pragma once

#include <cstdint>
#include <vector>

#include "tracking/memory_bank.hpp"
#include "tracking/object_mask.hpp"
#include "tracking/tracking_rules.hpp"

namespace sam3trt {

/// Where tracking is in the video.
struct FrameTime {
  int64_t frame = 0;
  bool reverse = false;
  int64_t pointers = 0;  ///< Frames in which distances of pointers are counted.
};

/// A frame's result for one object, before anything is decided between objects.
struct TrackStepOutput {
  int64_t id = 0;
  LogitPlane mask;          ///< mask_side * mask_side.
  double object_score = 0;  ///< Probability.
};

/// Whether a frame's result for an object stands already: it was pointed at there.
[[nodiscard]] const FrameRecord* settled(const MemoryBank& bank, int64_t frame,
                                         const TrackingRules& rules);

/// An object that is followed with nothing that points at it.
[[nodiscard]] DecodeInput follow(const MemoryBank& bank, const FrameTime& time,
                                 const TrackerConfig& config);

/// The same with memories of the frames of good quality.
[[nodiscard]] DecodeInput follow_seen(const MemoryBank& bank, const FrameTime& time,
                                      const FrameQuality& quality, const TrackerConfig& config);

/// An object that a mask of side * side values points at: its pointer is asked of the decoder, on
/// features without any memory; that of the best of several masks or of the single one.
[[nodiscard]] DecodeInput decode_mask(LogitPlane mask, int64_t side, bool multimask);

/// A mask of a frame of width x height pixels, 0 or 1, as the decoder's view of an object: at the
/// decoder's size hard logits, resized. `there`: what the decoder was prompted with has a pixel,
/// whatever is left of it at this size; then with the pointer that it gave, else with that of an
/// absent object.
[[nodiscard]] ObjectView view_of_frame_mask(std::span<const float> mask, int64_t width,
                                            int64_t height, const DecodeOutput& decoded, bool there,
                                            const TrackSizes& sizes);

/// The mask itself, of image * image values 0..1, as the decoder's view of the object, with the
/// pointer that the decoder gave.
[[nodiscard]] ObjectView view_of_mask(std::span<const float> mask, const DecodeOutput& decoded,
                                      const TrackSizes& sizes);

/// The same of a mask of mask_side * mask_side values that stands for what it is when it is resized
/// to the image. The view's mask is computed when it is first asked for: frames that condition an
/// object are seldom seen again.
[[nodiscard]] ObjectView view_of_small_mask(const LogitPlane& mask, const DecodeOutput& decoded,
                                            const TrackSizes& sizes);

}  // namespace sam3trt
