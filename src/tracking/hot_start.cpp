#include "tracking/hot_start.hpp"

#include <algorithm>
#include <set>

namespace sam3trt {
namespace {

void count_matches(TextTracks& all, const Association& association, const TrackerConfig& config) {
  std::set<size_t> matched;
  for (const auto& tracks : association.matched) matched.insert(tracks.begin(), tracks.end());
  const auto change = [&](size_t index, int64_t by) {
    int64_t& alive = all.tracks[index].keep_alive;
    alive = by > 0 ? std::min(config.max_trk_keep_alive, alive + by)
                   : std::max(config.min_trk_keep_alive, alive + by);
  };
  for (const size_t index : matched) change(index, 1);
  for (const size_t index : association.unmatched) {
    ++all.tracks[index].unmatched;
    change(index, -1);
  }
  if (!config.decrease_trk_keep_alive_for_empty_masklets) return;
  for (const size_t index : association.empty) change(index, -1);
}

void count_shared(TextTracks& all, const Association& association, bool reverse) {
  for (const auto& matched : association.matched) {
    if (matched.size() < 2) continue;
    const auto frame_of = [&](size_t index) { return all.tracks[index].first_frame; };
    const size_t first = reverse ? *std::ranges::max_element(matched, {}, frame_of)
                                 : *std::ranges::min_element(matched, {}, frame_of);
    for (const size_t index : matched) {
      if (index != first) ++all.shared[{all.tracks[first].id, all.tracks[index].id}];
    }
  }
}

/// Ids of tracks that shared a detection with an earlier one too often.
std::set<int64_t> duplicates(const TextTracks& all, const TrackerConfig& config) {
  std::set<int64_t> ids;
  for (const auto& [pair, frames] : all.shared) {
    if (frames >= config.hotstart_dup_thresh) ids.insert(pair.second);
  }
  return ids;
}

}  // namespace

bool on_trial(const TextTrack& track, const FrameTime& time, const TrackerConfig& config) {
  return time.reverse ? track.first_frame < time.frame + config.hotstart_delay
                      : track.first_frame > time.frame - config.hotstart_delay;
}

TrialResult run_trial(TextTracks& all, const Association& association, const FrameTime& time,
                      bool live, const TrackerConfig& config) {
  count_matches(all, association, config);
  count_shared(all, association, time.reverse);
  const std::set<int64_t> doubles = duplicates(all, config);
  TrialResult result;
  for (size_t i = 0; i < all.tracks.size(); ++i) {
    TextTrack& track = all.tracks[i];
    const bool lost = track.unmatched > 0 && track.unmatched >= config.hotstart_unmatch_thresh;
    const bool trial = on_trial(track, time, config);
    const bool removed = trial && (lost || doubles.contains(track.id));
    if (live) {
      track.doomed = track.doomed || removed;
      continue;
    }
    if (removed) result.removed.push_back(i);
    // A track that goes as a double only is hidden all the same, so nothing hangs on the order.
    if (!removed && track.unmatched > 0 && track.keep_alive <= 0 &&
        !config.suppress_unmatched_only_within_hotstart) {
      result.suppressed.push_back(i);
    }
  }
  return result;
}

}  // namespace sam3trt
