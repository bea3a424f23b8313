#include "tracks/track_loop.hpp"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/error.hpp"

namespace sam3trt {
namespace {

int64_t frame_of(const PlacedObject& object) { return object.frame.value_or(0); }

}  // namespace

TrackPasses plan_passes(const TrackPlan& plan) {
  std::optional<int64_t> lowest;
  std::optional<int64_t> highest;
  bool whole = false;
  const auto take = [&](int64_t frame) {
    lowest = std::min(lowest.value_or(frame), frame);
    highest = std::max(highest.value_or(frame), frame);
  };
  for (const PlacedObject& object : plan.objects) take(frame_of(object));
  for (const PlacedConcept& wanted : plan.concepts) {
    if (wanted.frame) {
      take(*wanted.frame);
    } else {
      whole = true;
    }
  }
  switch (plan.direction) {
    case TrackDirection::kForward:
      return {};
    case TrackDirection::kBackward:
      return {{.backward = true, .first = whole ? std::nullopt : highest}, std::nullopt};
    case TrackDirection::kBoth: {
      const int64_t start = whole ? 0 : lowest.value_or(0);
      TrackPasses passes{{.backward = false, .first = start}, std::nullopt};
      if (start > 0) passes.second = FrameOrder{.backward = true, .first = start - 1};
      return passes;
    }
  }
  return {};
}

/// One way through the video.
class TrackLoop::Pass {
 public:
  explicit Pass(TrackLoop& loop) : loop_(loop) {}

  void take(VideoFrame frame, const VideoInfo& video) {
    waiting_.push_back({std::move(frame), std::nullopt});
    Waiting& last = waiting_.back();
    if (last.frame.error) return release();
    if (!loop_.active_) {
      last.result = FrameResult{last.frame.index, video.width, video.height, {}};
    } else {
      fill(loop_.tracker_.step(last.frame.image, last.frame.index));
    }
    if (!loop_.sink_.wants_images()) last.frame.image = {};
    release();
  }

  void finish() {
    if (loop_.active_) fill(loop_.tracker_.finish());
    release();
    if (waiting_.empty()) return;
    throw Error(ErrorCode::kInternal, "the tracker gave no result for frame " +
                                          std::to_string(waiting_.front().frame.index));
  }

 private:
  void fill(std::vector<FrameResult> results) {
    for (FrameResult& result : results) {
      const auto found = std::ranges::find_if(waiting_, [&](const Waiting& waiting) {
        return waiting.frame.index == result.frame && !waiting.result && !waiting.frame.error;
      });
      if (found == waiting_.end()) {
        throw Error(ErrorCode::kInternal, "the tracker gave a result for frame " +
                                              std::to_string(result.frame) +
                                              ", which is not waiting for one");
      }
      found->result = std::move(result);
    }
  }

  void release() {
    while (!waiting_.empty()) {
      Waiting& first = waiting_.front();
      if (first.frame.error) {
        loop_.sink_.add_error(std::move(first.frame));
      } else if (first.result) {
        loop_.sink_.add(std::move(*first.result), std::move(first.frame));
      } else {
        return;
      }
      waiting_.pop_front();
    }
  }

  TrackLoop& loop_;
  std::deque<Waiting> waiting_;
};

TrackLoop::TrackLoop(FrameTracker& tracker, const TrackPlan& plan, TrackSink& sink)
    : tracker_(tracker),
      plan_(plan),
      sink_(sink),
      concept_added_(plan.concepts.size()),
      object_reached_(plan.objects.size()) {
  for (const PlacedObject& object : plan.objects) tracker_.add(object.prompt, frame_of(object));
}

void TrackLoop::run(FrameSource& source) {
  Pass pass(*this);
  int64_t expected = 0;
  int64_t step = 1;
  for (bool broken = false; !broken;) {
    std::optional<VideoFrame> frame;
    try {
      frame = source.next();
    } catch (const Error& error) {
      broken = true;
      frame = VideoFrame{expected, std::nullopt, {}, error.what()};
    }
    if (!frame) break;
    if (frame->index < expected - 1) step = -1;
    expected = frame->index + step;
    const bool readable = !frame->error;
    for (size_t i = 0; readable && i < plan_.concepts.size(); ++i) {
      const PlacedConcept& wanted = plan_.concepts[i];
      if (concept_added_[i] || (wanted.frame && *wanted.frame != frame->index)) continue;
      tracker_.add(wanted.prompt);
      concept_added_[i] = true;
      active_ = true;
    }
    for (size_t i = 0; readable && i < plan_.objects.size(); ++i) {
      if (frame_of(plan_.objects[i]) != frame->index) continue;
      object_reached_[i] = true;
      active_ = true;
    }
    pass.take(std::move(*frame), source.info());
  }
  pass.finish();
}

std::vector<std::string> TrackLoop::missed() const {
  std::vector<std::string> sentences;
  for (size_t i = 0; i < plan_.objects.size(); ++i) {
    if (object_reached_[i]) continue;
    sentences.push_back("the object " + std::to_string(plan_.objects[i].prompt.id) +
                        " is pointed at on frame " + std::to_string(frame_of(plan_.objects[i])) +
                        ", which the video does not have or which cannot be read");
  }
  for (size_t i = 0; i < plan_.concepts.size(); ++i) {
    if (concept_added_[i]) continue;
    const PlacedConcept& wanted = plan_.concepts[i];
    sentences.push_back((wanted.prompt.text ? "'" + *wanted.prompt.text + "'" : "a concept") +
                        " was to be looked for from frame " +
                        std::to_string(wanted.frame.value_or(0)) +
                        " on, which the video does not have or which cannot be read");
  }
  return sentences;
}

}  // namespace sam3trt
