#pragma once

#include <memory>
#include <span>
#include <vector>

#include "gpu/gpu_backend.hpp"
#include "runtime/pipeline.hpp"
#include "text/tokenizer.hpp"

namespace sam3trt {

/// A pipeline on a GPU with a model of its own; what several sessions share is in GpuModel.
class GpuSession {
 public:
  GpuSession(const CudaDevice& device, GpuPlans plans, Tokenizer tokenizer,
             const ModelConfig& config, Semantics semantics)
      : tokenizer_(std::make_unique<Tokenizer>(std::move(tokenizer))),
        pipeline_(std::make_unique<GpuBackend>(std::make_shared<const GpuModel>(
                      device, std::move(plans), config, semantics)),
                  *tokenizer_, config, semantics) {}

  /// As Pipeline has them.
  [[nodiscard]] std::vector<ImageResult> run(std::span<const ImageRequest> requests,
                                             const DetectOptions& options) {
    return pipeline_.run(requests, options);
  }
  [[nodiscard]] bool keep_only_texts(std::span<const Prompt> prompts) {
    return pipeline_.keep_only_texts(prompts);
  }
  [[nodiscard]] Pipeline& pipeline() { return pipeline_; }

 private:
  std::unique_ptr<Tokenizer> tokenizer_;
  Pipeline pipeline_;
};

}  // namespace sam3trt
