#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/engine.hpp"
#include "base/error.hpp"

namespace sam3trt {

/// An output that a stage must give.
struct StageOutput {
  std::string name;
  Shape shape;
};

/// NaN or infinity in an output, which is no failure of the call: other images may do well.
class NonFiniteError : public Error {
 public:
  /// `what` gave them: "the detector gave non-finite numbers for the prompt 'dog'".
  explicit NonFiniteError(const std::string& what)
      : Error(ErrorCode::kInternal, what +
                                        "; its precision or its weights are at fault: try fp32, "
                                        "and run 'sam3trt inspect' on the checkpoint") {}
};

/// "the sam_decoder gave non-finite numbers in sam_masks".
[[nodiscard]] std::string nonfinite_in(std::string_view component, std::string_view output);

/// Runs the graph called `stage` and checks its outputs. Throws Error(kBadInput) when one is
/// missing, is not float32 or has another shape (the graphs do not belong together), and
/// NonFiniteError when one holds NaN or infinity, so that a broken stage is never taken for "no
/// instance found".
[[nodiscard]] std::map<std::string, Tensor> run_stage(Engine& engine, const std::string& stage,
                                                      const TensorMap& inputs,
                                                      std::span<const StageOutput> outputs);

}  // namespace sam3trt
