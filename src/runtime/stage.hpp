#pragma once

#include <map>
#include <span>
#include <string>

#include "base/engine.hpp"

namespace sam3trt {

/// An output that a stage must give.
struct StageOutput {
  std::string name;
  Shape shape;
};

/// Runs the graph called `stage` and checks its outputs. Throws Error(kBadInput) when one is
/// missing, is not float32 or has another shape (the graphs do not belong together), and
/// Error(kInternal) when one holds NaN or infinity, so that a broken stage is never taken for "no
/// instance found".
[[nodiscard]] std::map<std::string, Tensor> run_stage(Engine& engine, const std::string& stage,
                                                      const TensorMap& inputs,
                                                      std::span<const StageOutput> outputs);

}  // namespace sam3trt
