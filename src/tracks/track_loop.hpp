#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "prompts/prompt_file.hpp"
#include "sam3trt/video.hpp"
#include "video/frame_source.hpp"

namespace sam3trt {

enum class TrackDirection { kForward, kBackward, kBoth };

/// What is followed, and which way. Objects without a frame are pointed at on the first one of the
/// video; concepts without one are looked for from the first frame that is tracked.
struct TrackPlan {
  std::vector<PlacedConcept> concepts;
  std::vector<PlacedObject> objects;
  TrackDirection direction = TrackDirection::kForward;
};

/// Where tracking begins, and where the way back begins, if there is one. Forwards every frame from
/// the first one on is tracked. Backwards it is every frame from the last prompted one down, or,
/// with a concept that has no frame, from the last one of the video. Both ways begin at the first
/// prompted frame (a concept without a frame: the first one of the video): to the end, then from
/// the frame before it down to the first one.
struct TrackPasses {
  FrameOrder first;
  std::optional<FrameOrder> second;
};
[[nodiscard]] TrackPasses plan_passes(const TrackPlan& plan);

/// What follows objects: VideoSession, or a test's.
class FrameTracker {
 public:
  FrameTracker() = default;
  virtual ~FrameTracker() = default;
  FrameTracker(const FrameTracker&) = delete;
  FrameTracker& operator=(const FrameTracker&) = delete;

  virtual void add(const Prompt& wanted) = 0;
  virtual void add(const ObjectPrompt& object, int64_t frame) = 0;
  [[nodiscard]] virtual std::vector<FrameResult> step(const Image& image, int64_t frame) = 0;
  [[nodiscard]] virtual std::vector<FrameResult> finish() = 0;
};

/// Who gets the results, frame by frame in the order in which they are tracked. They are moved in,
/// for a sink that keeps them.
class TrackSink {
 public:
  TrackSink() = default;
  virtual ~TrackSink() = default;
  TrackSink(const TrackSink&) = delete;
  TrackSink& operator=(const TrackSink&) = delete;

  /// `frame` has its image only when wants_images().
  virtual void add(FrameResult result, VideoFrame frame) = 0;
  /// A frame that cannot be read.
  virtual void add_error(VideoFrame frame) = 0;
  [[nodiscard]] virtual bool wants_images() const = 0;
};

/// Tracks a video. One object for all passes.
class TrackLoop {
 public:
  /// All must outlive the loop. Adds the concepts and objects to the tracker.
  TrackLoop(FrameTracker& tracker, const TrackPlan& plan, TrackSink& sink);

  /// Every frame of the source. Frames before anything is asked for are not tracked: their results
  /// are empty. When the source breaks off, the frames so far have their results before its error
  /// is thrown on. Throws what the tracker throws.
  void run(FrameSource& source);

  /// After the last pass: prompts whose frame did not come, one sentence each.
  [[nodiscard]] std::vector<std::string> missed() const;

 private:
  /// A frame whose result is not there yet.
  struct Waiting {
    VideoFrame frame;
    std::optional<FrameResult> result;
  };
  class Pass;

  FrameTracker& tracker_;
  const TrackPlan& plan_;
  TrackSink& sink_;
  std::vector<bool> concept_added_;
  std::vector<bool> object_reached_;
  bool active_ = false;
};

}  // namespace sam3trt
