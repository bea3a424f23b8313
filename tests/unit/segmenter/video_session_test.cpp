#include "sam3trt/video.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "fake_cuda.hpp"
#include "fake_driver.hpp"
#include "fake_graphs.hpp"
#include "fake_plan.hpp"
#include "scenes.hpp"
#include "segmenter/shared_model.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;

std::string text_of(const std::vector<FrameResult>& results) {
  std::string text;
  for (const FrameResult& result : results) {
    text += "frame " + std::to_string(result.frame) + "\n";
    for (const TrackedObject& object : result.objects) {
      text += " " + std::to_string(object.id) + " " + testing::PrintToString(object.object_score) +
              " " + std::to_string(object.area) + " " + testing::PrintToString(object.counts) +
              "\n";
    }
  }
  return text;
}

/// Sessions on the fake GPU, whose memories stay there, beside those on the CPU.
class VideoSessionTest : public testing::Test {
 protected:
  VideoSessionTest() { config_.tracker->max_num_objects = 16; }

  [[nodiscard]] Model gpu_model() const {
    device_.make_current();
    auto gpu = std::make_shared<const GpuModel>(
        device_, fake_plans(graphs_.all_engines(), config_, {}), config_, Semantics::kHf);
    return Model(std::make_shared<const SharedModel>(std::move(gpu), FakeGraphs::tokenizer()));
  }

  [[nodiscard]] Model cpu_model() const {
    return Model(
        std::make_shared<const SharedModel>(std::make_shared<SharedEngines>(graphs_.all_engines()),
                                            FakeGraphs::tokenizer(), config_, Semantics::kHf));
  }

  static std::string step(VideoSession& session, int64_t frame) {
    const Image image = image_of(12, 10, static_cast<uint8_t>(3 * frame + 1));
    return text_of(session.step(view_of(image), frame));
  }

  static void click(VideoSession& session, int64_t id, int64_t frame) {
    ObjectPrompt prompt;
    prompt.id = id;
    prompt.points = {{static_cast<double>(id % 11), 4, true}};
    session.add(prompt, frame);
  }

  /// Three objects, one of which comes later.
  static std::string run(VideoSession& session, int64_t first, int64_t end) {
    std::string text;
    for (int64_t frame = first; frame < end; ++frame) {
      if (frame == 0) click(session, 1, 0);
      if (frame == 0) click(session, 2, 0);
      if (frame == 3) click(session, 5, 3);
      text += step(session, frame);
    }
    return text;
  }

  static std::filesystem::path file(const char* name) {
    return std::filesystem::path(testing::TempDir()) / name;
  }

  FakeGraphs graphs_;
  ModelConfig config_ = FakeGraphs::config();
  CudaDevice device_{0, fake_driver()};
};

TEST_F(VideoSessionTest, GivesOnAGpuWhatItGivesOnTheCpu) {
  VideoSession cpu(cpu_model());
  VideoSession gpu(gpu_model());
  const std::string wanted = run(cpu, 0, 9);
  EXPECT_EQ(run(gpu, 0, 9), wanted);
  EXPECT_THAT(wanted, testing::AllOf(HasSubstr("\n 1 "), HasSubstr("\n 5 ")));
}

TEST_F(VideoSessionTest, ASavedSessionGoesOnOnAnotherBackend) {
  VideoSession cpu(cpu_model());
  VideoSession gpu(gpu_model());
  (void)run(cpu, 0, 5);
  (void)run(gpu, 0, 5);
  cpu.save(file("cpu.bin"));
  gpu.save(file("gpu.bin"));
  EXPECT_EQ(read_file(file("gpu.bin")), read_file(file("cpu.bin")));
  VideoSession later_cpu(cpu_model());
  VideoSession later_gpu(gpu_model());
  later_cpu.load(file("gpu.bin"));
  later_gpu.load(file("cpu.bin"));
  later_gpu.save(file("again.bin"));  // before anything runs on it
  EXPECT_EQ(read_file(file("again.bin")), read_file(file("cpu.bin")));
  const std::string wanted = run(cpu, 5, 9);
  EXPECT_EQ(run(gpu, 5, 9), wanted);
  EXPECT_EQ(run(later_cpu, 5, 9), wanted);
  EXPECT_EQ(run(later_gpu, 5, 9), wanted);
}

TEST_F(VideoSessionTest, EveryFailureOfAStepLeavesTheSessionAsItWas) {
  VideoSession cpu(cpu_model());
  (void)run(cpu, 0, 4);
  const std::string wanted[] = {step(cpu, 4), step(cpu, 5)};
  int64_t failed = 0;
  for (int64_t number = 1;; ++number) {
    VideoSession session(gpu_model());
    (void)run(session, 0, 4);
    fake_cuda_fail_call(number);
    bool done = false;
    try {
      EXPECT_EQ(step(session, 4), wanted[0]) << "call " << number << " of the driver";
      done = true;
    } catch (const Error& error) {
      ++failed;
      EXPECT_NE(error.code(), ErrorCode::kBadInput) << error.what();
    }
    const bool reached = fake_cuda_counted_calls() >= number;
    fake_cuda_fail_call(0);
    if (!done) {
      EXPECT_EQ(step(session, 4), wanted[0]) << "after call " << number;
    }
    EXPECT_EQ(step(session, 5), wanted[1]) << "after call " << number;
    if (!reached || HasFailure()) break;
  }
  EXPECT_GT(failed, 30);
}

