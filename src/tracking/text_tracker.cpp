#include "tracking/text_tracker.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/sigmoid.hpp"
#include "tracking/hot_start.hpp"
#include "tracking/object_input.hpp"
#include "tracking/overlaps.hpp"
#include "tracking/text_frame.hpp"
#include "tracking/track_groups.hpp"

namespace sam3trt {
namespace {

/// Where a detection is beyond doubt: 1 for logits from one half on, else 0.
Logits confident(const LogitPlane& mask) {
  Logits values = values_of(mask);
  for (float& value : values) value = value >= 0.5F ? 1.0F : 0.0F;
  return values;
}

}  // namespace

void TextTracker::propagate(TextTracks& all, const FrameTime& time, Frame& frame) const {
  std::vector<DecodeInput> inputs;
  const GroupQualities qualities = rules_.groups ? group_qualities(all) : GroupQualities{};
  for (TextTrack& track : all.tracks) {
    const FrameRecord* record = track.bank.conditioning(time.frame);
    frame.settled.push_back(
        static_cast<uint8_t>(record != nullptr && !record->mask.empty() ? 1 : 0));
    if (frame.settled.back() != 0) continue;
    inputs.push_back(rules_.groups
                         ? follow_seen(track.bank, time, qualities.at(group_of(track)), config_)
                         : follow(track.bank, time, config_));
    inputs.back().multimask = use_multimask(0, false, config_);
  }
  std::vector<DecodeOutput> decoded;
  if (!inputs.empty()) decoded = model_.decode(inputs, MaskPlace::kModel);
  auto next = decoded.begin();
  std::vector<LogitPlane> seen;
  seen.reserve(all.tracks.size());
  for (size_t i = 0; i < all.tracks.size(); ++i) {
    MemoryBank& bank = all.tracks[i].bank;
    if (frame.settled[i] != 0) {
      const FrameRecord& record = *bank.conditioning(time.frame);
      seen.push_back(record.mask);
      frame.views.push_back({{}, record.pointer, record.object_score});
    } else {
      ObjectView view = std::move((next++)->view);
      seen.push_back(std::exchange(view.mask, {}));
      FrameRecord record{time.frame, nullptr, view.pointer, view.object_score, seen.back()};
      record.quality = quality_of(view);
      bank.put(std::move(record), false);
      frame.views.push_back(std::move(view));
    }
  }
  frame.masks = model_.clean(seen, config_.fill_hole_area);
  frame.shown.resize(all.tracks.size());
}

/// Where there is no room for all, those with the highest scores, by falling score.
std::vector<size_t> TextTracker::choose_new(const TextTracks& all,
                                            std::span<const FoundObject> found,
                                            std::vector<size_t> fresh,
                                            const TextStepOptions& options,
                                            TextStep& result) const {
  const size_t used = std::min(all.tracks.size(), options.room);
  const size_t room = options.room - used;
  if (fresh.size() <= room) return fresh;
  std::ranges::stable_sort(fresh, std::ranges::greater{}, [&](size_t i) { return found[i].score; });
  result.left_out = fresh.size() - room;
  fresh.resize(room);
  return fresh;
}

/// On every n-th frame, tracks that a detection confirms beyond doubt are conditioned on it.
void TextTracker::confirm(TextTracks& all, std::span<const FoundObject> found,
                          const Association& association, const FrameTime& time,
                          Frame& frame) const {
  const int64_t every = config_.recondition_every_nth_frame;
  if (every <= 0 || time.frame % every != 0) return;
  for (size_t i = 0; i < all.tracks.size(); ++i) {
    if (association.confirmed_by[i] < 0) continue;
    if (!(frame.views[i].object_score > static_cast<float>(config_.high_conf_thresh))) continue;
    frame.shown[i] = found[static_cast<size_t>(association.confirmed_by[i])].mask;
    all.tracks[i].bank.confirm(time.frame);
    frame.settled[i] = 1;
  }
}

/// Memories of all tracks, or, where the frame's new objects make them all anew (`all_again`), of
/// what conditions them here.
void TextTracker::remember(TextTracks& all, const FrameTime& time, Frame& frame,
                           bool all_again) const {
  const TrackSizes& sizes = model_.sizes();
  std::vector<size_t> concepts;
  std::vector<LogitMask> masks = frame.masks;
  for (size_t i = 0; i < all.tracks.size(); ++i) {
    concepts.push_back(all.tracks[i].concept_index);
    if (frame.shown[i].empty() || config_.recondition_on_trk_masks) continue;
    masks[i] = LogitMask(confident(frame.shown[i]));
  }
  suppress_shrunk(masks, concepts, model_);
  std::vector<MemoryInput> inputs;
  std::vector<size_t> whose;
  for (size_t i = 0; i < all.tracks.size(); ++i) {
    if (all_again && frame.settled[i] == 0) continue;
    whose.push_back(i);
    const float score = mask_score(masks[i].bits);
    inputs.push_back({std::move(masks[i].logits), sizes.mask_side(), false, false, score});
  }
  if (inputs.empty()) return;
  std::vector<FrameMemory> memories = model_.remember(inputs);
  for (size_t i = 0; i < whose.size(); ++i) {
    all.tracks[whose[i]].bank.remember(time.frame, std::move(memories[i]));
  }
}

/// New objects from their detections, and with them the memories of all others that the frame does
/// not condition: as the decoder had them, binary.
void TextTracker::add_new(TextTracks& all, std::span<const FoundObject> found,
                          std::span<const size_t> fresh, const FrameTime& time,
                          const TextStepOptions& options) const {
  const TrackSizes& sizes = model_.sizes();
  std::vector<MemoryInput> memories;
  std::vector<size_t> whose;
  for (size_t i = 0; i < all.tracks.size(); ++i) {
    const FrameRecord* record = all.tracks[i].bank.rolling(time.frame);
    if (record == nullptr) continue;
    memories.push_back(sharp_memory(record->mask, true, record->object_score, sizes));
    whose.push_back(i);
  }
  std::vector<DecodeInput> inputs;
  std::vector<LogitPlane> masks;
  for (const size_t index : fresh) {
    masks.emplace_back(confident(found[index].mask));
    inputs.push_back(decode_mask(masks.back(), sizes.mask_side(), true));
  }
  const std::vector<DecodeOutput> decoded = model_.decode(inputs, MaskPlace::kHost);
  for (size_t i = 0; i < fresh.size(); ++i) {
    const FoundObject& object = found[fresh[i]];
    const ObjectView view = view_of_small_mask(masks[i], decoded[i], sizes);
    memories.push_back(
        sharp_memory(mask_logits(masks[i].values()), true, view.object_score, sizes));
    whose.push_back(all.tracks.size());
    TextTrack& track = begin_track(all, options.next_id + static_cast<int64_t>(i), object,
                                   time.frame, config_.init_trk_keep_alive);
    track.bank.put({time.frame, nullptr, view.pointer, view.object_score, view.mask}, true);
  }
  std::vector<FrameMemory> encoded = model_.remember(memories);
  for (size_t i = 0; i < whose.size(); ++i) {
    all.tracks[whose[i]].bank.remember(time.frame, std::move(encoded[i]));
  }
}

void TextTracker::prune(TextTracks& all, const FrameTime& time) const {
  if (!rules_.groups) {
    for (TextTrack& track : all.tracks) track.bank.prune(time.frame, false, config_);
    return;
  }
  const GroupQualities qualities = group_qualities(all);
  for (TextTrack& track : all.tracks) {
    // While members may still leave the group, its mean may change.
    if (on_trial(track, time, config_)) continue;
    track.bank.prune_seen(time.frame, false, qualities.at(group_of(track)), config_);
  }
}

namespace {

void forget(TextTracks& all, std::span<const int64_t> ids) {
  const auto gone = [&](int64_t id) { return std::ranges::find(ids, id) != ids.end(); };
  std::erase_if(all.tracks, [&](const TextTrack& track) { return gone(track.id); });
  std::erase_if(all.shared, [&](const auto& entry) {
    return gone(entry.first.first) || gone(entry.first.second);
  });
}

}  // namespace

TextStep TextTracker::step(TextTracks& all, std::vector<FoundObject> found, const FrameTime& time,
                           const TextStepOptions& options) const {
  Frame frame;
  propagate(all, time, frame);
  std::vector<TrackedMask> tracked;
  for (size_t i = 0; i < all.tracks.size(); ++i) {
    const size_t index = all.tracks[i].concept_index;
    tracked.push_back({index, frame.masks[i].bits, options.searched[index]});
  }
  const Association association = associate(found, tracked, config_);
  TextStep result;
  const std::vector<size_t> fresh = choose_new(all, found, association.fresh, options, result);
  const TrialResult trial = run_trial(all, association, time, options.live, config_);
  if (rules_.groups) {
    confirm_groups(all, found, association, time, frame, options);
  } else {
    confirm(all, found, association, time, frame);
  }
  suppress_recently_hidden(all.tracks, frame.masks, trial.removed, time, config_);
  const size_t before = all.tracks.size();
  if (rules_.groups) {
    remember_groups(all, time, frame);
    if (!fresh.empty()) add_group(all, found, fresh, time, options);
  } else {
    remember(all, time, frame, !fresh.empty());
    if (!fresh.empty()) add_new(all, found, fresh, time, options);
  }

  std::vector<LogitPlane> found_masks;
  found_masks.reserve(fresh.size());
  for (const size_t index : fresh) found_masks.push_back(found[index].mask);
  std::vector<LogitMask> begun = model_.clean(found_masks, config_.fill_hole_area);
  for (const size_t index : trial.removed) result.removed.push_back(all.tracks[index].id);
  for (size_t i = 0; i < all.tracks.size(); ++i) {
    const TextTrack& track = all.tracks[i];
    if (i < before && std::ranges::find(trial.removed, i) != trial.removed.end()) continue;
    TextOutput& output = result.outputs.emplace_back();
    output.output.id = track.id;
    output.concept_index = track.concept_index;
    output.score = track.score;
    output.confirmed = !track.doomed && !on_trial(track, time, config_);
    if (i < before) {
      output.output.object_score = precise_sigmoid(frame.views[i].object_score);
      output.output.mask = frame.shown[i].empty() ? frame.masks[i].logits : frame.shown[i];
      output.suppressed = std::ranges::find(trial.suppressed, i) != trial.suppressed.end();
    } else {
      output.output.object_score = track.score;
      output.output.mask = std::move(begun[i - before].logits);
    }
  }
  if (rules_.groups) demote_frames_of(all, result.removed);
  forget(all, result.removed);
  prune(all, time);
  return result;
}

}  // namespace sam3trt
