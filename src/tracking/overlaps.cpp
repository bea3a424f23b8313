#include "tracking/overlaps.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <numeric>
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

/// Logits of the group's masks that have some of the pixels come to the host, where they are not
/// there: several at a time, because each waits for its copy.
void bring_logits(std::span<const LogitMask> masks, std::span<const size_t> group,
                  std::span<const uint64_t> pixels) {
  std::vector<const LogitPlane*> wanted;
  for (const size_t index : group) {
    const auto own = masks[index].bits.words();
    for (size_t w = 0; w < pixels.size(); ++w) {
      if ((own[w] & pixels[w]) == 0) continue;
      wanted.push_back(&masks[index].logits);
      break;
    }
  }
  run_parallel(wanted.size(), 2, [&](size_t i) { static_cast<void>(wanted[i]->values()); });
}

/// Pixels that each mask of a group keeps when the highest logit, the first of equals, takes all.
/// Only those that several masks have are looked at.
std::vector<int64_t> kept_areas(std::span<const LogitMask> masks, std::span<const size_t> group) {
  constexpr size_t kBits = 64;
  const size_t words = masks[group.front()].bits.words().size();
  std::vector<uint64_t> once(words);
  std::vector<uint64_t> several(words);
  std::vector<int64_t> areas;
  for (const size_t index : group) {
    areas.push_back(masks[index].bits.area());
    const auto own = masks[index].bits.words();
    for (size_t w = 0; w < words; ++w) {
      several[w] |= once[w] & own[w];
      once[w] |= own[w];
    }
  }
  bring_logits(masks, group, several);
  for (size_t w = 0; w < words; ++w) {
    if (several[w] == 0) continue;
    const size_t count = std::min(kBits, masks[group.front()].logits.size() - w * kBits);
    std::array<float, kBits> highest{};
    std::array<uint32_t, kBits> owner{};
    for (size_t i = 0; i < group.size(); ++i) {
      const uint64_t shared = masks[group[i]].bits.words()[w] & several[w];
      if (shared == 0) continue;
      areas[i] -= std::popcount(shared);
      const auto mask = masks[group[i]].logits.values().subspan(w * kBits, count);
      for (size_t pixel = 0; pixel < count; ++pixel) {
        const bool higher = mask[pixel] > highest[pixel];
        highest[pixel] = higher ? mask[pixel] : highest[pixel];
        owner[pixel] = higher ? static_cast<uint32_t>(i) : owner[pixel];
      }
    }
    for (uint64_t rest = several[w]; rest != 0; rest &= rest - 1) {
      ++areas[owner[static_cast<size_t>(std::countr_zero(rest))]];
    }
  }
  return areas;
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

void suppress_shrunk(std::span<LogitMask> masks, std::span<const size_t> concepts) {
  constexpr float kLeastKept = 0.3F;
  for (const auto& [concept_index, group] : groups_of(concepts)) {
    if (group.size() < 2) continue;
    const std::vector<int64_t> kept = kept_areas(masks, group);
    for (size_t i = 0; i < group.size(); ++i) {
      LogitMask& mask = masks[group[i]];
      const int64_t area = std::max<int64_t>(mask.bits.area(), 1);
      if (static_cast<float>(kept[i]) / static_cast<float>(area) >= kLeastKept) continue;
      Logits values = values_of(mask.logits);
      for (float& value : values) value = std::min(value, kHiddenLogit);
      mask = LogitMask(std::move(values));
    }
  }
}

void part_pixels(std::span<ShownMask> masks, int64_t height, int64_t width) {
  if (masks.size() < 2) return;
  std::vector<size_t> concepts;
  for (const ShownMask& mask : masks) concepts.push_back(mask.concept_index);
  for (auto& [concept_index, group] : groups_of(concepts)) {
    std::ranges::stable_sort(group, std::ranges::greater{},
                             [&](size_t i) { return masks[i].object_score; });
    const std::vector<uint32_t> nothing = {static_cast<uint32_t>(height * width)};
    std::vector<uint32_t> taken = nothing;
    for (const size_t index : group) {
      std::vector<uint32_t>& counts = masks[index].counts;
      std::vector<uint32_t> before = rle_union(taken, counts, height, width);
      std::swap(before, taken);
      counts =
          masks[index].object_score > 0.0F ? rle_subtract(counts, before, height, width) : nothing;
    }
  }
}

}  // namespace sam3trt
