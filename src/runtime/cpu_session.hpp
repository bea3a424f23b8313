#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "image/image.hpp"
#include "runtime/cpu_backend.hpp"
#include "runtime/pipeline.hpp"

namespace sam3trt {

/// Loads one graph on the backend of the caller's choice.
using EngineLoader = std::function<std::unique_ptr<Engine>(const std::filesystem::path&)>;

/// All engines of a model. Those that detection does not need are loaded at their first use, so
/// `load` must stay usable.
[[nodiscard]] SessionEngines load_engines(const ModelFiles& files, const EngineLoader& load);

/// A pipeline on engines with tensors in host memory. One call at a time.
class CpuSession {
 public:
  CpuSession(SessionEngines engines, Tokenizer tokenizer, const ModelConfig& config,
             Semantics semantics, SessionLimits limits = {});

  /// As Pipeline::run.
  [[nodiscard]] std::vector<ImageResult> run(std::span<const ImageRequest> requests,
                                             const DetectOptions& options = {});
  /// The same for one image.
  [[nodiscard]] ImageResult run(const Image& image, std::span<const Prompt> prompts,
                                const Thresholds& thresholds);

  [[nodiscard]] const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  std::unique_ptr<Tokenizer> tokenizer_;
  Pipeline pipeline_;
};

}  // namespace sam3trt
