#pragma once

#include <utility>
#include <vector>

#include "sam3trt/image.hpp"
#include "tracks/track_loop.hpp"

namespace sam3trt {

/// A VideoSession for the loop; whoever uses it links the model.
class SessionTracker : public FrameTracker {
 public:
  SessionTracker(Model model, const TrackOptions& options) : session_(std::move(model), options) {}

  void add(const Prompt& wanted) override { session_.add(wanted); }
  void add(const ObjectPrompt& object, int64_t frame) override { session_.add(object, frame); }
  std::vector<FrameResult> step(const Image& image, int64_t frame) override {
    return session_.step(view_of(image), frame);
  }
  std::vector<FrameResult> finish() override { return session_.finish(); }

 private:
  VideoSession session_;
};

}  // namespace sam3trt
