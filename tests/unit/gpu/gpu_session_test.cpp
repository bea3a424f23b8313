#include "gpu/gpu_session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.hpp"
#include "fake_cuda.hpp"
#include "fake_driver.hpp"
#include "fake_graphs.hpp"
#include "fake_plan.hpp"
#include "scenes.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;

class GpuSessionTest : public testing::Test {
 protected:
  [[nodiscard]] GpuSession open() {
    return {device_, fake_plans(graphs_.engines(), FakeGraphs::config(), {}),
            FakeGraphs::tokenizer(), FakeGraphs::config(), Semantics::kHf};
  }

  template <typename AnySession>
  static std::string run(AnySession& session, const Scene& scene) {
    return text_of(session.run(scene.requests(), {}));
  }

  /// What the CPU says.
  [[nodiscard]] std::string answer(const Scene& scene) const {
    CpuSession session(graphs_.engines(), FakeGraphs::tokenizer(), FakeGraphs::config(),
                       Semantics::kHf, {});
    return text_of(session.run(scene.requests(), {}));
  }

  static Error error_of(GpuSession& session, const Scene& scene,
                        const Thresholds& thresholds = {}) {
    try {
      static_cast<void>(session.run(scene.requests(), {thresholds}));
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "no error was thrown";
    return {ErrorCode::kInternal, ""};
  }

  FakeGraphs graphs_;
  CudaDevice device_{0, fake_driver()};
};

TEST_F(GpuSessionTest, GivesTheCpuSessionsResultsBitForBit) {
  GpuSession session = open();
  size_t instances = 0;
  for (int round = 0; round < 3; ++round) {
    for (const Scene& scene : {small_scene("dog"), large_scene("dog"), small_scene("tree")}) {
      EXPECT_EQ(run(session, scene), answer(scene));
      for (const auto& image : session.run(scene.requests(), {})) {
        for (const auto& prompt : image.prompts) instances += prompt.instances.size();
      }
    }
  }
  EXPECT_GT(instances, 20U);
}

TEST_F(GpuSessionTest, ARefusedCallChangesNoLaterAnswer) {
  GpuSession session = open();
  for (int i = 0; i < 2; ++i) static_cast<void>(run(session, small_scene("tree")));
  for (const char* text : {"tree", "red circle"}) {
    Scene refused = small_scene(text);
    refused.prompts[0][0].boxes.assign(5, kBox);
    EXPECT_THAT(error_of(session, refused).what(), HasSubstr("--max-boxes"));
  }
  EXPECT_EQ(run(session, small_scene("blue star")), answer(small_scene("blue star")));
  EXPECT_EQ(run(session, small_scene("red circle")), answer(small_scene("red circle")));
}

TEST_F(GpuSessionTest, ChecksEverythingBeforeAnythingIsQueued) {
  GpuSession session = open();
  static_cast<void>(run(session, small_scene("tree")));
  const Scene good = large_scene("dog");
  const auto expect_refused = [&](const std::function<void(Scene&)>& edit,
                                  const std::string& message, const Thresholds& thresholds = {}) {
    Scene scene = good;
    edit(scene);
    fake_cuda_fail_call(0);
    const Error error = error_of(session, scene, thresholds);
    EXPECT_EQ(error.code(), ErrorCode::kBadInput) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(message));
    EXPECT_EQ(fake_cuda_counted_calls(), 0) << message;
  };
  expect_refused([](Scene& s) { s.images[2].rgb.pop_back(); }, "holds 1208 bytes; expected 1209");
  expect_refused([](Scene& s) { s.images[2].width = 0; }, "expected positive numbers");
  expect_refused([](Scene& s) { s.images[2].width = int64_t{1} << 60; }, "is too long");
  expect_refused([](Scene& s) { s.prompts[2][0].boxes.assign(5, kBox); }, "--max-boxes");
  expect_refused([](Scene& s) { s.prompts[2][0] = {}; }, "the prompt is empty");
  expect_refused([](Scene& s) { s.prompts[2][0].text = ""; }, "is empty");
  expect_refused(
      [](Scene& s) {
        s.prompts[2][0].boxes = {{{100, 100, 120, 120}, true}};
      },
      "lies outside the image");
  expect_refused([](Scene&) {}, "threshold", {std::numeric_limits<double>::quiet_NaN(), 0.5});
  const std::vector<ImageRequest> without = {{ImageView{}, good.prompts[0]}};
  EXPECT_THROW(static_cast<void>(session.run(without, {})), Error);
  std::vector<Prompt> known = {{"dog", {}}, {"tree", {}}, {"car", {}}, {std::nullopt, {kBox}}};
  EXPECT_TRUE(session.keep_only_texts(known));
  expect_refused([](Scene& s) { s.prompts[2][0].text = "unheard of"; }, "is not among those");
  EXPECT_EQ(run(session, good), answer(good));
}

