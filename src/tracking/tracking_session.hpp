#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/tracker_config.hpp"
#include "sam3trt/video.hpp"
#include "tracking/text_tracker.hpp"
#include "tracking/tracker_model.hpp"
#include "tracking/tracking_state.hpp"

namespace sam3trt {

/// What VideoSession does, on any model. Concepts are checked by the caller. A call that throws
/// leaves the session as it was.
class TrackingSession {
 public:
  /// The model must outlive the session. Throws Error(kBadInput) for options out of range.
  TrackingSession(TrackerModel& model, const TrackerConfig& config, const TrackOptions& options,
                  const TrackingRules& rules = {});

  void add(const Prompt& concept_prompt);
  void add(const ObjectPrompt& object, int64_t frame);
  [[nodiscard]] std::vector<FrameResult> step(const ImageView& image, int64_t frame);
  [[nodiscard]] std::vector<FrameResult> finish();
  void remove(int64_t id);
  void reset() { state_ = {}; }
  [[nodiscard]] std::vector<int64_t> objects() const;

  [[nodiscard]] const TrackOptions& options() const { return options_; }
  [[nodiscard]] const TrackingState& state() const { return state_; }
  /// Of a session of the same model, wherever its memories are; throws Error(kBadInput) for options
  /// out of range.
  void restore(TrackingState state, const TrackOptions& options);

 private:
  void use(const TrackOptions& options);
  void begin_frame(TrackingState& state, int64_t frame) const;
  [[nodiscard]] std::vector<TextOutput> step_texts(TrackingState& state, int64_t width,
                                                   int64_t height);
  [[nodiscard]] std::vector<TrackStepOutput> step_objects(TrackingState& state, int64_t width,
                                                          int64_t height);
  [[nodiscard]] HeldFrame hold(const TrackingState& state, const ImageView& image,
                               std::span<const TextOutput> texts,
                               std::span<const TrackStepOutput> objects);
  [[nodiscard]] std::vector<FrameResult> release(TrackingState& state, size_t keep) const;
  [[nodiscard]] int64_t pointers(const TrackingState& state, bool text) const;
  [[nodiscard]] size_t delay(const TrackingState& state) const;

  TrackerModel& model_;
  TrackerConfig model_config_;
  TrackerConfig config_;  ///< With what the options change.
  TrackingRules rules_;
  TrackOptions options_;
  TrackingState state_;
  bool told_of_limit_ = false;  ///< Whether it was said that objects are left out.
};

}  // namespace sam3trt
