#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/tensor.hpp"

namespace sam3trt {

/// Name, type and shape of one input or output; a dimension of -1 is chosen at run time.
struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
};

using TensorMap = std::map<std::string, const Tensor*>;

/// One compiled graph on one backend: named tensors in, named tensors out.
class Engine {
 public:
  virtual ~Engine() = default;

  [[nodiscard]] virtual const std::vector<TensorInfo>& inputs() const = 0;
  [[nodiscard]] virtual const std::vector<TensorInfo>& outputs() const = 0;

  /// Runs the graph. `inputs` names every input; shapes may differ from call to call within the
  /// dynamic dimensions. Returns every output. Throws Error(kBadInput) for a missing or unknown
  /// name, a wrong dtype or a shape that does not fit. One call at a time per engine.
  [[nodiscard]] virtual std::map<std::string, Tensor> run(const TensorMap& inputs) = 0;
};

}  // namespace sam3trt