TEST_F(VideoSessionTest, EveryFailureOfLoadingLeavesTheSessionAsItWas) {
  VideoSession cpu(cpu_model());
  (void)run(cpu, 0, 4);
  cpu.save(file("loaded.bin"));
  const std::string wanted = step(cpu, 4);
  int64_t failed = 0;
  for (int64_t number = 1;; ++number) {
    VideoSession session(gpu_model());
    fake_cuda_fail_call(number);
    try {
      session.load(file("loaded.bin"));
    } catch (const Error& error) {
      ++failed;
      EXPECT_NE(error.code(), ErrorCode::kBadInput) << error.what();
      EXPECT_TRUE(session.objects().empty());
    }
    const bool reached = fake_cuda_counted_calls() >= number;
    fake_cuda_fail_call(0);
    session.load(file("loaded.bin"));
    EXPECT_EQ(step(session, 4), wanted) << "after call " << number;
    if (!reached || HasFailure()) break;
  }
  EXPECT_GT(failed, 5);
}

TEST_F(VideoSessionTest, AVideoRunsOnWhatAnEndedOneRanOn) {
  VideoSession cpu(cpu_model());
  const std::string wanted = run(cpu, 0, 6);
  const int before = fake_cuda_live_objects();
  {
    const Model model = gpu_model();
    const auto run_one = [&] {
      VideoSession session(model);
      EXPECT_EQ(run(session, 0, 6), wanted);
    };
    run_one();
    const int kept = fake_cuda_live_objects();
    fake_cuda_fail_next("cuStreamCreate", 1);
    EXPECT_NO_THROW(run_one());  // it needs no stream of its own
    EXPECT_EQ(fake_cuda_live_objects(), kept);
    EXPECT_THROW(VideoSession{gpu_model()}, Error);  // another model's has to
    {
      VideoSession one(model);
      VideoSession other(model);
      EXPECT_EQ(run(one, 0, 6), wanted);
      EXPECT_EQ(run(other, 0, 6), wanted);
    }
    EXPECT_EQ(fake_cuda_live_objects(), kept);
  }
  EXPECT_EQ(fake_cuda_live_objects(), before);
}

TEST_F(VideoSessionTest, AVideoAfterOneThatFailedGivesTheSame) {
  VideoSession cpu(cpu_model());
  const std::string wanted = run(cpu, 0, 6);
  const Model model = gpu_model();
  for (int64_t number = 1; number < 60; ++number) {
    {
      VideoSession session(model);
      (void)run(session, 0, 2);
      fake_cuda_fail_call(number);
      try {
        (void)step(session, 2);
      } catch (const Error& error) {
        EXPECT_NE(error.code(), ErrorCode::kBadInput) << error.what();
      }
      fake_cuda_fail_call(0);
    }
    VideoSession session(model);
    ASSERT_EQ(run(session, 0, 6), wanted) << "after call " << number;
  }
}

TEST_F(VideoSessionTest, MemoryOfTheDeviceDoesNotGrowWithFramesAndObjectsThatComeAndGo) {
  VideoSession session(gpu_model());
  const auto run_objects = [&](int64_t first, int64_t end) {
    for (int64_t frame = first; frame < end; ++frame) {
      click(session, frame, frame);
      (void)step(session, frame);
      if (frame >= 3) session.remove(frame - 3);
    }
    return fake_cuda_live_objects();
  };
  const int objects = run_objects(0, 12);
  EXPECT_EQ(run_objects(12, 120), objects);
}

TEST_F(VideoSessionTest, AMemoryThatIsNotFiniteIsAnErrorThatLeavesTheSessionAsItWas) {
  for (const bool on_gpu : {false, true}) {
    VideoSession session(on_gpu ? gpu_model() : cpu_model());
    (void)run(session, 0, 2);
    graphs_.set_damage("memory_encoder",
                       [](const TensorMap&, std::map<std::string, Tensor>& outputs) {
                         outputs.at("frame_memory").f32().back() = NAN;
                       });
    try {
      (void)step(session, 2);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInternal);
      EXPECT_THAT(error.what(), HasSubstr("the memory_encoder gave"));
      EXPECT_THAT(error.what(), HasSubstr("in frame_memory"));
    }
    graphs_.set_damage("memory_encoder", nullptr);
    VideoSession other(cpu_model());
    (void)run(other, 0, 2);
    EXPECT_EQ(step(session, 2), step(other, 2));
    EXPECT_EQ(step(session, 3), step(other, 3));
  }
}

}  // namespace
}  // namespace sam3trt
