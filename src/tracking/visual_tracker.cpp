#include "tracking/visual_tracker.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/sigmoid.hpp"
#include "image/rle.hpp"
#include "tracking/object_input.hpp"

namespace sam3trt {

/// A track that is decoded on this frame.
struct VisualTracker::Job {
  VisualTrack* track = nullptr;
  bool prompted = false;
  bool first = false;
  int64_t width = 0;  ///< Of `mask`.
  int64_t height = 0;
  std::vector<float> mask{};  ///< What is prompted with: at the model's size, or the frame's.
  DecodeInput input{};
};

DecodeInput VisualTracker::follow_track(const MemoryBank& bank, const FrameTime& time) const {
  if (rules_.seen_memories) return follow_seen(bank, time, bank.quality(), config_);
  return follow(bank, time, config_);
}

void VisualTracker::point_with_mask(Job& job, const ObjectPrompt& prompt) const {
  const TrackSizes& sizes = model_.sizes();
  std::vector<float> mask;
  if (rules_.masks_at_frame_size) {
    const auto pixels = rle_decode(prompt.mask->counts, job.height, job.width);
    job.mask.assign(pixels.begin(), pixels.end());
    mask = soft_prompt_mask(job.mask, job.width, job.height, sizes.memory_mask_side());
  } else {
    mask = job.mask = prompt_mask(*prompt.mask, sizes.image);
  }
  if (mask_score(mask) < 0.0F) {
    throw_bad_input("object " + std::to_string(prompt.id) +
                    ": the mask is so small that nothing is left of it at the model's size of " +
                    std::to_string(sizes.image) + " pixels; click on the object");
  }
  job.input = decode_mask(std::move(mask),
                          rules_.masks_at_frame_size ? sizes.memory_mask_side() : sizes.image,
                          !rules_.masks_at_frame_size);
}

void VisualTracker::point_with_clicks(Job& job, const ObjectPrompt& prompt, const FrameTime& time,
                                      int64_t width, int64_t height) const {
  const MemoryBank& bank = job.track->bank;
  if (!rules_.corrections_condition) {
    if (!job.first) job.input = follow_track(bank, time);
  } else {
    // Logits as large as Meta's code feeds them at most.
    constexpr float kMost = 32;
    const FrameRecord* record = bank.conditioning(time.frame);
    if (record == nullptr) record = bank.rolling(time.frame);
    if (record != nullptr) {
      for (const float value : record->mask.values()) {
        job.input.previous.push_back(std::clamp(value, -kMost, kMost));
      }
    }
  }
  job.input.tokens = limited_tokens(prompt_tokens(prompt, width, height, model_.sizes().image),
                                    rules_.most_points);
  job.input.multimask = use_multimask(count_points(prompt), job.first, config_);
}

VisualTracker::Job VisualTracker::make_job(VisualTrack& track, const ObjectPrompt* prompt,
                                           const FrameTime& time, int64_t width,
                                           int64_t height) const {
  Job job;
  job.track = &track;
  job.prompted = prompt != nullptr;
  if (prompt == nullptr) {
    job.input = follow_track(track.bank, time);
    job.input.multimask = use_multimask(0, false, config_);
    return job;
  }
  check_object_prompt(*prompt, width, height);
  job.first = track.bank.rolling(time.frame) == nullptr;
  if (prompt->mask) {
    job.width = width;
    job.height = height;
    point_with_mask(job, *prompt);
  } else {
    point_with_clicks(job, *prompt, time, width, height);
  }
  return job;
}

ObjectView VisualTracker::view_of(const Job& job, DecodeOutput& decoded) const {
  const TrackSizes& sizes = model_.sizes();
  if (job.mask.empty()) return std::move(decoded.view);
  if (!rules_.masks_at_frame_size) return view_of_mask(job.mask, decoded, sizes);
  return view_of_frame_mask(job.mask, job.width, job.height, decoded, true, sizes);
}

/// `binary`: something was pointed at on this frame.
MemoryInput VisualTracker::memory_of(const Job& job, const ObjectView& view, bool binary) const {
  const TrackSizes& sizes = model_.sizes();
  if (rules_.soft_memory_masks) return soft_memory(view, job.prompted, sizes);
  if (job.mask.empty()) return sharp_memory(view.mask, binary, view.object_score, sizes);
  return {mask_logits(job.mask), sizes.image, false, binary, view.object_score};
}

std::vector<TrackStepOutput> VisualTracker::step(std::vector<VisualTrack>& tracks,
                                                 std::span<const ObjectPrompt> prompts,
                                                 const FrameTime& time, int64_t width,
                                                 int64_t height) const {
  for (const ObjectPrompt& prompt : prompts) {
    if (std::ranges::find(tracks, prompt.id, &VisualTrack::id) == tracks.end()) {
      tracks.push_back({prompt.id});
    }
  }
  std::vector<Job> jobs;
  for (VisualTrack& track : tracks) {
    const auto prompt = std::ranges::find(prompts, track.id, &ObjectPrompt::id);
    const bool prompted = prompt != prompts.end();
    if (!prompted && settled(track.bank, time.frame, rules_) != nullptr) continue;
    jobs.push_back(make_job(track, prompted ? &*prompt : nullptr, time, width, height));
  }
  std::vector<DecodeInput> inputs;
  inputs.reserve(jobs.size());
  for (Job& job : jobs) inputs.push_back(std::move(job.input));
  std::vector<DecodeOutput> decoded;
  const MaskPlace masks = rules_.soft_memory_masks ? MaskPlace::kHost : MaskPlace::kModel;
  if (!inputs.empty()) decoded = model_.decode(inputs, masks);
  std::vector<TrackStepOutput> outputs(tracks.size());
  for (size_t i = 0; i < tracks.size(); ++i) {
    const FrameRecord* record = settled(tracks[i].bank, time.frame, rules_);
    outputs[i].id = tracks[i].id;
    if (record == nullptr) continue;
    outputs[i].mask = record->mask;
    outputs[i].object_score = precise_sigmoid(record->object_score);
  }
  std::vector<MemoryInput> memories;
  const bool binary = std::ranges::any_of(jobs, &Job::prompted);
  for (size_t i = 0; i < jobs.size(); ++i) {
    Job& job = jobs[i];
    const ObjectView view = view_of(job, decoded[i]);
    memories.push_back(memory_of(job, view, binary));
    FrameRecord record{time.frame, nullptr, view.pointer, view.object_score};
    record.quality = quality_of(view);
    record.own = job.prompted;
    if (job.prompted || rules_.corrections_condition) record.mask = view.mask;
    const bool conditions = job.first || (job.prompted && rules_.corrections_condition);
    job.track->bank.put(std::move(record), conditions, rules_.corrections_condition);
    TrackStepOutput& output = outputs[static_cast<size_t>(job.track - tracks.data())];
    output.mask = view.mask;
    output.object_score = precise_sigmoid(view.object_score);
  }
  std::vector<FrameMemory> encoded;
  if (!memories.empty()) encoded = model_.remember(memories);
  for (size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].track->bank.remember(time.frame, std::move(encoded[i]));
  }
  for (VisualTrack& track : tracks) {
    if (rules_.seen_memories) {
      track.bank.prune_seen(time.frame, true, track.bank.quality(), config_);
    } else {
      track.bank.prune(time.frame, true, config_);
    }
  }
  return outputs;
}

}  // namespace sam3trt
