#pragma once

#include <cstdint>
#include <vector>

#include "tracking/object_mask.hpp"
#include "tracking/text_tracker.hpp"

namespace sam3trt {

/// The tracks that were there before, on this frame.
struct TextTracker::Frame {
  std::vector<ObjectView> views;  ///< As the decoder has them, without their masks.
  std::vector<LogitMask> masks;   ///< Cleaned; what is decided on, and then shown.
  std::vector<LogitPlane> shown;  ///< In place of `masks` where not empty.
  std::vector<uint8_t> settled;   ///< The frame conditions the track.
};

}  // namespace sam3trt
