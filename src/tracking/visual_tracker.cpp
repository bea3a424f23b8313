#include "tracking/visual_tracker.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/sigmoid.hpp"
#include "tracking/object_input.hpp"

namespace sam3trt {

/// A track that is decoded on this frame.
struct VisualTracker::Job {
  VisualTrack* track = nullptr;
  bool prompted = false;
  bool first = false;
  bool multimask = true;
  std::vector<float> mask{};  ///< What is prompted with, at the model's size.
  DecodeInput input{};
};

VisualTracker::Job VisualTracker::make_job(VisualTrack& track, const ObjectPrompt* prompt,
                                           const FrameTime& time, int64_t width,
                                           int64_t height) const {
  Job job;
  job.track = &track;
  job.prompted = prompt != nullptr;
  if (prompt == nullptr) {
    job.multimask = use_multimask(0, false, config_);
    job.input = follow(track.bank, time, config_);
    return job;
  }
  check_object_prompt(*prompt, width, height);
  job.first = track.bank.rolling(time.frame) == nullptr;
  if (prompt->mask) {
    job.mask = prompt_mask(*prompt->mask, model_.sizes().image);
    if (mask_score(job.mask) < 0.0F) {
      throw_bad_input("object " + std::to_string(prompt->id) +
                      ": the mask is so small that nothing is left of it at the model's size of " +
                      std::to_string(model_.sizes().image) + " pixels; click on the object");
    }
    job.input = decode_mask(job.mask);
    return job;
  }
  job.multimask = use_multimask(count_points(*prompt), job.first, config_);
  if (!job.first) job.input = follow(track.bank, time, config_);
  job.input.tokens = prompt_tokens(*prompt, width, height, model_.sizes().image);
  return job;
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
    if (!prompted && settled(track.bank, time.frame) != nullptr) continue;
    jobs.push_back(make_job(track, prompted ? &*prompt : nullptr, time, width, height));
  }
  std::vector<DecodeInput> inputs;
  inputs.reserve(jobs.size());
  for (Job& job : jobs) inputs.push_back(std::move(job.input));
  std::vector<DecodeOutput> decoded;
  if (!inputs.empty()) decoded = model_.decode(inputs);
  std::vector<TrackStepOutput> outputs(tracks.size());
  for (size_t i = 0; i < tracks.size(); ++i) {
    const FrameRecord* record = settled(tracks[i].bank, time.frame);
    outputs[i].id = tracks[i].id;
    if (record == nullptr) continue;
    outputs[i].mask = *record->mask;
    outputs[i].object_score = sigmoid(record->object_score);
  }
  std::vector<MemoryInput> memories;
  const bool binary = std::ranges::any_of(jobs, &Job::prompted);
  const TrackSizes& sizes = model_.sizes();
  for (size_t i = 0; i < jobs.size(); ++i) {
    Job& job = jobs[i];
    const bool masked = !job.mask.empty();
    const ObjectView view = masked ? view_of_mask(job.mask, decoded[i], sizes, config_)
                                   : choose_mask(decoded[i], job.multimask, sizes, config_);
    memories.push_back(
        {masked ? resize_logits(mask_logits(job.mask), sizes.image, sizes.memory_mask_side())
                : memory_mask(view.mask, sizes),
         binary, view.object_score});
    FrameRecord record{time.frame, nullptr, view.pointer, view.object_score};
    if (job.prompted) record.mask = std::make_shared<const Logits>(view.mask);
    job.track->bank.put(std::move(record), job.first);
    TrackStepOutput& output = outputs[static_cast<size_t>(job.track - tracks.data())];
    output.mask = view.mask;
    output.object_score = sigmoid(view.object_score);
  }
  std::vector<FrameMemory> encoded;
  if (!memories.empty()) encoded = model_.remember(memories);
  for (size_t i = 0; i < jobs.size(); ++i) {
    jobs[i].track->bank.remember(time.frame, std::move(encoded[i]));
  }
  for (VisualTrack& track : tracks) track.bank.prune(time.frame, true, config_);
  return outputs;
}

}  // namespace sam3trt
