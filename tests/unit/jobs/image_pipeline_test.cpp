#include "jobs/image_pipeline.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

namespace sam3trt {
namespace {

using std::chrono::milliseconds;

/// A pipeline over `count` images that records what is done with them. Each image takes another
/// time, so that they overtake each other.
class Recorder {
 public:
  explicit Recorder(size_t count, size_t runners = 2) {
    steps.take = [this, count](PipelineImage& image) {
      if (taken == count) return false;
      image.result.path = std::to_string(taken++);
      note_alive(+1);
      return true;
    };
    steps.load = [this](PipelineImage& image) {
      std::this_thread::sleep_for(std::chrono::microseconds(image.index * 7919 % 900));
      if (fails.contains(image.index)) {
        image.result.error = "cannot be read";
      } else {
        image.pixels = std::make_shared<Image>(Image{10, 10, std::vector<uint8_t>(bytes)});
      }
    };
    for (size_t i = 0; i < runners; ++i) {
      steps.run.emplace_back([this](std::span<PipelineImage* const> images) {
        const std::scoped_lock lock(mutex);
        batches.push_back(images.size());
        for (const PipelineImage* image : images) ran.push_back(image->index);
      });
    }
    steps.finish = [](PipelineImage& image) {
      std::this_thread::sleep_for(std::chrono::microseconds(image.index * 104729 % 900));
      image.line = "line " + image.result.path;
    };
    steps.write = [this](PipelineImage& image) {
      lines.push_back(image.line);
      note_alive(-1);
    };
  }

  void note_alive(int change) {
    const std::scoped_lock lock(mutex);
    alive += change;
    most_alive = std::max(most_alive, alive);
  }

  PipelineSteps steps;
  std::set<uint64_t> fails;
  size_t bytes = 300;
  size_t taken = 0;
  std::mutex mutex;
  int alive = 0;
  int most_alive = 0;
  std::vector<size_t> batches;
  std::vector<uint64_t> ran;
  std::vector<std::string> lines;
};

std::vector<std::string> lines_up_to(size_t count) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < count; ++i) lines.push_back("line " + std::to_string(i));
  return lines;
}

TEST(ImagePipeline, WritesEachImageOnceInItsOrder) {
  for (const size_t threads : {1, 2, 5}) {
    Recorder recorder(200);
    run_pipeline(recorder.steps, {.threads = threads, .batch = 4});
    EXPECT_EQ(recorder.lines, lines_up_to(200));
    std::ranges::sort(recorder.ran);
    EXPECT_EQ(recorder.ran.size(), 200U);
    EXPECT_EQ(std::ranges::adjacent_find(recorder.ran), recorder.ran.end());
  }
}

TEST(ImagePipeline, FillsBatchesAndRunsTheRest) {
  Recorder recorder(21, 1);
  run_pipeline(recorder.steps, {.threads = 3, .batch = 8});
  EXPECT_THAT(recorder.batches, testing::ElementsAre(8, 8, 5));
}

TEST(ImagePipeline, DoesNotRunWhatCannotBeRead) {
  Recorder recorder(30);
  recorder.fails = {0, 7, 8, 29};
  run_pipeline(recorder.steps, {.threads = 3, .batch = 4});
  EXPECT_EQ(recorder.lines, lines_up_to(30));
  EXPECT_EQ(recorder.ran.size(), 26U);
  for (const uint64_t index : recorder.ran) EXPECT_FALSE(recorder.fails.contains(index));
}

TEST(ImagePipeline, EndsWithoutImages) {
  Recorder recorder(0);
  run_pipeline(recorder.steps, {.threads = 2});
  EXPECT_TRUE(recorder.lines.empty());
}

TEST(ImagePipeline, HoldsNoMoreImagesThanItMay) {
  for (const size_t limit : {1, 3, 10}) {
    Recorder recorder(60);
    run_pipeline(recorder.steps, {.threads = 4, .batch = 8, .images = limit});
    EXPECT_EQ(recorder.lines, lines_up_to(60)) << limit;
    EXPECT_LE(recorder.most_alive, static_cast<int>(limit));
  }
}

TEST(ImagePipeline, HoldsNoMorePixelsThanItMay) {
  Recorder recorder(40);
  recorder.bytes = size_t{1} << 20;
  // A limit below one image: one at a time, once their size is known.
  run_pipeline(recorder.steps, {.threads = 4, .batch = 8, .pixel_bytes = 1000});
  EXPECT_EQ(recorder.lines, lines_up_to(40));
  EXPECT_LE(recorder.most_alive, 2);
}

TEST(ImagePipeline, EndsWithWhatAnyStepThrows) {
  const auto expect_end = [](auto&& spoil) {
    Recorder recorder(50);
    spoil(recorder);
    EXPECT_THROW(run_pipeline(recorder.steps, {.threads = 3, .batch = 2}), std::runtime_error);
  };
  const auto fail_at_20 = [](PipelineImage& image) {
    if (image.index == 20) throw std::runtime_error("broken");
  };
  expect_end([&](Recorder& r) { r.steps.load = fail_at_20; });
  expect_end([&](Recorder& r) { r.steps.finish = fail_at_20; });
  expect_end([&](Recorder& r) { r.steps.write = fail_at_20; });
  expect_end([&](Recorder& r) {
    r.steps.take = [](PipelineImage&) -> bool { throw std::runtime_error("broken"); };
  });
  expect_end([&](Recorder& r) {
    r.steps.run[0] = r.steps.run[1] = [](std::span<PipelineImage* const>) {
      throw std::runtime_error("broken");
    };
  });
}

TEST(ImagePipeline, StepsOverlap) {
  Recorder recorder(12, 1);
  const auto slow = [](PipelineImage& image) {
    std::this_thread::sleep_for(milliseconds(20));
    if (!image.pixels) image.pixels = std::make_shared<Image>();
  };
  recorder.steps.load = slow;
  recorder.steps.finish = slow;
  std::atomic<int> at_once = 0;
  std::atomic<int> most = 0;
  const auto counted = [&](const auto& step) {
    return [&, step](auto&&... arguments) {
      most = std::max(most.load(), ++at_once);
      step(arguments...);
      --at_once;
    };
  };
  recorder.steps.load = counted(recorder.steps.load);
  recorder.steps.finish = counted(recorder.steps.finish);
  recorder.steps.run[0] = counted(
      [](std::span<PipelineImage* const>) { std::this_thread::sleep_for(milliseconds(20)); });
  run_pipeline(recorder.steps, {.threads = 3});
  EXPECT_GE(most, 3);
}

}  // namespace
}  // namespace sam3trt
