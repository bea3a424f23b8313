#pragma once

#include <map>
#include <string>

#include "base/tensor.hpp"
#include "goldens.hpp"
#include "runtime/cpu_session.hpp"

namespace sam3trt::parity {

using Tensors = std::map<std::string, Tensor>;

/// Exports a tiny checkpoint into a temporary folder, as `sam3trt export` does.
[[nodiscard]] ModelFiles export_model(const Reference& reference);

/// Its graphs on the CPU.
[[nodiscard]] SessionEngines load_on_cpu(const ModelFiles& files);

/// What the golden's prompt asks for.
[[nodiscard]] Prompt prompt_of(const GoldenPrompt& golden);

/// The five graphs of one model run one after the other, all tensors kept (docs/graphs.md).
class Stages {
 public:
  explicit Stages(const ModelFiles& files);

  /// Every tensor, inputs included, for one prompt on one picture; all masks are computed.
  [[nodiscard]] Tensors run(const Goldens& goldens, const GoldenPrompt& golden);

 private:
  ModelConfig config_;
  Semantics semantics_;
  SessionEngines engines_;
};

}  // namespace sam3trt::parity
