#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <utility>

#include "tracking/text_track.hpp"

namespace sam3trt {

/// Objects of one concept that were found on one frame: a state of Meta's tracker.
using TrackGroup = std::pair<size_t, int64_t>;

[[nodiscard]] inline TrackGroup group_of(const TextTrack& track) {
  return {track.concept_index, track.first_frame};
}

using GroupQualities = std::map<TrackGroup, FrameQuality>;

/// How well the objects of each group are seen on average, by frame.
[[nodiscard]] GroupQualities group_qualities(const TextTracks& all);

/// For tracks that are about to go: frames that condition their groups only through them do so no
/// more. `ids` are theirs.
void demote_frames_of(TextTracks& all, std::span<const int64_t> ids);

}  // namespace sam3trt
