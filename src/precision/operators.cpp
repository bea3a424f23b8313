#include "precision/operators.hpp"

#include <map>

#include "base/own_operators.hpp"

namespace sam3trt {

std::optional<OperatorTyping> typing_of(std::string_view op_type) {
  constexpr OperatorTyping kCompute{};
  // The other inputs are axes, sizes, indices or scales.
  constexpr OperatorTyping kComputeFirst{.moves_data = false, .first_only = true};
  constexpr OperatorTyping kMove{.moves_data = true, .first_only = false};
  constexpr OperatorTyping kMoveFirst{.moves_data = true, .first_only = true};
  static const std::map<std::string_view, OperatorTyping> kOperators = {
      {"Abs", kCompute},
      {"Add", kCompute},
      {"Clip", kCompute},
      {"Concat", kMove},
      {"Conv", kCompute},
      {"ConvTranspose", kCompute},
      {"Cos", kCompute},
      {"Div", kCompute},
      {"Gather", kMoveFirst},
      {"Gelu", kCompute},
      {"Identity", kMoveFirst},
      {"InstanceNormalization", kCompute},
      {"LayerNormalization", kCompute},
      {"Log", kCompute},
      {"MatMul", kCompute},
      {"Max", kCompute},
      {"Mul", kCompute},
      {"ReduceSum", kComputeFirst},
      {"Relu", kCompute},
      {"Reshape", kMoveFirst},
      {"Resize", kMoveFirst},
      {"Sigmoid", kCompute},
      {"Sign", kCompute},
      {"Sin", kCompute},
      {"Slice", kMoveFirst},
      {"Softmax", kCompute},
      {"Split", kMoveFirst},
      {"Squeeze", kMoveFirst},
      {"Sub", kCompute},
      {"Transpose", kMoveFirst},
      {"Unsqueeze", kMoveFirst},
      {kRotaryAttention, kComputeFirst},
  };
  const auto found = kOperators.find(op_type);
  if (found == kOperators.end()) return std::nullopt;
  return found->second;
}

}  // namespace sam3trt
