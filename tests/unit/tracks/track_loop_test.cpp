#include "tracks/track_loop.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "base/error.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Frames of one pixel.
class FakeSource : public FrameSource {
 public:
  FakeSource(int64_t first, int64_t count, int64_t step = 1)
      : next_(first), left_(count), step_(step) {}

  [[nodiscard]] const VideoInfo& info() const override { return info_; }
  [[nodiscard]] std::vector<std::string> files() const override { return {}; }
  [[nodiscard]] std::optional<VideoFrame> next() override {
    if (left_ == 0 && breaks) throw_bad_input("v: breaks off");
    if (left_-- <= 0) return std::nullopt;
    VideoFrame frame{next_, 0.5, {1, 1, {1, 2, 3}}, std::nullopt};
    if (next_ == bad) frame.error = "bad frame";
    next_ += step_;
    return frame;
  }

  int64_t bad = -1;
  bool breaks = false;

 private:
  VideoInfo info_{.path = "v", .width = 1, .height = 1};
  int64_t next_;
  int64_t left_;
  int64_t step_;
};

/// Gives each frame's result `delay` frames later.
class FakeTracker : public FrameTracker {
 public:
  explicit FakeTracker(size_t delay = 0) : delay_(delay) {}

  void add(const Prompt& wanted) override { log.push_back("text " + *wanted.text); }
  void add(const ObjectPrompt& object, int64_t frame) override {
    log.push_back("object " + std::to_string(object.id) + "@" + std::to_string(frame));
  }
  std::vector<FrameResult> step(const Image& image, int64_t frame) override {
    EXPECT_EQ(image.width, 1);
    log.push_back("step " + std::to_string(frame));
    held_.push_back(frame);
    return release(delay_);
  }
  std::vector<FrameResult> finish() override {
    log.emplace_back("finish");
    return release(0);
  }

  std::vector<std::string> log;

 private:
  std::vector<FrameResult> release(size_t keep) {
    std::vector<FrameResult> results;
    while (held_.size() > keep) {
      results.push_back({held_.front(), 1, 1, {TrackedObject{}}});
      held_.pop_front();
    }
    return results;
  }

  size_t delay_;
  std::deque<int64_t> held_;
};

class FakeSink : public TrackSink {
 public:
  void add(FrameResult result, VideoFrame frame) override {
    EXPECT_EQ(result.frame, frame.index);
    EXPECT_EQ(frame.image.rgb.empty(), !images);
    lines.push_back(std::to_string(result.frame) + (result.objects.empty() ? "" : "*"));
  }
  void add_error(VideoFrame frame) override {
    lines.push_back(std::to_string(frame.index) + "!");
    errors.push_back(*frame.error);
  }
  [[nodiscard]] bool wants_images() const override { return images; }

  bool images = false;
  std::vector<std::string> lines;
  std::vector<std::string> errors;
};

PlacedObject object_at(int64_t id, std::optional<int64_t> frame) {
  ObjectPrompt prompt;
  prompt.id = id;
  prompt.points.push_back({1, 1, true});
  return {prompt, std::nullopt, frame};
}

PlacedConcept text_at(const std::string& text, std::optional<int64_t> frame) {
  return {{text, {}}, std::nullopt, frame};
}

TEST(TrackLoop, DoesNotTrackBeforeAnythingIsAskedFor) {
  FakeTracker tracker;
  const TrackPlan plan{{}, {object_at(1, 2)}, TrackDirection::kForward};
  FakeSink sink;
  TrackLoop loop(tracker, plan, sink);
  FakeSource source(0, 4);
  loop.run(source);
  EXPECT_THAT(tracker.log, ElementsAre("object 1@2", "step 2", "step 3", "finish"));
  EXPECT_THAT(sink.lines, ElementsAre("0", "1", "2*", "3*"));
  EXPECT_TRUE(loop.missed().empty());
}

TEST(TrackLoop, AddsConceptsAtTheirFrames) {
  FakeTracker tracker;
  const TrackPlan plan{{text_at("b", 1), text_at("a", std::nullopt)}, {}, TrackDirection::kForward};
  FakeSink sink;
  TrackLoop loop(tracker, plan, sink);
  FakeSource source(0, 3);
  loop.run(source);
  EXPECT_THAT(tracker.log, ElementsAre("text a", "step 0", "text b", "step 1", "step 2", "finish"));
}

