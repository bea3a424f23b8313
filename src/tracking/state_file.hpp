#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/tracker_config.hpp"
#include "sam3trt/video.hpp"
#include "tracking/tracker_model.hpp"
#include "tracking/tracking_state.hpp"

namespace sam3trt {

/// What a state belongs to.
struct StateOwner {
  std::string checkpoint;  ///< SHA-256 of the checkpoint, or another name of the weights.
  std::string semantics;
  TrackSizes sizes;
};

struct SavedState {
  TrackOptions options;
  TrackingState state;
};

/// The bytes of a saved session: "SAM3TRTS", a version, the owner, options and state,
/// little-endian, and the SHA-256 of all that.
[[nodiscard]] std::vector<std::byte> write_state(const SavedState& saved, const StateOwner& owner);

/// The inverse. Throws Error(kBadInput), beginning with `where`, for bytes that are not a saved
/// session, are damaged, are of another version or belong to another checkpoint, and for states
/// that no session can be in. Its memories are in host memory. Takes no more memory than a few
/// times the size of the bytes.
[[nodiscard]] SavedState read_state(std::span<const std::byte> bytes, const StateOwner& owner,
                                    const std::string& where);

}  // namespace sam3trt
