#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tracking/association.hpp"
#include "tracking/text_track.hpp"

namespace sam3trt {

/// A frame's result for an object that a concept found.
struct TextOutput {
  TrackStepOutput output;
  size_t concept_index = 0;
  float score = 0;          ///< Of the detection that began it.
  bool confirmed = true;    ///< Off trial.
  bool suppressed = false;  ///< Not to be shown on this frame.
};

/// What a frame came to.
struct TextStep {
  std::vector<TextOutput> outputs;  ///< By rising id, without those that were removed.
  std::vector<int64_t> removed;     ///< Ids.
  size_t left_out = 0;              ///< New objects beyond the largest number.
};

/// How a frame is run.
struct TextStepOptions {
  bool live = false;           ///< Nothing is removed.
  size_t room = 0;             ///< Objects that may be followed.
  int64_t next_id = 0;         ///< Of the first new object.
  std::vector<bool> searched;  ///< For each concept: whether it was looked for on this frame.
  int64_t width = 0;           ///< Of the frame, in pixels.
  int64_t height = 0;
};

/// Follows what concepts find, as Sam3VideoModel does, or by other rules as Meta's
/// Sam3VideoInference: tracks are propagated, detections associated
/// with them, new objects added, tracks on trial removed, those that overlap suppressed, and only
/// then the frame is remembered.
class TextTracker {
 public:
  TextTracker(TrackerModel& model, const TrackerConfig& config, const TrackingRules& rules)
      : model_(model), config_(config), rules_(rules) {}

  /// Runs all tracks on the model's current frame. An exception leaves `all` half done: call it on
  /// a copy.
  [[nodiscard]] TextStep step(TextTracks& all, std::vector<FoundObject> found,
                              const FrameTime& time, const TextStepOptions& options) const;

 private:
  struct Frame;

  void propagate(TextTracks& all, const FrameTime& time, Frame& frame) const;
  [[nodiscard]] std::vector<size_t> choose_new(const TextTracks& all,
                                               std::span<const FoundObject> found,
                                               std::vector<size_t> fresh,
                                               const TextStepOptions& options,
                                               TextStep& result) const;
  void confirm(TextTracks& all, std::span<const FoundObject> found, const Association& association,
               const FrameTime& time, Frame& frame) const;
  void remember(TextTracks& all, const FrameTime& time, Frame& frame, bool all_again) const;
  void add_new(TextTracks& all, std::span<const FoundObject> found, std::span<const size_t> fresh,
               const FrameTime& time, const TextStepOptions& options) const;
  void confirm_groups(TextTracks& all, std::span<const FoundObject> found,
                      const Association& association, const FrameTime& time, const Frame& frame,
                      const TextStepOptions& options) const;
  void remember_groups(TextTracks& all, const FrameTime& time, const Frame& frame) const;
  void add_group(TextTracks& all, std::span<const FoundObject> found, std::span<const size_t> fresh,
                 const FrameTime& time, const TextStepOptions& options) const;
  void prune(TextTracks& all, const FrameTime& time) const;

  TrackerModel& model_;
  const TrackerConfig& config_;
  const TrackingRules& rules_;
};

}  // namespace sam3trt
