#include "fake_plan.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "base/error.hpp"
#include "cuda/kernels.hpp"
#include "fake_cuda.hpp"
#include "trt/profile_choice.hpp"

namespace sam3trt {
namespace {

using Sizes = std::map<std::string, int64_t>;

/// The symbol of an axis of a component's tensor: "B", "K+1".
std::string symbol_of(Component component, const std::string& tensor, size_t axis) {
  const ComponentInfo& info = info_of(component);
  for (const auto* list : {&info.inputs, &info.outputs}) {
    for (const ComponentTensor& entry : *list) {
      if (entry.name != tensor) continue;
      std::string_view rest = entry.shape;
      for (; axis > 0; --axis) rest.remove_prefix(rest.find(',') + 1);
      return std::string(rest.substr(0, rest.find(',')));
    }
  }
  throw std::logic_error("no tensor " + tensor);
}

class FakePlan : public LoadedPlan, public std::enable_shared_from_this<FakePlan> {
 public:
  FakePlan(std::unique_ptr<Engine> engine, const Sizes& largest, Component component)
      : engine_(std::move(engine)), component_(component) {
    Sizes smallest = largest;
    for (auto& [symbol, size] : smallest) {
      size = symbol == "T" ? size - largest.at("K") + 1 : (symbol == "W" ? 0 : 1);
    }
    smallest["K+1"] = 2;
    Sizes alone = largest;
    for (const char* symbol : {"B", "P", "R", "O", "E"}) alone[symbol] = 1;
    for (const Sizes& most : {alone, largest}) {
      Profile& profile = profiles_.emplace_back();
      for (const TensorInfo& input : engine_->inputs()) {
        const Shape least = resolve(input, smallest);
        profile[input.name] = {least, least, resolve(input, most)};
      }
    }
  }

  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return engine_->inputs(); }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override {
    return engine_->outputs();
  }
  [[nodiscard]] ProfileShape profile(const std::string& input) const override {
    return envelope_of(profiles_, input);
  }
  [[nodiscard]] uint64_t activation_bytes() const override { return 1000; }
  [[nodiscard]] std::string layers_json() const override { return "{}"; }
  [[nodiscard]] std::unique_ptr<PlanContext> make_context(ActivationMemory memory) const override;

  [[nodiscard]] const std::vector<Profile>& profiles() const { return profiles_; }

  /// Of contexts of several threads in turn.
  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) const {
    const std::lock_guard lock(mutex_);
    return engine_->run(inputs);
  }

  [[nodiscard]] std::string symbol(const std::string& tensor, size_t axis) const {
    return symbol_of(component_, tensor, axis);
  }

  [[nodiscard]] const TensorInfo& info(const std::string& name) const {
    for (const auto* list : {&engine_->inputs(), &engine_->outputs()}) {
      for (const TensorInfo& entry : *list) {
        if (entry.name == name) return entry;
      }
    }
    throw std::logic_error("no tensor " + name);
  }

  [[nodiscard]] Shape resolve(const TensorInfo& tensor, const Sizes& sizes) const {
    Shape shape = tensor.shape;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      if (shape[axis] < 0) shape[axis] = sizes.at(symbol(tensor.name, axis));
    }
    return shape;
  }

 private:
  std::unique_ptr<Engine> engine_;
  Component component_;
  std::vector<Profile> profiles_;
  mutable std::mutex mutex_;
};

class FakeContext : public PlanContext {
 public:
  FakeContext(std::shared_ptr<const FakePlan> plan, ActivationMemory memory)
      : plan_(std::move(plan)), memory_(memory), contexts_(plan_->profiles().size()) {}

  [[nodiscard]] const LoadedPlan& plan() const override { return *plan_; }

  /// Grows with the shapes; that of several prompts in the detector is more than that of an image
  /// in the vision encoder.
  [[nodiscard]] uint64_t shaped_activation_bytes() override {
    uint64_t bytes = 64;
    for (const auto& [input, shape] : context().shapes) {
      if (input != "pixel_values") bytes += 8 * static_cast<uint64_t>(element_count(shape));
    }
    return bytes;
  }
  void set_activation_memory(uint64_t address, uint64_t bytes) override {
    if (memory_ != ActivationMemory::kCallers || address == 0 ||
        bytes < shaped_activation_bytes()) {
      throw std::logic_error("too little memory for activations");
    }
    context().activations = address;
  }

  /// Forgets what the context was given before, so that what a caller forgets to give it shows.
  void set_input_shapes(const std::map<std::string, Shape>& shapes, void* /*stream*/) override {
    if (shapes.size() != plan_->inputs().size()) throw std::logic_error("shapes are missing");
    current_ = choose_profile(plan_->profiles(), shapes);
    context() = {shapes, {}, 0};
  }

