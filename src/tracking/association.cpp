#include "tracking/association.hpp"

#include <algorithm>
#include <numeric>

namespace sam3trt {

std::vector<FoundObject> suppress_overlaps(std::vector<FoundObject> found, float threshold) {
  if (!(threshold > 0.0F)) return found;
  std::vector<size_t> order(found.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](size_t i) { return found[i].score; });
  std::vector<uint8_t> gone(found.size());
  for (size_t i = 0; i < order.size(); ++i) {
    if (gone[order[i]] != 0) continue;
    for (size_t j = i + 1; j < order.size(); ++j) {
      if (mask_iou(found[order[i]].bits, found[order[j]].bits) > threshold) gone[order[j]] = 1;
    }
  }
  std::vector<FoundObject> kept;
  for (size_t i = 0; i < found.size(); ++i) {
    if (gone[i] == 0) kept.push_back(std::move(found[i]));
  }
  return kept;
}

namespace {

/// [found, tracks]; 0 between concepts.
std::vector<std::vector<float>> overlaps_of(std::span<const FoundObject> found,
                                            std::span<const TrackedMask> tracks) {
  std::vector<std::vector<float>> ious;
  for (const FoundObject& object : found) {
    std::vector<float>& row = ious.emplace_back();
    for (const TrackedMask& track : tracks) {
      const bool same = object.concept_index == track.concept_index;
      row.push_back(same ? mask_iou(object.bits, track.bits) : 0.0F);
    }
  }
  return ious;
}

}  // namespace

Association associate(std::span<const FoundObject> found, std::span<const TrackedMask> tracks,
                      const TrackerConfig& config) {
  Association result;
  result.matched.resize(found.size());
  result.confirmed_by.assign(tracks.size(), -1);
  if (tracks.empty()) {
    result.fresh.resize(found.size());
    std::iota(result.fresh.begin(), result.fresh.end(), size_t{0});
    return result;
  }
  const auto ious = overlaps_of(found, tracks);
  const auto track_threshold = static_cast<float>(config.trk_assoc_iou_thresh);
  for (size_t t = 0; t < tracks.size(); ++t) {
    if (tracks[t].bits.empty()) {
      result.empty.push_back(t);
      continue;
    }
    const bool matched =
        std::ranges::any_of(ious, [&](const auto& row) { return row[t] >= track_threshold; });
    if (!matched && tracks[t].searched) result.unmatched.push_back(t);
  }
  for (size_t d = 0; d < found.size(); ++d) {
    for (size_t t = 0; t < tracks.size(); ++t) {
      if (ious[d][t] >= static_cast<float>(config.assoc_iou_thresh)) {
        result.matched[d].push_back(t);
      }
    }
    const bool fresh =
        found[d].score >= static_cast<float>(config.new_det_thresh) && result.matched[d].empty();
    if (fresh) {
      result.fresh.push_back(d);
      continue;
    }
    const auto best = std::ranges::max_element(ious[d]);
    if (found[d].score >= static_cast<float>(config.high_conf_thresh) &&
        *best >= static_cast<float>(config.high_iou_thresh)) {
      result.confirmed_by[static_cast<size_t>(best - ious[d].begin())] = static_cast<int64_t>(d);
    }
  }
  return result;
}

}  // namespace sam3trt
