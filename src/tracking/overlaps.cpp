#include "tracking/overlaps.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "base/parallel.hpp"
#include "image/rle.hpp"
#include "tracking/bit_mask.hpp"

namespace sam3trt {
namespace {

constexpr float kHiddenLogit = -10.0F;
constexpr int64_t kNeverHidden = -1;
constexpr int64_t kAlwaysHidden = 100000;

/// Indices of each concept.
std::map<size_t, std::vector<size_t>> groups_of(std::span<const size_t> concepts) {
  std::map<size_t, std::vector<size_t>> groups;
  for (size_t i = 0; i < concepts.size(); ++i) groups[concepts[i]].push_back(i);
  return groups;
}

/// Those of a group that share pixels with others of it.
std::vector<size_t> overlapping(std::span<const LogitMask> masks, std::span<const size_t> group) {
  const size_t words = masks[group.front()].bits.words().size();
  std::vector<uint64_t> once(words);
  std::vector<uint64_t> several(words);
  for (const size_t index : group) {
    const auto own = masks[index].bits.words();
    for (size_t w = 0; w < words; ++w) {
      several[w] |= once[w] & own[w];
      once[w] |= own[w];
    }
  }
  std::vector<size_t> found;
  for (const size_t index : group) {
    const auto own = masks[index].bits.words();
    for (size_t w = 0; w < words; ++w) {
      if ((own[w] & several[w]) == 0) continue;
      found.push_back(index);
      break;
    }
  }
  return found;
}

std::vector<uint32_t> nothing(int64_t height, int64_t width) {
  return {static_cast<uint32_t>(height * width)};
}

/// part_pixels() of a group by falling score, for masks of few runs.
void part_runs(std::span<ShownMask> masks, std::span<const size_t> group, int64_t height,
               int64_t width) {
  std::vector<uint32_t> taken = nothing(height, width);
  for (const size_t index : group) {
    std::vector<uint32_t>& counts = masks[index].counts;
    std::vector<uint32_t> before = rle_union(taken, counts, height, width);
    std::swap(before, taken);
    counts = masks[index].object_score > 0.0F ? rle_subtract(counts, before, height, width)
                                              : nothing(height, width);
  }
}

/// The same for masks of many runs, noise: pixel by pixel, 64 at a time.
void part_bits(std::span<ShownMask> masks, std::span<const size_t> group, int64_t height,
               int64_t width) {
  std::vector<std::vector<uint64_t>> bits(group.size());
  run_parallel(group.size(), 2,
               [&](size_t i) { bits[i] = rle_bits(masks[group[i]].counts, height, width); });
  std::vector<uint64_t> taken(bits.front().size());
  for (std::vector<uint64_t>& own : bits) {
    for (size_t word = 0; word < taken.size(); ++word) {
      const uint64_t all = own[word];
      own[word] &= ~taken[word];
      taken[word] |= all;
    }
  }
  run_parallel(group.size(), 2, [&](size_t i) {
    ShownMask& mask = masks[group[i]];
    mask.counts =
        mask.object_score > 0.0F ? rle_of_bits(bits[i], height, width) : nothing(height, width);
  });
}

}  // namespace

void suppress_recently_hidden(std::span<TextTrack> tracks, std::span<LogitMask> masks,
                              std::span<const size_t> removed, const FrameTime& time,
                              const TrackerConfig& config) {
  const auto threshold =
      static_cast<float>(config.suppress_overlapping_based_on_recent_occlusion_threshold);
  if (!(threshold > 0.0F)) return;
  std::vector<int64_t> hidden;
  for (size_t i = 0; i < tracks.size(); ++i) {
    const bool gone = std::ranges::find(removed, i) != removed.end();
    hidden.push_back(tracks[i].last_hidden.value_or(gone ? kAlwaysHidden : kNeverHidden));
  }
  const auto later = [&](size_t i, size_t j) {
    return (time.reverse ? hidden[i] < hidden[j] : hidden[i] > hidden[j]) &&
           hidden[j] > kNeverHidden;
  };
  std::vector<uint8_t> gives_way(tracks.size());
  for (size_t i = 0; i < tracks.size(); ++i) {
    for (size_t j = i + 1; j < tracks.size(); ++j) {
      if (tracks[i].concept_index != tracks[j].concept_index) continue;
      if (!later(i, j) && !later(j, i)) continue;
      if (mask_iou(masks[i].bits, masks[j].bits) < threshold) continue;
      if (later(i, j)) gives_way[i] = 1;
      if (later(j, i)) gives_way[j] = 1;
    }
  }
  for (size_t i = 0; i < tracks.size(); ++i) {
    const bool now = masks[i].bits.empty() || gives_way[i] != 0;
    tracks[i].last_hidden = now ? time.frame : hidden[i];
    if (gives_way[i] != 0) masks[i] = LogitMask(Logits(masks[i].logits.size(), kHiddenLogit));
  }
}

void suppress_shrunk(std::span<LogitMask> masks, std::span<const size_t> concepts,
                     PlaneWork& work) {
  constexpr float kLeastKept = 0.3F;
  std::vector<size_t> shrunk;
  std::vector<LogitPlane> planes;
  for (const auto& [concept_index, group] : groups_of(concepts)) {
    if (group.size() < 2) continue;
    for (const size_t index : group) {
      if (masks[index].bits.empty()) shrunk.push_back(index);
    }
    const std::vector<size_t> some = overlapping(masks, group);
    if (some.empty()) continue;
    planes.clear();
    for (const size_t index : some) planes.push_back(masks[index].logits);
    const std::vector<int64_t> won = work.won_areas(planes);
    for (size_t i = 0; i < some.size(); ++i) {
      const auto area = static_cast<float>(masks[some[i]].bits.area());
      if (static_cast<float>(won[i]) / area < kLeastKept) shrunk.push_back(some[i]);
    }
  }
  planes.clear();
  for (const size_t index : shrunk) planes.push_back(masks[index].logits);
  std::vector<LogitPlane> hidden = work.lowered(planes, kHiddenLogit);
  for (size_t i = 0; i < shrunk.size(); ++i) {
    const size_t size = planes[i].size();
    masks[shrunk[i]] = LogitMask(std::move(hidden[i]), BitMask::nothing(size));
  }
}

void part_pixels(std::span<ShownMask> masks, int64_t height, int64_t width) {
  if (masks.size() < 2) return;
  std::vector<size_t> concepts;
  for (const ShownMask& mask : masks) concepts.push_back(mask.concept_index);
  for (auto& [concept_index, group] : groups_of(concepts)) {
    std::ranges::stable_sort(group, std::ranges::greater{},
                             [&](size_t i) { return masks[i].object_score; });
    size_t runs = 0;
    for (const size_t index : group) runs += masks[index].counts.size();
    const auto words = static_cast<size_t>(height * width / 64);
    if (runs > words * group.size() / 4) {  // a run costs more than a word
      part_bits(masks, group, height, width);
    } else {
      part_runs(masks, group, height, width);
    }
  }
}

}  // namespace sam3trt
