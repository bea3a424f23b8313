#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "tracking/association.hpp"
#include "tracking/track.hpp"

namespace sam3trt {

/// An object that a concept found.
struct TextTrack {
  int64_t id = 0;
  size_t concept_index = 0;
  float score = 0;  ///< Of the detection that began it.
  int64_t first_frame = 0;
  int64_t unmatched = 0;  ///< Frames, of its whole life.
  int64_t keep_alive = 0;
  /// The last frame on which it had no mask or gave way, -1 for never; none before it was followed.
  std::optional<int64_t> last_hidden{};
  bool doomed = false;  ///< It would have been removed, were anything removed.
  MemoryBank bank{};
};

/// All of them, by rising id, and what is known of pairs.
struct TextTracks {
  std::vector<TextTrack> tracks;
  /// Frames on which two tracks, the earlier one first, shared a detection.
  std::map<std::pair<int64_t, int64_t>, int64_t> shared{};
};

/// Adds a track that the detection begins.
inline TextTrack& begin_track(TextTracks& all, int64_t id, const FoundObject& object, int64_t frame,
                              int64_t keep_alive) {
  TextTrack& track = all.tracks.emplace_back();
  track.id = id;
  track.concept_index = object.concept_index;
  track.score = object.score;
  track.first_frame = frame;
  track.keep_alive = keep_alive;
  return track;
}

}  // namespace sam3trt
