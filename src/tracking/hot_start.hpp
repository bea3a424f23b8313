#pragma once

#include <cstdint>
#include <vector>

#include "base/tracker_config.hpp"
#include "tracking/association.hpp"
#include "tracking/text_track.hpp"

namespace sam3trt {

/// What the trial of new tracks comes to on a frame; indices of tracks.
struct TrialResult {
  std::vector<size_t> removed;
  std::vector<size_t> suppressed;  ///< Not shown on this frame.
};

/// Whether the track is in its first `hotstart_delay` frames.
[[nodiscard]] bool on_trial(const TextTrack& track, const FrameTime& time,
                            const TrackerConfig& config);

/// Counts what the association says and removes tracks on trial that were unmatched on
/// hotstart_unmatch_thresh frames, or shared a detection with an earlier track on
/// hotstart_dup_thresh. `live`: nothing is removed or suppressed, but tracks that would be are
/// doomed.
[[nodiscard]] TrialResult run_trial(TextTracks& all, const Association& association,
                                    const FrameTime& time, bool live, const TrackerConfig& config);

}  // namespace sam3trt
