#include "precision/operators.hpp"

#include <map>

#include "base/own_operators.hpp"

namespace sam3trt {

std::optional<OperatorTyping> typing_of(std::string_view op_type) {
  constexpr OperatorTyping kCompute{};
  // The other inputs are axes, sizes, indices or scales.
  constexpr OperatorTyping kComputeFirst{.moves_data = false, .typed_inputs = 1};
  constexpr OperatorTyping kComputeFirst2{.moves_data = false, .typed_inputs = 2};
  constexpr OperatorTyping kComputeFirst3{.moves_data = false, .typed_inputs = 3};
  constexpr OperatorTyping kComputeFirst4{.moves_data = false, .typed_inputs = 4};
  constexpr OperatorTyping kComputeFirst5{.moves_data = false, .typed_inputs = 5};
  constexpr OperatorTyping kMove{.moves_data = true};
  constexpr OperatorTyping kMoveFirst{.moves_data = true, .typed_inputs = 1};
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
      {kPlainAttention, kCompute},
      {kRotaryAttention, kComputeFirst},
      {kGridAttention, kComputeFirst3},
      {kQueryPosition, kCompute},
      {kRotatedAttention, kComputeFirst3},
      {kMemoryAttention, kComputeFirst4},
      {kNormalisedProduct, kComputeFirst3},
      {kResidualProduct, kComputeFirst4},
      {kMlp, kComputeFirst5},
      {kGatheredNorm, kComputeFirst},
      {kPatches, {.moves_data = false, .typed_inputs = 0}},
      {kWindowMap, kComputeFirst},
      {kUpsampledSum, kComputeFirst2},
      {kGroupNorm, kComputeFirst},
      {kResidualNorm, {.moves_data = false, .typed_inputs = 1, .typed_outputs = 1}},
  };
  const auto found = kOperators.find(op_type);
  if (found == kOperators.end()) return std::nullopt;
  return found->second;
}

}  // namespace sam3trt
