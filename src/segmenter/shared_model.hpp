#pragma once

#include <memory>
#include <mutex>
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

  /// The same for a video. On a GPU it is what an ended video ran on, where there is such a one:
  /// TensorRT takes a tenth of a second and more to set up its contexts. The next video may have it
  /// from when the last copy of the pointer is gone; one is kept, with its memory of the GPU, for
  /// as long as the model. Every call puts its own inputs, so nothing of one video reaches the
  /// next.
  [[nodiscard]] std::shared_ptr<Backend> lend_backend() const;

 private:
  /// The backend that the next video gets, if any.
  struct Spare {
    std::mutex mutex;
    std::unique_ptr<Backend> backend;
  };

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
  std::shared_ptr<Spare> spare_ = std::make_shared<Spare>();  ///< Goes before what it runs.
};

}  // namespace sam3trt
