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
  using Part = std::pair<const char*, LoadedPlan*>;
  for (const auto& [component, plan] : {Part{"vision_encoder", plans_.vision_encoder.get()},
                                        Part{"text_encoder", plans_.text_encoder.get()},
                                        Part{"geometry_encoder", plans_.geometry_encoder.get()},
                                        Part{"detector", plans_.detector.get()}}) {
    PlanTimer timer(device_, *plan, batched_inputs_of(component));
    const auto [graph, plain] = timer.time(2, {1, 3});
    EXPECT_GT(graph.median, 0) << component;
    EXPECT_GE(graph.p95, graph.median) << component;
    EXPECT_GT(plain.median, 0) << component;
  }
}

TEST_F(PlanTimerTest, TheLargestBatchIsThatOfWhatIsBatched) {
  const FakePlanLimits limits;
  const auto largest_of = [&](LoadedPlan& plan, const std::string& component) {
    return PlanTimer(device_, plan, batched_inputs_of(component)).largest_batch();
  };
  EXPECT_EQ(largest_of(*plans_.vision_encoder, "vision_encoder"), limits.images);
  EXPECT_EQ(largest_of(*plans_.text_encoder, "text_encoder"), limits.prompts);
  // Prompts share the features of an image, whose first axis counts images.
  EXPECT_EQ(largest_of(*plans_.detector, "detector"), limits.prompts);
  EXPECT_EQ(largest_of(*plans_.vision_encoder, ""), limits.images);
  const auto masks = batched_inputs_of("mask_head");
  EXPECT_TRUE(masks("prompt_mask"));
  EXPECT_TRUE(masks("query_index"));
  EXPECT_FALSE(masks("fpn_feat_0"));
}

TEST_F(PlanTimerTest, GivesTheMedianOfEachLayer) {
  PlanTimer timer(device_, *plans_.text_encoder);
  const auto layers = timer.time_layers(1, {1, 3});
  ASSERT_EQ(layers.size(), 2U);
  EXPECT_EQ(layers[0].layer, "first");
  EXPECT_EQ(layers[0].milliseconds, 0.25);
  EXPECT_EQ(layers[1].milliseconds, 0.5);
}

}  // namespace
}  // namespace sam3trt::parity
