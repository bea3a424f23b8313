#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sam3trt/export.hpp"
#include "sam3trt/image_view.hpp"
#include "sam3trt/model.hpp"
#include "sam3trt/object_prompt.hpp"
#include "sam3trt/prompt.hpp"

namespace sam3trt {

/// How a video is tracked. What is not set is as the model's configuration says.
struct TrackOptions {
  /// Frames for which a new object of a text is on trial; results are that much later. 0: none, and
  /// objects that would be removed later are not `confirmed` until they are sure.
  std::optional<int64_t> hot_start{};
  bool live = false;                    ///< Results at once, and nothing is removed.
  std::optional<double> det_nms{};      ///< IoU above which the weaker detection goes; 1: off.
  std::optional<int64_t> fill_holes{};  ///< Pixels, at 4 times the grid; 0: off.
  std::optional<size_t> max_objects{};
  /// Of the whole video, where it is known and the video is tracked whole: in clips shorter than
  /// the model's number of pointers (16) distances in time count in them.
  std::optional<int64_t> frames{};
  /// Objects have the logits of their masks, and those that are pointed at are listed on every
  /// frame, also where their mask has no pixel. It is no part of a saved session.
  bool logits = false;
};

/// One object on one frame.
struct TrackedObject {
  int64_t id = 0;
  std::optional<std::string> prompt;  ///< The text that found it; none for clicked ones.
  float score = 0;  ///< Of the detection that began it (text), else equal to `object_score`.
  double object_score = 0;     ///< Probability that the object is in this frame.
  std::array<float, 4> box{};  ///< x0 y0 x1 y1: first and last pixel column and row of the mask.
  int64_t area = 0;            ///< Pixels inside the mask.
  std::vector<uint32_t> counts{};  ///< Run lengths of the mask, as in Instance.
  bool confirmed = true;
  MaskLogits logits{};  ///< Of the whole mask, where TrackOptions::logits asks for them.
};

/// What is on one frame; objects by rising id.
struct FrameResult {
  int64_t frame = 0;  ///< Index in the video.
  int64_t width = 0;  ///< Pixels.
  int64_t height = 0;
  std::vector<TrackedObject> objects;
};

/// Follows objects through a video, frame by frame, in bounded memory. One call at a time, from any
/// thread. On a GPU the model keeps what one ended session ran on, with its memory of the device,
/// for the next one.
class SAM3TRT_API VideoSession {
 public:
  /// Throws Error(kBadInput) for a model without the components of the tracker.
  explicit VideoSession(Model model, const TrackOptions& options = {});
  ~VideoSession();
  VideoSession(VideoSession&&) noexcept;
  VideoSession& operator=(VideoSession&&) noexcept;
  VideoSession(const VideoSession&) = delete;
  VideoSession& operator=(const VideoSession&) = delete;

  /// A concept to look for on every frame from the next one on. The same text again is no new one.
  void add(const Prompt& concept_prompt);

  /// An object to follow, or, where its id is known, a correction of it: applied when step() gets
  /// that frame. Later frames than the next one may be named.
  void add(const ObjectPrompt& object, int64_t frame);

  /// The next frame, which need not be the one after the last: indices rise, or fall when the video
  /// is tracked backwards. Gives the frames whose results are final now: this one at once where
  /// there is no hot start. Throws Error(kBadInput) for an image that cannot be, a frame out of
  /// order or prompts that do not fit it, and leaves the session as it was.
  [[nodiscard]] std::vector<FrameResult> step(const ImageView& image, int64_t frame);

  /// The frames that are still held back, at the end of the video.
  [[nodiscard]] std::vector<FrameResult> finish();

  /// Forgets an object. Throws Error(kBadInput) when there is none of that id.
  void remove(int64_t id);

  /// As after construction: no prompts, no objects, no memory.
  void reset();

  /// Everything that further frames depend on, to go on later or elsewhere with the same model.
  void save(const std::filesystem::path& file) const;
  /// Replaces the session's state. Throws Error(kBadInput) for a file that is not one, is damaged
  /// or belongs to another checkpoint, and leaves the session as it was.
  void load(const std::filesystem::path& file);

  /// Ids of the objects that are followed.
  [[nodiscard]] std::vector<int64_t> objects() const;

  /// Index of the last frame that was given; none before the first.
  [[nodiscard]] std::optional<int64_t> last_frame() const;

  [[nodiscard]] const Model& model() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sam3trt
