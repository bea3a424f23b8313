#pragma once

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

/// What all sessions of a model on a GPU share. Usable from several threads; the device's context
/// must be current in the one that makes it.
class GpuModel {
 public:
  /// Throws Error(kBadInput) when the engines do not fit together.
  GpuModel(const CudaDevice& device, GpuPlans plans, const ModelConfig& config,
           Semantics semantics);
  ~GpuModel();
  GpuModel(const GpuModel&) = delete;
  GpuModel& operator=(const GpuModel&) = delete;

  [[nodiscard]] const CudaDevice& device() const { return device_; }
  [[nodiscard]] const KernelLibrary& kernels() const { return kernels_; }
  [[nodiscard]] const ModelConfig& config() const { return config_; }
  [[nodiscard]] Semantics semantics() const { return semantics_; }
  [[nodiscard]] const CallLimits& limits() const { return limits_; }

  [[nodiscard]] bool has(Component component) const { return plans_.contains(component); }

  /// Not the text encoder, which may go.
  [[nodiscard]] const LoadedPlan& plan(Component component) const { return *plans_.at(component); }

  /// Texts that go through the text encoder at once.
  [[nodiscard]] size_t max_texts() const { return max_texts_; }

  /// Null after free_text_encoder().
  [[nodiscard]] std::shared_ptr<const LoadedPlan> text_encoder() const;
  void free_text_encoder() const;

 private:
  void check() const;

  CudaDevice device_;
  KernelLibrary kernels_;
  ModelConfig config_;
  Semantics semantics_;
  GpuPlans plans_;
  CallLimits limits_;
  size_t max_texts_ = 1;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const LoadedPlan> text_encoder_;
};

}  // namespace sam3trt
