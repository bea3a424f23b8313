#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "components/components.hpp"
#include "cuda/kernels.hpp"
#include "runtime/prepared_call.hpp"
#include "trt/api.hpp"

namespace sam3trt {

/// The engines of one model, by component.
using GpuPlans = std::map<Component, std::shared_ptr<const LoadedPlan>>;

/// An engine that is loaded at its first use.
struct LatePlan {
  /// Called with the device's context current, by one thread at a time; again after it threw.
  std::function<std::shared_ptr<const LoadedPlan>()> load;
  int64_t objects = 0;  ///< That go through it at once; 0: it counts none.
};
using LatePlans = std::map<Component, LatePlan>;

/// What all sessions of a model on a GPU share. Usable from several threads; the device's context
/// must be current in the one that makes it.
class GpuModel {
 public:
  /// `plans` are those of detection, and may be all. Throws Error(kBadInput) when the engines do
  /// not fit together.
  GpuModel(const CudaDevice& device, GpuPlans plans, const ModelConfig& config, Semantics semantics,
           LatePlans later = {});
  ~GpuModel();
  GpuModel(const GpuModel&) = delete;
  GpuModel& operator=(const GpuModel&) = delete;

  [[nodiscard]] const CudaDevice& device() const { return device_; }
  [[nodiscard]] const KernelLibrary& kernels() const { return kernels_; }
  [[nodiscard]] const ModelConfig& config() const { return config_; }
  [[nodiscard]] Semantics semantics() const { return semantics_; }
  [[nodiscard]] const CallLimits& limits() const { return limits_; }

  /// Whether it is there, loaded or not; not asked for the text encoder, which may go.
  [[nodiscard]] bool has(Component component) const {
    return plans_.contains(component) || later_.contains(component);
  }

  /// Not the text encoder. Loads the engine where that was left for later. Throws what loading
  /// throws, and Error(kBadInput) when the model has no such component or it does not fit the
  /// others.
  [[nodiscard]] const LoadedPlan& plan(Component component) const;

  /// Texts that go through the text encoder at once.
  [[nodiscard]] size_t max_texts() const { return max_texts_; }

  /// Null after free_text_encoder().
  [[nodiscard]] std::shared_ptr<const LoadedPlan> text_encoder() const;
  void free_text_encoder() const;

 private:
  [[nodiscard]] std::shared_ptr<const LoadedPlan> load(Component component) const;

  CudaDevice device_;
  KernelLibrary kernels_;
  ModelConfig config_;
  Semantics semantics_;
  GpuPlans plans_;   ///< What came with the model; nothing is added later.
  LatePlans later_;  ///< None of the components of `plans_`.
  CallLimits limits_;
  size_t max_texts_ = 1;
  mutable std::mutex loading_;  ///< Of `loaded_`.
  mutable GpuPlans loaded_;     ///< Of `later_`; what is in it stays.
  mutable std::mutex mutex_;    ///< Of `text_encoder_`.
  mutable std::shared_ptr<const LoadedPlan> text_encoder_;
};

}  // namespace sam3trt
