#include "gpu/gpu_model.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "gpu/gpu_stage.hpp"
#include "runtime/backend.hpp"

namespace sam3trt {
namespace {

/// Largest size of an input's axis; 1 when the plan has no such input.
int64_t largest(const LoadedPlan& plan, const std::string& input, size_t axis) {
  if (std::ranges::find(plan.inputs(), input, &TensorInfo::name) == plan.inputs().end()) return 1;
  return plan.profile(input).max.at(axis);
}

/// Objects that go through all components at once; `fallback` where nothing counts them.
size_t count_objects(const GpuPlans& plans, const LatePlans& later, size_t fallback) {
  int64_t least = std::numeric_limits<int64_t>::max();
  for (const auto& [component, plan] : plans) {
    const auto counting = input_counting(component, "O");
    if (counting) least = std::min(least, largest(*plan, std::string(*counting), 0));
  }
  for (const auto& [component, plan] : later) {
    if (plan.objects > 0) least = std::min(least, plan.objects);
  }
  return least == std::numeric_limits<int64_t>::max() ? fallback : static_cast<size_t>(least);
}

/// Throws unless `to` takes `tensor` in the type in which `from` gives it.
void check_connection(const GpuPlans& plans, const Connection& connection) {
  const std::string tensor(connection.tensor);
  if (!plans.contains(connection.from) || !plans.contains(connection.to)) return;
  const auto given = type_of(*plans.at(connection.from), tensor);
  const auto taken = type_of(*plans.at(connection.to), tensor);
  if (!taken || given == taken) return;
  throw_bad_input(std::string(name_of(connection.to)) + " takes " + tensor + " as " +
                  std::string(name_of(*taken)) + ", and " + std::string(name_of(connection.from)) +
                  " gives it as " +
                  (given ? std::string(name_of(*given)) : std::string("nothing")) +
                  "; build all components with the same precision");
}

/// What the host or this program's kernels write or read has the type of the graph.
void check_type(const LoadedPlan& plan, Component component, const ComponentTensor& tensor) {
  const auto type = type_of(plan, std::string(tensor.name));
  if (!type || *type == tensor.dtype) return;
  throw_bad_input(std::string(name_of(component)) + ": expected " + std::string(tensor.name) +
                  " as " + std::string(name_of(tensor.dtype)) + ", found " +
                  std::string(name_of(*type)) + "; export and build it again");
}

/// What this program's kernels read or write as any float.
constexpr std::string_view kAnyFloat[] = {"pixel_values", "memory_features", "frame_memory"};

bool is_any_float(const LoadedPlan& plan, std::string_view tensor) {
  const auto type = type_of(plan, std::string(tensor));
  return std::ranges::find(kAnyFloat, tensor) != std::end(kAnyFloat) &&
         (type == DType::kF32 || type == DType::kF16 || type == DType::kBF16);
}

/// Tensors that another component gives, and the host in its place.
constexpr std::string_view kHostGivesToo[] = {"object_features", "mask_input", "object_score"};

void check_plans(const GpuPlans& plans) {
  for (const Connection& connection : connections()) check_connection(plans, connection);
  for (const auto& [component, plan] : plans) {
    const ComponentInfo& info = info_of(component);
    for (const ComponentTensor& input : info.inputs) {
      const bool by_host = !producer_of(input.name) ||
                           std::ranges::find(kHostGivesToo, input.name) != std::end(kHostGivesToo);
      if (by_host && !is_any_float(*plan, input.name)) check_type(*plan, component, input);
    }
    for (const ComponentTensor& output : info.outputs) {
      const auto reads = [&](const Connection& connection) {
        return connection.tensor == output.name;
      };
      if (std::ranges::any_of(connections(), reads)) continue;
      if (!is_any_float(*plan, output.name)) check_type(*plan, component, output);
    }
  }
}

}  // namespace

GpuModel::GpuModel(const CudaDevice& device, GpuPlans plans, const ModelConfig& config,
                   Semantics semantics, LatePlans later)
    : device_(device),
      kernels_(device),
      config_(config),
      semantics_(semantics),
      plans_(std::move(plans)),
      later_(std::move(later)) {
  check_plans(plans_);
  const auto most = [&](Component component, const char* input, size_t axis) {
    return static_cast<size_t>(largest(*plans_.at(component), input, axis));
  };
  using enum Component;
  limits_.images =
      std::min({most(kVisionEncoder, "pixel_values", 0), most(kGeometryEncoder, "fpn_feat_2", 0),
                most(kDetector, "fpn_feat_2", 0), most(kMaskHead, "fpn_feat_0", 0)});
  limits_.prompts =
      std::min({most(kGeometryEncoder, "boxes", 0), most(kDetector, "text_features", 0),
                most(kMaskHead, "query_features", 0)});
  limits_.boxes =
      std::min({most(kGeometryEncoder, "boxes", 1), most(kDetector, "geometry_features", 1) - 1,
                most(kMaskHead, "geometry_features", 1) - 1});
  limits_.mask_prompts = most(kMaskHead, "query_index", 0);
  limits_.masks = most(kMaskHead, "query_index", 1);
  limits_.objects = count_objects(plans_, later_, limits_.objects);
  max_texts_ = most(kTextEncoder, "input_ids", 0);
  text_encoder_ = plans_.extract(kTextEncoder).mapped();
}

/// Engines may free memory of the GPU in this thread.
GpuModel::~GpuModel() {
  (void)device_.driver().context_set_current.status(device_.context()->handle());
}

const LoadedPlan& GpuModel::plan(Component component) const {
  if (const auto found = plans_.find(component); found != plans_.end()) return *found->second;
  const std::lock_guard lock(loading_);
  const auto found = loaded_.find(component);
  if (found != loaded_.end()) return *found->second;
  return *loaded_.emplace(component, load(component)).first->second;
}

std::shared_ptr<const LoadedPlan> GpuModel::load(Component component) const {
  const auto later = later_.find(component);
  if (later == later_.end()) {
    throw_without(component,
                  "export the whole checkpoint with 'sam3trt export --component all' and build it");
  }
  GpuPlans all = plans_;
  all.insert(loaded_.begin(), loaded_.end());
  auto plan = later->second.load();
  all[component] = plan;
  check_plans(all);
  return plan;
}

std::shared_ptr<const LoadedPlan> GpuModel::text_encoder() const {
  const std::lock_guard lock(mutex_);
  return text_encoder_;
}

void GpuModel::free_text_encoder() const {
  std::shared_ptr<const LoadedPlan> freed;
  const std::lock_guard lock(mutex_);
  freed.swap(text_encoder_);
}

}  // namespace sam3trt
