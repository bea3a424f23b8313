#pragma once

#include <cstdint>
#include <optional>

#include "sam3trt/video.hpp"
#include "tracking/text_tracker.hpp"
#include "tracking/tracking_state.hpp"

namespace sam3trt {

/// An object with its mask on a frame of that height. Box and area are set; 0 where it is empty.
[[nodiscard]] TrackedObject shown_object(const TrackStepOutput& output, FrameMask mask,
                                         int64_t height);

/// The frame's final result: objects of one concept share no pixel, which the one with the higher
/// probability keeps. Boxes stay those of the whole masks.
[[nodiscard]] FrameResult final_result(HeldFrame held);

}  // namespace sam3trt
