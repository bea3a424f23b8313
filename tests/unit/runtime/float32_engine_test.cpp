#include "runtime/float32_engine.hpp"

#include <gtest/gtest.h>

#include <array>

#include "base/error.hpp"
#include "base/tensor_cast.hpp"

namespace sam3trt {
namespace {

/// y = x in the given type.
class Copy : public Engine {
 public:
  explicit Copy(DType dtype) : inputs_{{"x", dtype, {-1}}}, outputs_{{"y", dtype, {-1}}} {}
  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return outputs_; }
  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override {
    EXPECT_EQ(inputs.at("x")->dtype(), inputs_.front().dtype);
    std::map<std::string, Tensor> outputs;
    outputs.emplace("y", *inputs.at("x"));
    return outputs;
  }

 private:
  std::vector<TensorInfo> inputs_;
  std::vector<TensorInfo> outputs_;
};

TEST(WithFloat32Tensors, CastsInBothDirections) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const auto engine = with_float32_tensors(std::make_unique<Copy>(dtype));
    EXPECT_EQ(engine->inputs().at(0).dtype, DType::kF32);
    EXPECT_EQ(engine->outputs().at(0).dtype, DType::kF32);
    const Tensor x = Tensor::from_f32({3}, std::array{0.5F, -3.0F, 1.0F + 0x1p-12F});
    const Tensor y = engine->run({{"x", &x}}).at("y");
    EXPECT_EQ(y.f32()[0], 0.5F);
    EXPECT_EQ(y.f32()[1], -3.0F);
    EXPECT_EQ(y.f32()[2], 1.0F);  // rounded away
  }
}

TEST(WithFloat32Tensors, LeavesAFloat32EngineAlone) {
  auto engine = std::make_unique<Copy>(DType::kF32);
  const Engine* before = engine.get();
  EXPECT_EQ(with_float32_tensors(std::move(engine)).get(), before);
}

TEST(CastTensor, OtherTypesAreADefectOfTheCaller) {
  EXPECT_THROW((void)cast_tensor(Tensor(DType::kI64, {1}), DType::kF16), Error);
  EXPECT_THROW((void)cast_tensor(Tensor(DType::kF32, {1}), DType::kI64), Error);
}

}  // namespace
}  // namespace sam3trt