/// Fails every call of the driver in turn, in a call of the session.
TEST_F(GpuSessionTest, EveryFailureLeavesTheSessionAsItWas) {
  const Scene first = small_scene("dog");
  const Scene failing = large_scene("red circle");
  const Scene other = large_scene("blue star");
  const std::string answers[] = {answer(first), answer(failing), answer(other)};
  const Tokenizer tokenizer = FakeGraphs::tokenizer();
  const auto model = std::make_shared<const GpuModel>(
      device_, fake_plans(graphs_.engines(), FakeGraphs::config(), {}), FakeGraphs::config(),
      Semantics::kHf);
  for (const int warm_up : {0, 1, 3}) {
    int64_t failed = 0;
    int64_t out_of_memory = 0;
    for (int64_t number = 1;; ++number) {
      Pipeline session(std::make_unique<GpuBackend>(model), tokenizer, FakeGraphs::config(),
                       Semantics::kHf);
      for (int i = 0; i < warm_up; ++i)
        static_cast<void>(run(session, warm_up == 1 ? first : failing));
      fake_cuda_fail_call(number);
      try {
        EXPECT_EQ(run(session, failing), answers[1]) << "call " << number << " of the driver";
      } catch (const Error& error) {
        ++failed;
        out_of_memory +=
            std::string(error.what()).find("out of memory") == std::string::npos ? 0 : 1;
        EXPECT_NE(error.code(), ErrorCode::kBadInput) << error.what();
      }
      const bool reached = fake_cuda_counted_calls() >= number;
      fake_cuda_fail_call(0);
      EXPECT_EQ(run(session, first), answers[0]) << "after call " << number;
      EXPECT_EQ(run(session, other), answers[2]) << "after call " << number;
      EXPECT_EQ(run(session, failing), answers[1]) << "after call " << number;
      if (!reached || HasFailure()) break;
    }
    EXPECT_GT(failed, 50) << "warm-up " << warm_up;
    EXPECT_GT(out_of_memory, warm_up < 3 ? 10 : -1) << "warm-up " << warm_up;
  }
}

TEST_F(GpuSessionTest, FailuresThatFollowOneAnotherLeaveItAsItWas) {
  GpuSession session = open();
  const Scene failing = large_scene("red circle");
  const std::string wanted = answer(failing);
  for (int64_t number = 1; number < 400; number += 3) {
    for (const int64_t later : {number, number + 1, int64_t{5}}) {
      fake_cuda_fail_call(later);
      try {
        EXPECT_EQ(run(session, failing), wanted);
      } catch (const Error&) {  // what it must leave behind is checked below
      }
    }
    fake_cuda_fail_call(0);
    ASSERT_EQ(run(session, failing), wanted) << "after call " << number;
  }
}

TEST_F(GpuSessionTest, NonFiniteNumbersAreAnErrorOfTheirImageAlone) {
  const Scene scene = large_scene("dog");
  GpuSession whole = open();
  const auto wanted = whole.run(scene.requests(), {});
  for (const char* graph : {"detector", "mask_head"}) {
    // In the rows of the second image.
    graphs_.set_damage(graph, [&](const TensorMap& inputs, std::map<std::string, Tensor>& outputs) {
      const auto images = inputs.at("image_index")->i64();
      Tensor& output = outputs.at(graph == std::string("detector") ? "pred_logits" : "pred_masks");
      const size_t size = output.f32().size() / images.size();
      for (size_t row = 0; row < images.size(); ++row) {
        if (images[row] == 1) output.f32()[row * size] = std::numeric_limits<float>::infinity();
      }
    });
    GpuSession session = open();
    const auto found = session.run(scene.requests(), {});
    EXPECT_THAT(found[1].error.value_or(""),
                testing::AllOf(HasSubstr(std::string("the ") + graph + " gave non-finite numbers"),
                               HasSubstr("prompt")));
    EXPECT_EQ(found[1].error_code, ErrorCode::kInternal);
    EXPECT_TRUE(found[1].prompts.empty());
    EXPECT_EQ(text_of({found[0], found[2]}), text_of({wanted[0], wanted[2]}));
    graphs_.set_damage(graph, nullptr);
    EXPECT_EQ(run(session, scene), text_of(wanted));
  }
}

}  // namespace
}  // namespace sam3trt
