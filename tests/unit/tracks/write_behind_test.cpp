#include "tracks/write_behind.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <latch>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Says when the thread that made it ends.
class EndOfThread {
 public:
  explicit EndOfThread(std::promise<void>& ended) : ended_(ended) {}
  ~EndOfThread() { ended_.set_value(); }
  EndOfThread(const EndOfThread&) = delete;
  EndOfThread& operator=(const EndOfThread&) = delete;

 private:
  std::promise<void>& ended_;
};

/// Writes down what it gets. With a gate it stops in its first call until it is opened.
class FakeSink : public TrackSink {
 public:
  void add(FrameResult result, VideoFrame frame) override {
    EXPECT_EQ(result.frame, frame.index);
    pixels.push_back(frame.image.rgb.data());
    take(result.frame, "");
  }
  void add_error(VideoFrame frame) override { take(frame.index, "! " + *frame.error); }
  [[nodiscard]] bool wants_images() const override { return images; }

  void wait_until_it_is_in() { entered_.wait(); }
  void open() { gate_.count_down(); }

  bool gated = false;
  bool images = false;
  int64_t fails_at = -1;
  std::function<void(int64_t)> meanwhile = [](int64_t) {};
  std::vector<std::string> lines;
  std::vector<const uint8_t*> pixels;
  std::set<std::thread::id> threads;
  std::promise<void> thread_ended;

 private:
  void take(int64_t frame, const std::string& more) {
    thread_local const EndOfThread end(thread_ended);
    threads.insert(std::this_thread::get_id());
    if (gated && !std::exchange(has_entered_, true)) {
      entered_.count_down();
      gate_.wait();
    }
    meanwhile(frame);
    if (frame == fails_at) throw std::runtime_error("no room for frame " + std::to_string(frame));
    lines.push_back(std::to_string(frame) + more);
  }

  bool has_entered_ = false;
  std::latch entered_{1};
  std::latch gate_{1};
};

VideoFrame frame_of(int64_t index) { return {index, 0.5, {1, 1, {1, 2, 3}}, std::nullopt}; }

