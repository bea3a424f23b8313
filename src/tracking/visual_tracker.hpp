#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sam3trt/object_prompt.hpp"
#include "tracking/track.hpp"

namespace sam3trt {

/// An object that was pointed at.
struct VisualTrack {
  int64_t id = 0;
  MemoryBank bank{};
};

/// Follows objects that were pointed at, each on its own, as Sam3TrackerVideoModel does, or by
/// other rules as Meta's Sam3TrackerPredictor.
///
/// An object that is pointed at on a frame on which it was not followed before is decoded without
/// memory, and the frame conditions all others; on one on which it was, as the rules say, and its
/// result is kept when the frame is run again. Memories of a frame on which something was pointed
/// at are made of binary masks.
class VisualTracker {
 public:
  VisualTracker(TrackerModel& model, const TrackerConfig& config, const TrackingRules& rules)
      : model_(model), config_(config), rules_(rules) {}

  /// Runs all tracks on the model's current frame, which is one of width x height pixels; `prompts`
  /// are those for it, and make the tracks that are not there yet. Throws Error(kBadInput) for
  /// prompts that do not fit the frame. An exception leaves `tracks` half done: call it on a copy.
  [[nodiscard]] std::vector<TrackStepOutput> step(std::vector<VisualTrack>& tracks,
                                                  std::span<const ObjectPrompt> prompts,
                                                  const FrameTime& time, int64_t width,
                                                  int64_t height) const;

 private:
  struct Job;

  [[nodiscard]] Job make_job(VisualTrack& track, const ObjectPrompt* prompt, const FrameTime& time,
                             int64_t width, int64_t height) const;
  void point_with_mask(Job& job, const ObjectPrompt& prompt) const;
  void point_with_clicks(Job& job, const ObjectPrompt& prompt, const FrameTime& time, int64_t width,
                         int64_t height) const;
  [[nodiscard]] DecodeInput follow_track(const MemoryBank& bank, const FrameTime& time) const;
  [[nodiscard]] ObjectView view_of(const Job& job, DecodeOutput& decoded) const;
  [[nodiscard]] MemoryInput memory_of(const Job& job, const ObjectView& view, bool binary) const;

  TrackerModel& model_;
  const TrackerConfig& config_;
  const TrackingRules& rules_;
};

}  // namespace sam3trt