  [[nodiscard]] Shape output_shape(const std::string& name) const override {
    Sizes sizes;
    for (const auto& [input, shape] : context().shapes) {
      const Shape& pattern = plan_->info(input).shape;
      for (size_t axis = 0; axis < pattern.size(); ++axis) {
        if (pattern[axis] < 0) sizes[plan_->symbol(input, axis)] = shape[axis];
      }
    }
    if (sizes.contains("K")) sizes["K+1"] = sizes["K"] + 1;
    return plan_->resolve(plan_->info(name), sizes);
  }

  void bind(const std::string& name, uint64_t address) override {
    context().addresses[name] = address;
  }

  [[nodiscard]] std::vector<LayerTime> time_layers(void* stream) override {
    enqueue(stream);
    return {{"first", 0.25}, {"second", 0.5}};
  }

  void enqueue(void* stream) override {
    if (memory_ == ActivationMemory::kCallers && context().activations == 0) {
      throw std::logic_error("no memory for the activations of this profile");
    }
    calls_.push_back(
        std::make_unique<Call>(Call{plan_.get(), context(), shaped_activation_bytes()}));
    if (cuLaunchHostFunc(stream, &FakeContext::run_call, calls_.back().get()) != 0) {
      throw Error(ErrorCode::kInternal, "could not run the engine");
    }
  }

 private:
  struct Context {
    std::map<std::string, Shape> shapes;
    std::map<std::string, uint64_t> addresses;
    uint64_t activations = 0;  ///< Of the caller.
  };
  struct Call {
    const FakePlan* plan;
    Context context;
    uint64_t activation_bytes;

    [[nodiscard]] std::byte* memory(const std::string& name, const Tensor& tensor) const {
      const uint64_t address = context.addresses.at(name);
      fake_cuda_require_memory(address, tensor.bytes().size());
      return device_pointer<std::byte>(address);
    }
  };

  [[nodiscard]] Context& context() { return contexts_.at(current_.value()); }
  [[nodiscard]] const Context& context() const { return contexts_.at(current_.value()); }

  /// Writes to all of its activation memory, as an engine does.
  static void run_call(void* data) {
    const Call& call = *static_cast<Call*>(data);
    if (const uint64_t activations = call.context.activations; activations != 0) {
      fake_cuda_require_memory(activations, call.activation_bytes);
      std::memset(device_pointer<std::byte>(activations), 0xEE, call.activation_bytes);
    }
    std::map<std::string, Tensor> inputs;
    TensorMap map;
    for (const TensorInfo& entry : call.plan->inputs()) {
      Tensor& tensor =
          inputs.emplace(entry.name, Tensor(entry.dtype, call.context.shapes.at(entry.name)))
              .first->second;
      if (!tensor.bytes().empty()) {  // there may be no pointers
        std::memcpy(tensor.bytes().data(), call.memory(entry.name, tensor), tensor.bytes().size());
      }
      map[entry.name] = &tensor;
    }
    for (const auto& [name, tensor] : call.plan->run(map)) {
      std::memcpy(call.memory(name, tensor), tensor.bytes().data(), tensor.bytes().size());
    }
  }

  std::shared_ptr<const FakePlan> plan_;
  ActivationMemory memory_;
  std::vector<Context> contexts_;  ///< By profile.
  std::optional<size_t> current_;
  std::vector<std::unique_ptr<Call>> calls_;
};

std::unique_ptr<PlanContext> FakePlan::make_context(ActivationMemory memory) const {
  return std::make_unique<FakeContext>(shared_from_this(), memory);
}

}  // namespace

GpuPlans fake_plans(SessionEngines engines, const ModelConfig& config,
                    const FakePlanLimits& limits) {
  const Sizes largest = {{"B", limits.images},
                         {"P", limits.prompts},
                         {"K", limits.boxes},
                         {"K+1", limits.boxes + 1},
                         {"T", config.context_length + limits.boxes + 1},
                         {"R", limits.mask_prompts},
                         {"M", limits.masks},
                         {"O", limits.objects},
                         {"E", std::max(limits.objects, limits.images)},
                         {"A", 4},
                         {"F", 3},
                         {"W", 5}};
  GpuPlans plans;
  for (const ComponentInfo& info : components()) {
    if (!engines.has(info.id)) continue;
    plans[info.id] = std::make_shared<const FakePlan>(engines.take(info.id), largest, info.id);
  }
  return plans;
}

}  // namespace sam3trt
