#include "runtime/cpu_session.hpp"

namespace sam3trt {

SessionEngines load_engines(const ModelFiles& files, const EngineLoader& load) {
  SessionEngines engines;
  for (const auto& [component, path] : files.components) {
    if (serves(component, Task::kDetect)) {
      engines.set(component, load(path));
    } else {
      engines.set_later(component, [load, path = path] { return load(path); });
    }
  }
  return engines;
}

CpuSession::CpuSession(SessionEngines engines, Tokenizer tokenizer, const ModelConfig& config,
                       Semantics semantics, SessionLimits limits)
    : tokenizer_(std::make_unique<Tokenizer>(std::move(tokenizer))),
      pipeline_(std::make_unique<CpuBackend>(std::make_shared<SharedEngines>(std::move(engines)),
                                             config, semantics, limits),
                *tokenizer_, config, semantics) {}

std::vector<ImageResult> CpuSession::run(std::span<const ImageRequest> requests,
                                         const DetectOptions& options) {
  return pipeline_.run(requests, options);
}

ImageResult CpuSession::run(const Image& image, std::span<const Prompt> prompts,
                            const Thresholds& thresholds) {
  const ImageRequest request{view_of(image), prompts};
  return std::move(pipeline_.run(std::span(&request, 1), {thresholds}).front());
}

}  // namespace sam3trt
