#pragma once

#include <memory>
#include <string>

#include "gpu/gpu_model.hpp"
#include "runtime/backend.hpp"
#include "runtime/cpu_backend.hpp"
#include "segmenter/engines.hpp"
#include "text/tokenizer.hpp"

namespace sam3trt {

/// What sam3trt::Model holds: engines on a GPU or graphs on the CPU, tokenizer and configuration.
/// Usable from several threads.
class SharedModel {
 public:
  /// Loads what the files name; throws as Model's constructor says.
  SharedModel(const ModelFiles& files, const LoadOptions& options);
  /// Of parts that are there.
  SharedModel(std::shared_ptr<const GpuModel> gpu, Tokenizer tokenizer);
  SharedModel(std::shared_ptr<SharedEngines> engines, Tokenizer tokenizer,
              const ModelConfig& config, Semantics semantics);

  [[nodiscard]] const std::string& backend() const { return backend_; }
  [[nodiscard]] Semantics semantics() const { return semantics_; }
  [[nodiscard]] bool verified() const { return verified_; }
  [[nodiscard]] const ModelConfig& config() const { return config_; }
  [[nodiscard]] const Tokenizer& tokenizer() const { return tokenizer_; }
  /// SHA-256 of the checkpoint; empty for parts that do not know theirs.
  [[nodiscard]] const std::string& checkpoint() const { return checkpoint_; }
  /// Whether all components that Task::kTrack needs are there.
  [[nodiscard]] bool can_track() const;
  [[nodiscard]] CallLimits limits() const;
  [[nodiscard]] uint64_t device_memory() const;

  /// Whether it has the components of clicks on images.
  [[nodiscard]] bool can_interact() const { return config_.tracker && has_all_of(Task::kInteract); }
  void free_text_encoder() const;

  /// What a session runs on.
  [[nodiscard]] std::unique_ptr<Backend> make_backend() const;

 private:
  [[nodiscard]] bool has_all_of(Task task) const;

  std::string backend_;
  std::string checkpoint_;
  Semantics semantics_;
  bool verified_ = true;
  ModelConfig config_;
  Tokenizer tokenizer_;
  std::unique_ptr<TensorRtHost> host_;  ///< Its library outlives the engines.
  std::shared_ptr<const GpuModel> gpu_;
  std::shared_ptr<SharedEngines> engines_;
};

}  // namespace sam3trt
