#include "runtime/float32_engine.hpp"

#include <algorithm>

#include "base/tensor_cast.hpp"

namespace sam3trt {
namespace {

std::vector<TensorInfo> widened(std::vector<TensorInfo> infos) {
  for (TensorInfo& info : infos) {
    if (is_16_bit_float(info.dtype)) info.dtype = DType::kF32;
  }
  return infos;
}

class Float32Engine : public Engine {
 public:
  explicit Float32Engine(std::unique_ptr<Engine> engine)
      : engine_(std::move(engine)),
        inputs_(widened(engine_->inputs())),
        outputs_(widened(engine_->outputs())) {}

  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return outputs_; }

  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override {
    TensorMap native = inputs;
    std::vector<Tensor> narrow;
    narrow.reserve(inputs.size());
    for (const TensorInfo& info : engine_->inputs()) {
      const auto found = native.find(info.name);
      const bool needs_cast = is_16_bit_float(info.dtype) && found != native.end() &&
                              found->second->dtype() == DType::kF32;
      if (needs_cast) found->second = &narrow.emplace_back(cast_tensor(*found->second, info.dtype));
    }
    auto outputs = engine_->run(native);
    for (auto& [name, tensor] : outputs) {
      if (is_16_bit_float(tensor.dtype())) tensor = cast_tensor(tensor, DType::kF32);
    }
    return outputs;
  }

 private:
  std::unique_ptr<Engine> engine_;
  std::vector<TensorInfo> inputs_;
  std::vector<TensorInfo> outputs_;
};

}  // namespace

std::unique_ptr<Engine> with_float32_tensors(std::unique_ptr<Engine> engine) {
  const auto is_narrow = [](const TensorInfo& info) { return is_16_bit_float(info.dtype); };
  const bool needed = std::ranges::any_of(engine->inputs(), is_narrow) ||
                      std::ranges::any_of(engine->outputs(), is_narrow);
  if (!needed) return engine;
  return std::make_unique<Float32Engine>(std::move(engine));
}

}  // namespace sam3trt