TEST(TrackLoop, KeepsTheOrderWhereResultsComeLateAndFramesCannotBeRead) {
  FakeTracker tracker(2);
  const TrackPlan plan{{text_at("a", std::nullopt)}, {}, TrackDirection::kForward};
  FakeSink sink;
  sink.images = true;
  TrackLoop loop(tracker, plan, sink);
  FakeSource source(0, 5);
  source.bad = 2;
  loop.run(source);
  EXPECT_THAT(sink.lines, ElementsAre("0*", "1*", "2!", "3*", "4*"));
}

TEST(TrackLoop, EndsASourceThatBreaksOffWithAnError) {
  FakeTracker tracker(2);
  const TrackPlan plan{{text_at("a", std::nullopt)}, {}, TrackDirection::kForward};
  FakeSink sink;
  TrackLoop loop(tracker, plan, sink);
  FakeSource source(0, 3);
  source.breaks = true;
  loop.run(source);
  EXPECT_THAT(sink.lines, ElementsAre("0*", "1*", "2*", "3!"));
  EXPECT_THAT(sink.errors, ElementsAre("v: breaks off"));
}

TEST(TrackLoop, NamesPromptsWhoseFrameDidNotCome) {
  FakeTracker tracker;
  const TrackPlan plan{
      {text_at("a", 9)}, {object_at(1, 0), object_at(2, 7)}, TrackDirection::kForward};
  FakeSink sink;
  TrackLoop loop(tracker, plan, sink);
  FakeSource source(0, 3);
  loop.run(source);
  EXPECT_THAT(loop.missed(), ElementsAre(HasSubstr("the object 2 is pointed at on frame 7"),
                                         HasSubstr("'a' was to be looked for from frame 9")));
}

TEST(TrackLoop, TracksBothWaysWithOneSession) {
  FakeTracker tracker(1);
  const TrackPlan plan{{}, {object_at(1, 2), object_at(2, 3)}, TrackDirection::kBoth};
  const TrackPasses passes = plan_passes(plan);
  EXPECT_EQ(passes.first.first, 2);
  ASSERT_TRUE(passes.second);
  EXPECT_TRUE(passes.second->backward);
  EXPECT_EQ(passes.second->first, 1);
  FakeSink sink;
  TrackLoop loop(tracker, plan, sink);
  FakeSource forward(2, 3);
  loop.run(forward);
  FakeSource backward(1, 2, -1);
  loop.run(backward);
  EXPECT_THAT(sink.lines, ElementsAre("2*", "3*", "4*", "1*", "0*"));
  EXPECT_THAT(tracker.log, ElementsAre("object 1@2", "object 2@3", "step 2", "step 3", "step 4",
                                       "finish", "step 1", "step 0", "finish"));
}

TEST(PlanPasses, BeginsWhereTheDirectionNeedsIt) {
  using Direction = TrackDirection;
  EXPECT_FALSE(plan_passes({{}, {object_at(1, 5)}, Direction::kForward}).first.first);
  const TrackPasses backward =
      plan_passes({{}, {object_at(1, 5), object_at(1, 2)}, Direction::kBackward});
  EXPECT_TRUE(backward.first.backward);
  EXPECT_EQ(backward.first.first, 5);
  EXPECT_FALSE(backward.second);
  EXPECT_FALSE(plan_passes({{text_at("a", std::nullopt)}, {object_at(1, 5)}, Direction::kBackward})
                   .first.first);
  EXPECT_FALSE(
      plan_passes({{text_at("a", std::nullopt)}, {object_at(1, 5)}, Direction::kBoth}).second);
  EXPECT_EQ(plan_passes({{text_at("a", 4)}, {}, Direction::kBoth}).second->first, 3);
}

TEST(TrackLoop, RefusesATrackerThatForgetsAFrame) {
  class Forgetful : public FakeTracker {
   public:
    std::vector<FrameResult> step(const Image&, int64_t) override { return {}; }
  };
  Forgetful tracker;
  const TrackPlan plan{{text_at("a", std::nullopt)}, {}, TrackDirection::kForward};
  FakeSink sink;
  TrackLoop loop(tracker, plan, sink);
  FakeSource source(0, 2);
  EXPECT_THROW(loop.run(source), Error);
}

}  // namespace
}  // namespace sam3trt
