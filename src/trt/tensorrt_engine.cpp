#include "trt/tensorrt_engine.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "cuda/buffer.hpp"
#include "trt/profile_choice.hpp"

namespace sam3trt {
namespace {

class TensorRtEngine : public Engine {
 public:
  TensorRtEngine(const LoadedPlan& plan, std::string name, const CudaDevice& device)
      : device_(device),
        stream_(device),
        context_(plan.make_context(ActivationMemory::kOwn)),
        plan_(context_->plan()),
        name_(std::move(name)) {}

  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return plan_.inputs(); }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return plan_.outputs(); }

  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override {
    device_.make_current();
    check(inputs);
    std::map<std::string, Shape> shapes;
    for (const auto& [name, tensor] : inputs) shapes[name] = tensor->shape();
    context_->set_input_shapes(shapes, stream_.handle());
    for (const TensorInfo& info : plan_.inputs()) {
      const Tensor* tensor = inputs.at(info.name);
      DeviceBuffer& buffer = buffer_of(info.name);
      buffer.reserve(std::max<size_t>(tensor->bytes().size(), 1));
      copy_to_device(stream_, buffer.data(), tensor->bytes());
      context_->bind(info.name, buffer.data());
    }
    std::map<std::string, Tensor> results;
    for (const TensorInfo& info : plan_.outputs()) {
      Tensor& tensor =
          results.emplace(info.name, Tensor(info.dtype, context_->output_shape(info.name)))
              .first->second;
      DeviceBuffer& buffer = buffer_of(info.name);
      buffer.reserve(std::max<size_t>(tensor.bytes().size(), 1));
      context_->bind(info.name, buffer.data());
    }
    context_->enqueue(stream_.handle());
    for (auto& [name, tensor] : results) {
      copy_to_host(stream_, tensor.bytes(), buffer_of(name).data());
    }
    stream_.synchronize();
    return results;
  }

 private:
  DeviceBuffer& buffer_of(const std::string& name) {
    return buffers_.try_emplace(name, device_).first->second;
  }

  void check(const TensorMap& inputs) const {
    for (const TensorInfo& info : plan_.inputs()) {
      const auto found = inputs.find(info.name);
      if (found == inputs.end()) throw_bad_input(name_ + ": input " + info.name + " is missing");
      if (found->second->dtype() != info.dtype) {
        throw_bad_input(name_ + ": input " + info.name + " expects " +
                        std::string(sam3trt::name_of(info.dtype)) + ", found " +
                        std::string(sam3trt::name_of(found->second->dtype())));
      }
      check_shape(name_, info.name, found->second->shape(), plan_.profile(info.name));
    }
    if (inputs.size() == plan_.inputs().size()) return;
    for (const auto& input : inputs) {
      const bool known = std::ranges::any_of(
          plan_.inputs(), [&](const TensorInfo& info) { return info.name == input.first; });
      if (!known) throw_bad_input(name_ + ": there is no input " + input.first);
    }
  }

  const CudaDevice& device_;
  Stream stream_;
  std::map<std::string, DeviceBuffer> buffers_;
  std::unique_ptr<PlanContext> context_;
  const LoadedPlan& plan_;
  std::string name_;
};

}  // namespace

std::unique_ptr<Engine> make_tensorrt_engine(const LoadedPlan& plan, std::string name,
                                             const CudaDevice& device) {
  return std::make_unique<TensorRtEngine>(plan, std::move(name), device);
}

}  // namespace sam3trt
