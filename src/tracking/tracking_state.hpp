#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sam3trt/object_prompt.hpp"
#include "sam3trt/prompt.hpp"
#include "sam3trt/video.hpp"
#include "tracking/text_track.hpp"
#include "tracking/visual_tracker.hpp"

namespace sam3trt {

/// What is looked for on every frame; without a text only while there are boxes.
struct Concept {
  std::optional<std::string> text;
  std::vector<PromptBox> boxes{};  ///< Examples on the next frame.
};

/// What points at an object on a frame that is still to come.
struct PendingObject {
  int64_t frame = 0;
  ObjectPrompt prompt;
};

/// An object's result that may still be removed, or lose pixels to others.
struct HeldObject {
  TrackedObject object;
  std::optional<size_t> concept_index;
};

/// A frame whose results are not final yet.
struct HeldFrame {
  int64_t frame = 0;
  int64_t width = 0;
  int64_t height = 0;
  std::vector<HeldObject> objects;  ///< By rising id.
};

/// Everything that the results of further frames depend on. Copies are cheap: they share memories,
/// masks and frames that are held back, which are never changed.
struct TrackingState {
  std::optional<int64_t> last;  ///< Frame.
  bool reverse = false;
  int64_t frames = 0;   ///< That were run.
  int64_t max_id = -1;  ///< That was ever used.
  std::vector<Concept> concepts;
  std::vector<PendingObject> pending;
  std::vector<VisualTrack> visual;
  TextTracks text;
  std::vector<std::shared_ptr<const HeldFrame>> held;
};

}  // namespace sam3trt
