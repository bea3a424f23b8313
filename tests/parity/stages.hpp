#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "base/engine.hpp"
#include "checkpoint/checkpoint.hpp"
#include "goldens.hpp"
#include "model/export.hpp"

namespace sam3trt::parity {

using Tensors = std::map<std::string, Tensor>;

/// The five graphs of one checkpoint on the CPU backend, and the tensors between them
/// (docs/graphs.md).
class Stages {
 public:
  /// Exports the graphs into `folder` and compiles them.
  Stages(const Checkpoint& checkpoint, const std::filesystem::path& folder);

  /// Every tensor, inputs included, for one prompt on one picture; all masks are computed.
  [[nodiscard]] Tensors run(const Goldens& goldens, const GoldenPrompt& prompt);

 private:
  void run_graph(GraphKind kind, Tensors& tensors);
  void add_geometry_inputs(const GoldenPrompt& prompt, Tensors& tensors) const;
  void add_prompt_mask(const GoldenPrompt& prompt, Tensors& tensors) const;

  Sam3Config config_;
  std::map<GraphKind, std::unique_ptr<Engine>> engines_;
};

}  // namespace sam3trt::parity
