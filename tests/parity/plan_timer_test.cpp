#include "trt/plan_timer.hpp"

#include <gtest/gtest.h>

#include "fake_driver.hpp"
#include "fake_plan.hpp"
#include "segmenter/batched_inputs.hpp"
#include "stages.hpp"

namespace sam3trt::parity {
namespace {

/// The plans of the first tiny checkpoint on the fake driver.
class PlanTimerTest : public testing::Test {
 protected:
  PlanTimerTest() : files_(export_model(all_references().front())), device_(0, fake_driver()) {
    plans_ = fake_plans(load_on_cpu(files_), files_.config, {});
  }

  ModelFiles files_;
  CudaDevice device_;
  GpuPlans plans_;
};

TEST_F(PlanTimerTest, TimesEveryStageAsGraphAndByPlainCalls) {
  for (const Component component : {Component::kVisionEncoder, Component::kTextEncoder,
                                    Component::kGeometryEncoder, Component::kDetector}) {
    const std::string name(name_of(component));
    PlanTimer timer(device_, *plans_.at(component), batched_inputs_of(name));
    const auto [graph, plain] = timer.time(2, {1, 3});
    EXPECT_GT(graph.median, 0) << name;
    EXPECT_GE(graph.p95, graph.median) << name;
    EXPECT_GT(plain.median, 0) << name;
  }
}

TEST_F(PlanTimerTest, TheLargestBatchIsThatOfWhatIsBatched) {
  const FakePlanLimits limits;
  const auto largest_of = [&](const LoadedPlan& plan, const std::string& component) {
    return PlanTimer(device_, plan, batched_inputs_of(component)).largest_batch();
  };
  EXPECT_EQ(largest_of(*plans_.at(Component::kVisionEncoder), "vision_encoder"), limits.images);
  EXPECT_EQ(largest_of(*plans_.at(Component::kTextEncoder), "text_encoder"), limits.prompts);
  // Prompts share the features of an image, whose first axis counts images.
  EXPECT_EQ(largest_of(*plans_.at(Component::kDetector), "detector"), limits.prompts);
  EXPECT_EQ(largest_of(*plans_.at(Component::kVisionEncoder), ""), limits.images);
  const auto masks = batched_inputs_of("mask_head");
  EXPECT_TRUE(masks("prompt_mask"));
  EXPECT_TRUE(masks("query_index"));
  EXPECT_FALSE(masks("fpn_feat_0"));
}

TEST_F(PlanTimerTest, GivesTheMedianOfEachLayer) {
  PlanTimer timer(device_, *plans_.at(Component::kTextEncoder));
  const auto layers = timer.time_layers(1, {1, 3});
  ASSERT_EQ(layers.size(), 2U);
  EXPECT_EQ(layers[0].layer, "first");
  EXPECT_EQ(layers[0].milliseconds, 0.25);
  EXPECT_EQ(layers[1].milliseconds, 0.5);
}

}  // namespace
}  // namespace sam3trt::parity
