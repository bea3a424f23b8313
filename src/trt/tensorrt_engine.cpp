#include "trt/tensorrt_engine.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.hpp"
#include "base/half.hpp"

namespace sam3trt {
namespace {

bool is_narrow(DType dtype) { return dtype == DType::kF16 || dtype == DType::kBF16; }

uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<uint16_t>((bits >> 16U) | 0x40U);
  const uint32_t rounding = 0x7FFFU + ((bits >> 16U) & 1U);  // to nearest, ties to even
  return static_cast<uint16_t>((bits + rounding) >> 16U);
}

/// The tensor in the 16-bit type.
Tensor narrowed(const Tensor& tensor, DType dtype) {
  Tensor result(dtype, tensor.shape());
  const auto values = tensor.f32();
  std::byte* to = result.bytes().data();
  for (const float value : values) {
    const uint16_t bits = dtype == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
    std::memcpy(to, &bits, sizeof(bits));
    to += sizeof(bits);
  }
  return result;
}

Tensor widened(const Tensor& tensor) {
  Tensor result(DType::kF32, tensor.shape());
  const std::byte* from = tensor.bytes().data();
  for (float& value : result.f32()) {
    uint16_t bits = 0;
    std::memcpy(&bits, from, sizeof(bits));
    from += sizeof(bits);
    value = tensor.dtype() == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
  }
  return result;
}

std::vector<TensorInfo> outside(std::vector<TensorInfo> infos) {
  for (TensorInfo& info : infos) {
    if (is_narrow(info.dtype)) info.dtype = DType::kF32;
  }
  return infos;
}

class TensorRtEngine : public Engine {
 public:
  TensorRtEngine(std::unique_ptr<LoadedPlan> plan, std::string name, const CudaDevice& device)
      : device_(device),
        plan_(std::move(plan)),
        name_(std::move(name)),
        inputs_(outside(plan_->inputs())),
        outputs_(outside(plan_->outputs())) {}

  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return outputs_; }

  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override {
    device_.make_current();
    check(inputs);
    std::vector<Tensor> kept;  // until the copies are done
    kept.reserve(inputs.size());
    for (const TensorInfo& info : plan_->inputs()) {
      const Tensor* tensor = inputs.at(info.name);
      if (is_narrow(info.dtype)) tensor = &kept.emplace_back(narrowed(*tensor, info.dtype));
      set_shape(info.name, tensor->shape());
      DeviceBuffer& buffer = buffers_[info.name];
      buffer.reserve(std::max<size_t>(tensor->bytes().size(), 1));
      copy_to_device(buffer.address(), tensor->bytes(), stream_);
      plan_->bind(info.name, buffer.address());
    }
    std::map<std::string, Tensor> results;
    for (const TensorInfo& info : plan_->outputs()) {
      Tensor& tensor =
          results.emplace(info.name, Tensor(info.dtype, plan_->output_shape(info.name)))
              .first->second;
      DeviceBuffer& buffer = buffers_[info.name];
      buffer.reserve(std::max<size_t>(tensor.bytes().size(), 1));
      plan_->bind(info.name, buffer.address());
    }
    plan_->enqueue(stream_.handle());
    for (auto& [name, tensor] : results) {
      copy_to_host(tensor.bytes(), buffers_[name].address(), stream_);
    }
    stream_.synchronize();
    for (auto& [name, tensor] : results) {
      if (is_narrow(tensor.dtype())) tensor = widened(tensor);
    }
    return results;
  }

 private:
  void check(const TensorMap& inputs) const {
    for (const TensorInfo& info : inputs_) {
      const auto found = inputs.find(info.name);
      if (found == inputs.end()) throw_bad_input(name_ + ": input " + info.name + " is missing");
      if (found->second->dtype() != info.dtype) {
        throw_bad_input(name_ + ": input " + info.name + " expects " +
                        std::string(sam3trt::name_of(info.dtype)) + ", found " +
                        std::string(sam3trt::name_of(found->second->dtype())));
      }
    }
    if (inputs.size() == inputs_.size()) return;
    for (const auto& [name, tensor] : inputs) {
      const bool known =
          std::ranges::any_of(inputs_, [&](const TensorInfo& info) { return info.name == name; });
      if (!known) throw_bad_input(name_ + ": there is no input " + name);
    }
  }

  void set_shape(const std::string& name, const Shape& shape) {
    const ProfileShape profile = plan_->profile(name);
    bool fits = shape.size() == profile.max.size();
    for (size_t i = 0; fits && i < shape.size(); ++i) {
      fits = shape[i] >= profile.min[i] && shape[i] <= profile.max[i];
    }
    if (!fits) {
      throw_bad_input(name_ + ": input " + name + " has the shape " + to_string(shape) +
                      ", and the engine was built for " + to_string(profile.min) + " to " +
                      to_string(profile.max) +
                      "; build it with a larger --max-prompts, --max-boxes or --max-batch");
    }
    plan_->set_input_shape(name, shape);
  }

  const CudaDevice& device_;
  CudaStream stream_;
  std::map<std::string, DeviceBuffer> buffers_;
  std::unique_ptr<LoadedPlan> plan_;
  std::string name_;
  std::vector<TensorInfo> inputs_;
  std::vector<TensorInfo> outputs_;
};

}  // namespace

std::unique_ptr<Engine> make_tensorrt_engine(std::unique_ptr<LoadedPlan> plan, std::string name,
                                             const CudaDevice& device) {
  return std::make_unique<TensorRtEngine>(std::move(plan), std::move(name), device);
}

}  // namespace sam3trt
