#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "base/engine.hpp"

namespace sam3trt {

/// y = 2x, and n = 7; counts its calls.
class Doubling : public Engine {
 public:
  explicit Doubling(int& calls) : calls_(calls) {}
  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return outputs_; }
  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override {
    ++calls_;
    Tensor y = *inputs.at("x");
    for (float& value : y.f32()) value *= 2;
    std::map<std::string, Tensor> outputs;
    outputs.emplace("y", std::move(y));
    outputs.emplace("n", Tensor::from_i64({1}, std::array{int64_t{7}}));
    return outputs;
  }

 private:
  int& calls_;
  std::vector<TensorInfo> inputs_ = {{"x", DType::kF32, {-1}}};
  std::vector<TensorInfo> outputs_ = {{"y", DType::kF32, {-1}}, {"n", DType::kI64, {1}}};
};

}  // namespace sam3trt
