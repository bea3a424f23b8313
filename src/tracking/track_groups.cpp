#include "tracking/track_groups.hpp"

#include <algorithm>
#include <vector>

#include "base/parallel.hpp"
#include "image/resize.hpp"
#include "tracking/object_input.hpp"
#include "tracking/overlaps.hpp"
#include "tracking/text_frame.hpp"

namespace sam3trt {

GroupQualities group_qualities(const TextTracks& all) {
  GroupQualities qualities;
  std::map<TrackGroup, std::map<int64_t, float>> members;
  for (const TextTrack& track : all.tracks) {
    FrameQuality& sums = qualities[group_of(track)];
    for (const auto& [frame, quality] : track.bank.quality()) {
      sums[frame] += quality;
      members[group_of(track)][frame] += 1.0F;
    }
  }
  for (auto& [group, sums] : qualities) {
    for (auto& [frame, quality] : sums) quality /= members.at(group).at(frame);
  }
  return qualities;
}

void demote_frames_of(TextTracks& all, std::span<const int64_t> ids) {
  const auto goes = [&](const TextTrack& track) {
    return std::ranges::find(ids, track.id) != ids.end();
  };
  for (const TextTrack& gone : all.tracks) {
    if (!goes(gone)) continue;
    std::vector<TextTrack*> others;
    for (TextTrack& track : all.tracks) {
      if (!goes(track) && group_of(track) == group_of(gone)) others.push_back(&track);
    }
    for (const FrameRecord& record : gone.bank.conditioning()) {
      const bool held = std::ranges::any_of(others, [&](const TextTrack* track) {
        const FrameRecord* own = track->bank.conditioning(record.frame);
        return own != nullptr && own->own;
      });
      if (held) continue;
      for (TextTrack* track : others) track->bank.demote(record.frame);
    }
  }
}

namespace {

/// A detection's mask at the size of the memory encoder's masks, 0 or 1.
std::vector<float> detected_mask(const LogitPlane& mask, const TrackSizes& sizes) {
  const int64_t side = sizes.memory_mask_side();
  std::vector<float> values(static_cast<size_t>(side * side));
  resize_bilinear(mask.values(), sizes.mask_side(), sizes.mask_side(), values, side, side);
  for (float& value : values) value = value > 0.0F ? 1.0F : 0.0F;
  return values;
}

/// The same at the size of a frame.
std::vector<float> frame_mask(std::span<const float> mask, const TrackSizes& sizes, int64_t width,
                              int64_t height) {
  const int64_t side = sizes.memory_mask_side();
  if (width == side && height == side) return {mask.begin(), mask.end()};
  std::vector<float> values(static_cast<size_t>(width) * static_cast<size_t>(height));
  resize_bilinear_antialias(mask, side, side, values, height, width);
  for (float& value : values) value = value > 0.5F ? 1.0F : 0.0F;
  return values;
}

/// Every pixel stays with the highest logit, the first of equals; others become at most -10.
void part_logits(std::span<Logits> masks) {
  constexpr float kBackground = -10.0F;
  if (masks.size() < 2) return;
  for (size_t pixel = 0; pixel < masks.front().size(); ++pixel) {
    size_t best = 0;
    for (size_t i = 1; i < masks.size(); ++i) {
      if (masks[i][pixel] > masks[best][pixel]) best = i;
    }
    for (size_t i = 0; i < masks.size(); ++i) {
      if (i != best) masks[i][pixel] = std::min(masks[i][pixel], kBackground);
    }
  }
}

}  // namespace

/// On every n-th frame, groups of which a detection confirms a track beyond doubt are conditioned
/// on it; the track's pointer becomes that of the detection's mask.
void TextTracker::confirm_groups(TextTracks& all, std::span<const FoundObject> found,
                                 const Association& association, const FrameTime& time,
                                 const Frame& frame, const TextStepOptions& options) const {
  const int64_t every = config_.recondition_every_nth_frame;
  if (every <= 0 || time.frame % every != 0) return;
  const TrackSizes& sizes = model_.sizes();
  std::vector<size_t> whose;
  std::vector<DecodeInput> inputs;
  std::vector<std::vector<float>> masks;
  for (size_t i = 0; i < all.tracks.size(); ++i) {
    if (association.confirmed_by[i] < 0) continue;
    if (!(frame.views[i].object_score > static_cast<float>(config_.high_conf_thresh))) continue;
    whose.push_back(i);
    masks.push_back(
        detected_mask(found[static_cast<size_t>(association.confirmed_by[i])].mask, sizes));
    inputs.push_back(decode_mask(masks.back(), sizes.memory_mask_side(), false));
  }
  if (inputs.empty()) return;
  const std::vector<DecodeOutput> decoded = model_.decode(inputs, MaskPlace::kHost);
  for (size_t i = 0; i < whose.size(); ++i) {
    TextTrack& confirmed = all.tracks[whose[i]];
    for (TextTrack& track : all.tracks) {
      if (group_of(track) == group_of(confirmed)) track.bank.confirm(time.frame);
    }
    const auto mask = frame_mask(masks[i], sizes, options.width, options.height);
    const ObjectView view = view_of_frame_mask(mask, options.width, options.height, decoded[i],
                                               mask_score(masks[i]) > 0.0F, sizes);
    FrameRecord record{time.frame, nullptr, view.pointer, view.object_score, view.mask};
    record.quality = quality_of(view);
    record.own = true;
    confirmed.bank.put(std::move(record), true, true);
  }
}

/// Memories of all tracks, from their masks at the memory encoder's size.
void TextTracker::remember_groups(TextTracks& all, const FrameTime& time,
                                  const Frame& frame) const {
  if (all.tracks.empty()) return;
  const TrackSizes& sizes = model_.sizes();
  const int64_t side = sizes.memory_mask_side();
  std::vector<size_t> concepts;
  std::vector<LogitMask> masks(all.tracks.size());
  run_parallel(masks.size(), 1, [&](size_t i) {
    Logits mask(static_cast<size_t>(side * side));
    const auto logits = frame.masks[i].logits.values();
    resize_bilinear(logits, sizes.mask_side(), sizes.mask_side(), mask, side, side);
    masks[i] = LogitMask(std::move(mask));
  });
  for (const TextTrack& track : all.tracks) concepts.push_back(track.concept_index);
  HostPlanes host;  // these masks are larger than those of the model
  suppress_shrunk(masks, concepts, host);
  std::vector<MemoryInput> inputs;
  for (LogitMask& mask : masks) {
    const float score = mask_score(mask.bits);
    inputs.push_back({std::move(mask.logits), side, false, false, score});
  }
  std::vector<FrameMemory> memories = model_.remember(inputs);
  for (size_t i = 0; i < all.tracks.size(); ++i) {
    all.tracks[i].bank.remember(time.frame, std::move(memories[i]));
  }
}

/// New objects from their detections, those of one concept as one group.
void TextTracker::add_group(TextTracks& all, std::span<const FoundObject> found,
                            std::span<const size_t> fresh, const FrameTime& time,
                            const TextStepOptions& options) const {
  const TrackSizes& sizes = model_.sizes();
  std::vector<DecodeInput> inputs;
  std::vector<std::vector<float>> masks;
  std::vector<bool> there;
  for (const size_t index : fresh) {
    const auto mask = detected_mask(found[index].mask, sizes);
    there.push_back(mask_score(mask) > 0.0F);
    inputs.push_back(decode_mask(mask, sizes.memory_mask_side(), false));
    masks.push_back(frame_mask(mask, sizes, options.width, options.height));
    // What a later object claims is taken from the earlier ones of its group.
    for (size_t i = 0; i + 1 < masks.size(); ++i) {
      if (found[fresh[i]].concept_index != found[index].concept_index) continue;
      for (size_t pixel = 0; pixel < masks[i].size(); ++pixel) {
        if (masks.back()[pixel] > 0.5F) masks[i][pixel] = 0.0F;
      }
    }
  }
  const std::vector<DecodeOutput> decoded = model_.decode(inputs, MaskPlace::kHost);
  std::map<size_t, std::vector<size_t>> groups;
  std::vector<ObjectView> views;
  for (size_t i = 0; i < fresh.size(); ++i) {
    // Whether it is there was decided before others took from it.
    views.push_back(
        view_of_frame_mask(masks[i], options.width, options.height, decoded[i], there[i], sizes));
    groups[found[fresh[i]].concept_index].push_back(i);
  }
  std::vector<MemoryInput> memories(fresh.size());
  for (const auto& [index, members] : groups) {
    std::vector<Logits> whole;
    for (const size_t i : members) {
      Logits& mask = whole.emplace_back(static_cast<size_t>(sizes.image * sizes.image));
      resize_bilinear(views[i].mask.values(), sizes.mask_side(), sizes.mask_side(), mask,
                      sizes.image, sizes.image);
    }
    part_logits(whole);
    for (size_t m = 0; m < members.size(); ++m) {
      memories[members[m]] =
          soft_memory(std::move(whole[m]), true, views[members[m]].object_score, sizes);
    }
  }
  std::vector<FrameMemory> encoded = model_.remember(memories);
  for (size_t i = 0; i < fresh.size(); ++i) {
    const FoundObject& object = found[fresh[i]];
    TextTrack& track = begin_track(all, options.next_id + static_cast<int64_t>(i), object,
                                   time.frame, config_.init_trk_keep_alive);
    FrameRecord record{time.frame, std::move(encoded[i]), views[i].pointer, views[i].object_score,
                       views[i].mask};
    record.quality = quality_of(views[i]);
    record.own = true;
    track.bank.put(std::move(record), true);
  }
}

}  // namespace sam3trt