void add(WriteBehind& writer, int64_t index) {
  writer.add(FrameResult{index, 1, 1, {}}, frame_of(index));
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

TEST(WriteBehind, HandsOnResultsAndErrorsInTheirOrderOnOneThreadOfItsOwn) {
  FakeSink sink;
  WriteBehind writer(sink);
  for (int64_t i = 0; i < 20; ++i) {
    if (i % 10 == 3) {
      VideoFrame bad = frame_of(i);
      bad.error = "bad";
      writer.add_error(std::move(bad));
    } else {
      add(writer, i);
    }
  }
  writer.finish();
  std::vector<std::string> expected;
  for (int i = 0; i < 20; ++i) {
    expected.push_back(std::to_string(i) + (i % 10 == 3 ? "! bad" : ""));
  }
  EXPECT_EQ(sink.lines, expected);
  EXPECT_EQ(sink.threads.size(), 1);
  EXPECT_FALSE(sink.threads.contains(std::this_thread::get_id()));
}

TEST(WriteBehind, MovesImagesAndSaysWhetherTheyAreWanted) {
  FakeSink sink;
  WriteBehind writer(sink);
  EXPECT_FALSE(writer.wants_images());
  sink.images = true;
  EXPECT_TRUE(writer.wants_images());
  VideoFrame frame = frame_of(0);
  const uint8_t* pixels = frame.image.rgb.data();
  writer.add(FrameResult{0, 1, 1, {}}, std::move(frame));
  writer.finish();
  EXPECT_THAT(sink.pixels, ElementsAre(pixels));
}

TEST(WriteBehind, LetsFourResultsWaitAndNoMore) {
  constexpr int64_t kFrames = 200;
  constexpr int64_t kWaiting = 4;
  FakeSink sink;
  std::mutex mutex;
  std::condition_variable changed;
  int64_t added = 0;
  int64_t most_ahead = 0;
  sink.meanwhile = [&](int64_t frame) {
    std::unique_lock lock(mutex);
    // As many are taken while this one is in hand, or all there are.
    changed.wait(lock, [&] { return added >= std::min(frame + 1 + kWaiting, kFrames); });
    most_ahead = std::max(most_ahead, added - (frame + 1));
  };
  WriteBehind writer(sink);
  for (int64_t i = 0; i < kFrames; ++i) {
    add(writer, i);
    const std::scoped_lock lock(mutex);
    ++added;
    changed.notify_all();
  }
  writer.finish();
  EXPECT_EQ(sink.lines.size(), kFrames);
  EXPECT_EQ(most_ahead, kWaiting);
}

TEST(WriteBehind, ThrowsWhatTheSinkThrewAndHandsOnNothingAfterIt) {
  FakeSink sink;
  sink.gated = true;
  sink.fails_at = 1;
  {
    WriteBehind writer(sink);
    for (int64_t i = 0; i < 4; ++i) add(writer, i);
    sink.open();
    const std::string failure = "no room for frame 1";
    EXPECT_EQ(message_of([&] { writer.finish(); }), failure);
    EXPECT_EQ(message_of([&] { add(writer, 4); }), failure);
    EXPECT_EQ(message_of([&] { writer.add_error({5, 0.5, {}, "bad"}); }), failure);
    EXPECT_EQ(message_of([&] { writer.finish(); }), failure);
    EXPECT_TRUE(writer.drain());
  }
  EXPECT_THAT(sink.lines, ElementsAre("0"));
}

TEST(WriteBehind, EndsACallThatWaitsForRoomWhenTheSinkFails) {
  FakeSink sink;
  sink.gated = true;
  sink.fails_at = 0;
  WriteBehind writer(sink);
  add(writer, 0);
  sink.wait_until_it_is_in();
  for (int64_t i = 1; i < 5; ++i) add(writer, i);
  auto waits = std::async(std::launch::async, [&] { add(writer, 5); });
  sink.open();
  EXPECT_EQ(message_of([&] { waits.get(); }), "no room for frame 0");
  EXPECT_THAT(sink.lines, IsEmpty());
}

TEST(WriteBehind, HandsOnWhatWaitsWhenTheTrackerFails) {
  FakeSink sink;
  sink.gated = true;
  const auto run = [&] {
    WriteBehind writer(sink);
    for (int64_t i = 0; i < 3; ++i) add(writer, i);
    sink.wait_until_it_is_in();
    sink.open();
    throw std::runtime_error("the tracker fails");
  };
  EXPECT_EQ(message_of(run), "the tracker fails");
  EXPECT_THAT(sink.lines, ElementsAre("0", "1", "2"));
}

TEST(WriteBehind, WarnsAtItsEndOfAFailureThatNobodyWasTold) {
  std::vector<std::string> warnings;
  set_log_sink([&](LogLevel, std::string_view text) { warnings.emplace_back(text); });
  FakeSink sink;
  sink.fails_at = 1;
  {
    WriteBehind writer(sink);
    for (int64_t i = 0; i < 2; ++i) add(writer, i);
  }
  FakeSink told;
  told.fails_at = 0;
  {
    WriteBehind writer(told);
    add(writer, 0);
    EXPECT_THROW(writer.finish(), std::runtime_error);
  }
  set_log_sink({});
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("no room for frame 1")));
}

TEST(WriteBehind, DrainsWhatIsThereAndGivesUpInTime) {
  FakeSink sink;
  sink.gated = true;
  WriteBehind writer(sink);
  EXPECT_TRUE(writer.drain());
  for (int64_t i = 0; i < 3; ++i) add(writer, i);
  EXPECT_FALSE(writer.drain(std::chrono::milliseconds(1)));
  sink.open();
  EXPECT_TRUE(writer.drain());
  EXPECT_THAT(sink.lines, ElementsAre("0", "1", "2"));
  add(writer, 3);
  writer.finish();
  EXPECT_THAT(sink.lines, ElementsAre("0", "1", "2", "3"));
}

TEST(WriteBehind, KeepsItsThreadAliveUntilItsEndAlsoAfterAFailure) {
  FakeSink sink;
  sink.fails_at = 1;
  const std::future<void> ended = sink.thread_ended.get_future();
  // Time for a thread that ends too early to do so.
  const auto has_ended = [&] {
    return ended.wait_for(std::chrono::milliseconds(50)) == std::future_status::ready;
  };
  {
    WriteBehind writer(sink);
    add(writer, 0);
    writer.finish();
    EXPECT_FALSE(has_ended());
    add(writer, 1);
    EXPECT_THROW(writer.finish(), std::runtime_error);
    EXPECT_FALSE(has_ended());
  }
  EXPECT_TRUE(has_ended());
}

}  // namespace
}  // namespace sam3trt
