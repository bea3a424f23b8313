#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/tracker_config.hpp"
#include "tracking/bit_mask.hpp"
#include "tracking/tracker_model.hpp"

namespace sam3trt {

/// A detection of one of a session's concepts.
struct FoundObject {
  size_t concept_index = 0;
  float score = 0;
  LogitPlane mask;
  BitMask bits;  ///< Where the mask is above 0.
};

/// What is followed, for the comparison with what is found.
struct TrackedMask {
  size_t concept_index = 0;
  BitMask bits;
  bool searched = true;  ///< False where its concept is not looked for on this frame.
};

/// The detections that stay when, by falling score, each takes away those whose mask overlaps its
/// own with an IoU above the threshold; in their order. None are taken away for a threshold that is
/// not above 0.
[[nodiscard]] std::vector<FoundObject> suppress_overlaps(std::vector<FoundObject> found,
                                                         float threshold);

/// Which detections and tracks of one concept are the same object; indices into both lists.
struct Association {
  std::vector<size_t> fresh;                 ///< Detections of objects that are not followed yet.
  std::vector<std::vector<size_t>> matched;  ///< For each detection the tracks it overlaps.
  std::vector<size_t> unmatched;             ///< Tracks with a mask that no detection confirms.
  std::vector<size_t> empty;                 ///< Tracks without a mask.
  /// For each track the detection that confirms it beyond doubt, -1 for none.
  std::vector<int64_t> confirmed_by;
};

/// As Sam3VideoModel associates: a detection overlaps a track from assoc_iou_thresh on, it is new
/// without such a track and with a score from new_det_thresh on, and a track is matched from
/// trk_assoc_iou_thresh on. Without any track every detection is new.
[[nodiscard]] Association associate(std::span<const FoundObject> found,
                                    std::span<const TrackedMask> tracks,
                                    const TrackerConfig& config);

}  // namespace sam3trt
