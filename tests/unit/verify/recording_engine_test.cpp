#include "verify/recording_engine.hpp"

#include <gtest/gtest.h>

#include <array>

namespace sam3trt {
namespace {

/// y = 2 x.
class Doubler : public Engine {
 public:
  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return outputs_; }
  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override {
    Tensor y = *inputs.at("x");
    for (float& value : y.f32()) value *= 2;
    std::map<std::string, Tensor> outputs;
    outputs.emplace("y", std::move(y));
    return outputs;
  }

 private:
  std::vector<TensorInfo> inputs_ = {{"x", DType::kF32, {-1}}};
  std::vector<TensorInfo> outputs_ = {{"y", DType::kF32, {-1}}};
};

TEST(RecordingEngine, KeepsInputsAndOutputsOfEveryCall) {
  std::vector<RecordedCall> calls;
  RecordingEngine engine(std::make_unique<Doubler>(), calls);
  EXPECT_EQ(engine.inputs().at(0).name, "x");
  for (const float value : {1.0F, 3.0F}) {
    const Tensor x = Tensor::from_f32({1}, std::array{value});
    EXPECT_EQ(engine.run({{"x", &x}}).at("y").f32()[0], 2 * value);
  }
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[1].inputs.at("x").f32()[0], 3.0F);
  EXPECT_EQ(calls[1].outputs.at("y").f32()[0], 6.0F);
}

}  // namespace
}  // namespace sam3trt
