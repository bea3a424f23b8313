#include "gpu/warm_up.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.hpp"
#include "fake_cuda.hpp"
#include "fake_driver.hpp"
#include "fake_graphs.hpp"
#include "fake_plan.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;

class WarmUp : public testing::Test {
 protected:
  WarmUp() {
    for (const ComponentInfo& info : components()) {
      graphs_.set_damage(std::string(info.name),
                         [this, id = info.id](const TensorMap&, auto&) { ++runs_[id]; });
    }
    plans_ = fake_plans(graphs_.all_engines(), FakeGraphs::config(), {});
    set_log_sink([this](LogLevel /*level*/, std::string_view text) { said_ += text; });
  }
  ~WarmUp() override {
    fake_cuda_fail_call(0);
    set_log_sink({});
  }

  FakeGraphs graphs_;
  std::map<Component, int> runs_;
  GpuPlans plans_;
  CudaDevice device_{0, fake_driver()};
  std::string said_;
};

TEST_F(WarmUp, RunsAPlanOnceAndLeavesNothing) {
  const int before = fake_cuda_live_objects();
  for (const auto& [component, plan] : plans_) {
    warm_up(std::string(name_of(component)), *plan, device_);
    EXPECT_EQ(runs_[component], 1) << name_of(component);
    EXPECT_EQ(fake_cuda_live_objects(), before) << name_of(component);
  }
  EXPECT_THAT(said_, testing::Not(HasSubstr("did not run in advance")));
}

TEST_F(WarmUp, WhatCannotRunNowIsLeftToTheCallThatNeedsIt) {
  const LoadedPlan& plan = *plans_.at(Component::kVisionEncoder);
  const int before = fake_cuda_live_objects();
  fake_cuda_fail_call(1000);
  warm_up("vision_encoder", plan, device_);
  const int64_t calls = fake_cuda_counted_calls();
  ASSERT_GT(calls, 3);
  for (int64_t number = 1; number <= calls; ++number) {
    said_.clear();
    fake_cuda_fail_call(number);
    warm_up("vision_encoder", plan, device_);
    EXPECT_THAT(said_, HasSubstr("vision_encoder: did not run in advance: ")) << number;
    EXPECT_EQ(fake_cuda_live_objects(), before) << number;
  }
}

}  // namespace
}  // namespace sam3trt
