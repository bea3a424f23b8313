#include "verify/recording_engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "base/error.hpp"
#include "doubling_engine.hpp"

namespace sam3trt {
namespace {

TEST(RecordingEngine, KeepsInputsAndOutputsOfEveryCall) {
  std::vector<RecordedCall> calls;
  int runs = 0;
  RecordingEngine engine(std::make_unique<Doubling>(runs), calls);
  EXPECT_EQ(engine.inputs().at(0).name, "x");
  for (const float value : {1.0F, 3.0F}) {
    const Tensor x = Tensor::from_f32({1}, std::array{value});
    EXPECT_EQ(engine.run({{"x", &x}}).at("y").f32()[0], 2 * value);
  }
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[1].inputs.at("x").f32()[0], 3.0F);
  EXPECT_EQ(calls[1].outputs.at("y").f32()[0], 6.0F);
}

TEST(StackCalls, JoinsTensorsAtTheirFirstAxis) {
  std::vector<RecordedCall> calls(2);
  for (size_t i = 0; i < 2; ++i) {
    const auto value = static_cast<float>(i);
    calls[i].inputs.emplace("x", Tensor::from_f32({1, 2}, std::array{value, value + 10}));
    calls[i].outputs.emplace("y", Tensor::from_f32({1}, std::array{value + 20}));
  }
  const RecordedCall stacked = stack_calls(calls);
  EXPECT_EQ(stacked.inputs.at("x").shape(), (Shape{2, 2}));
  EXPECT_THAT(stacked.inputs.at("x").f32(), testing::ElementsAre(0, 10, 1, 11));
  EXPECT_THAT(stacked.outputs.at("y").f32(), testing::ElementsAre(20, 21));
}

TEST(StackCalls, CallsOfOtherShapesDoNotFitTogether) {
  std::vector<RecordedCall> calls(2);
  calls[0].inputs.emplace("x", Tensor(DType::kF32, {1, 2}));
  calls[1].inputs.emplace("x", Tensor(DType::kF32, {1, 3}));
  EXPECT_THROW((void)stack_calls(calls), Error);
}

}  // namespace
}  // namespace sam3trt
