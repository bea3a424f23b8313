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
  if (input.shape != shape) {
    check_shape(name_, name, shape, input.profile);
    input.shape = std::move(shape);
    shapes_changed_ = true;
  }
  if (input.address == address) return;
  input.address = address;
  addresses_changed_ = true;
}

void GpuStage::prepare(const Stream& stream) {
  std::map<std::string, Shape> shapes;
  for (const auto& [name, input] : inputs_) shapes[name] = input.shape;
  activations_ = 0;  // the context in use may be another one, which was given other memory or none
  plan_->set_input_shapes(shapes, stream.handle());
  bind_inputs();
  for (const TensorInfo& info : plan_->plan().outputs()) {
    const int64_t count = element_count(plan_->output_shape(info.name));
    DeviceBuffer& buffer = outputs_.at(info.name);
    buffer.grow(stream, std::max<size_t>(static_cast<size_t>(count) * size_of(info.dtype), 1));
    plan_->bind(info.name, buffer.data());
  }
  activation_bytes_ = std::max<uint64_t>(plan_->shaped_activation_bytes(), 1);
  log(LogLevel::kInfo, name_ + ": " + std::to_string(activation_bytes_) +
                           " bytes of activations for" + text(shapes));
  shapes_changed_ = false;
}

void GpuStage::check_inputs() const {
  for (const auto& [name, input] : inputs_) {
    if (input.address == 0) throw_bad_input(name_ + ": input " + name + " is missing");
  }
}

void GpuStage::bind_inputs() {
  for (const auto& [name, input] : inputs_) plan_->bind(name, input.address);
  addresses_changed_ = false;
}

void GpuStage::run(const Stream& stream, DeviceBuffer& activations) {
  if (shapes_changed_ || addresses_changed_) check_inputs();
  if (shapes_changed_) prepare(stream);
  if (addresses_changed_) bind_inputs();
  // Also where the shapes are those of the run before: it may have failed for lack of memory, here
  // or in another stage, which leaves the shared buffer empty.
  activations.grow(stream, activation_bytes_);
  if (activations_ != activations.data()) {
    recordings_.clear();
    plan_->set_activation_memory(activations.data(), activations.size());
    activations_ = activations.data();
  }
  start(stream);
}

/// That of the inputs' addresses; where it is new, without a graph.
GpuStage::Recording& GpuStage::recording() {
  constexpr size_t kMost = 4;
  std::vector<DevicePointer> addresses;
  addresses.reserve(inputs_.size());
  for (const auto& [name, input] : inputs_) addresses.push_back(input.address);
  const auto found = std::ranges::find(recordings_, addresses, &Recording::addresses);
  if (found != recordings_.end()) {
    std::rotate(found, found + 1, recordings_.end());
  } else {
    if (recordings_.size() == kMost) recordings_.erase(recordings_.begin());
    recordings_.push_back({std::move(addresses)});
  }
  return recordings_.back();
}

void GpuStage::start(const Stream& stream) {
  constexpr int kAttempts = 2;
  Recording& calls = recording();
  if (calls.runs > 0 && !calls.graph && calls.failures < kAttempts) {
    try {
      calls.graph.emplace(stream, [&] { plan_->enqueue(stream.handle()); });
    } catch (const Error& error) {
      log(LogLevel::kInfo, name_ + ": runs without a CUDA graph: " + error.what());
      ++calls.failures;
    }
  }
  if (calls.graph) {
    calls.graph->launch(stream);
  } else {
    plan_->enqueue(stream.handle());
  }
  ++calls.runs;
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
