#include "gpu/gpu_stage.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "trt/profile_choice.hpp"

namespace sam3trt {
namespace {

/// " boxes [1, 4, 4] image_index [1]"
std::string text(const std::map<std::string, Shape>& shapes) {
  std::string text;
  for (const auto& [name, shape] : shapes) text += " " + name + " " + to_string(shape);
  return text;
}

}  // namespace

GpuStage::GpuStage(std::string name, const LoadedPlan& plan, const CudaDevice& device)
    : name_(std::move(name)), plan_(plan.make_context(ActivationMemory::kCallers)) {
  for (const TensorInfo& info : plan.inputs()) {
    inputs_[info.name].profile = plan.profile(info.name);
  }
  for (const TensorInfo& info : plan.outputs()) outputs_.try_emplace(info.name, device);
}

void GpuStage::set_input(const std::string& name, Shape shape, DevicePointer address) {
  const auto found = inputs_.find(name);
  if (found == inputs_.end()) return;
  Input& input = found->second;
  if (input.shape == shape && input.address == address) return;
  check_shape(name_, name, shape, input.profile);
  input.shape = std::move(shape);
  input.address = address;
  changed_ = true;
}

void GpuStage::prepare(const Stream& stream) {
  std::map<std::string, Shape> shapes;
  for (const auto& [name, input] : inputs_) {
    if (input.address == 0) throw_bad_input(name_ + ": input " + name + " is missing");
    shapes[name] = input.shape;
  }
  activations_ = 0;  // the context in use may be another one, which was given other memory or none
  plan_->set_input_shapes(shapes, stream.handle());
  for (const auto& [name, input] : inputs_) plan_->bind(name, input.address);
  for (const TensorInfo& info : plan_->plan().outputs()) {
    const int64_t count = element_count(plan_->output_shape(info.name));
    DeviceBuffer& buffer = outputs_.at(info.name);
    buffer.grow(stream, std::max<size_t>(static_cast<size_t>(count) * size_of(info.dtype), 1));
    plan_->bind(info.name, buffer.data());
  }
  activation_bytes_ = std::max<uint64_t>(plan_->shaped_activation_bytes(), 1);
  log(LogLevel::kInfo, name_ + ": " + std::to_string(activation_bytes_) +
                           " bytes of activations for" + text(shapes));
  failed_recordings_ = 0;
  changed_ = false;
}

void GpuStage::run(const Stream& stream, DeviceBuffer& activations) {
  if (changed_) prepare(stream);
  // Also where the shapes are those of the run before: it may have failed for lack of memory, here
  // or in another stage, which leaves the shared buffer empty.
  activations.grow(stream, activation_bytes_);
  if (activations_ != activations.data()) {
    graph_.reset();
    runs_ = 0;
    plan_->set_activation_memory(activations.data(), activations.size());
    activations_ = activations.data();
  }
  start(stream);
  ++runs_;
}

void GpuStage::start(const Stream& stream) {
  constexpr int kAttempts = 2;
  if (runs_ > 0 && !graph_ && failed_recordings_ < kAttempts) {
    try {
      graph_.emplace(stream, [&] { plan_->enqueue(stream.handle()); });
    } catch (const Error& error) {
      log(LogLevel::kInfo, name_ + ": runs without a CUDA graph: " + error.what());
      ++failed_recordings_;
    }
  }
  if (graph_) {
    graph_->launch(stream);
  } else {
    plan_->enqueue(stream.handle());
  }
}

DevicePointer GpuStage::output(const std::string& name) const {
  const auto found = outputs_.find(name);
  if (found == outputs_.end()) {
    throw_bad_input(name_ + ": there is no output " + name + "; export and build it again");
  }
  return found->second.data();
}

std::optional<DType> GpuStage::type_of(const std::string& name) const {
  return sam3trt::type_of(plan_->plan(), name);
}

std::optional<DType> type_of(const LoadedPlan& plan, const std::string& name) {
  for (const auto* list : {&plan.inputs(), &plan.outputs()}) {
    const auto found = std::ranges::find(*list, name, &TensorInfo::name);
    if (found != list->end()) return found->dtype;
  }
  return std::nullopt;
}

}  // namespace sam3trt
