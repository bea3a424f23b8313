#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <string_view>

namespace sam3trt {

/// How an ONNX operator treats element types.
struct OperatorTyping {
  bool moves_data = false;  ///< Copies values unchanged; the result has the type of the input.
  /// So many first inputs have the result's type; the others are float32 or no floats. 0: the
  /// operator turns float32 into a type of its own choice, which it has as attribute `bf16`.
  size_t typed_inputs = std::numeric_limits<size_t>::max();

  /// So many first outputs have it, too; the others are float32.
  size_t typed_outputs = std::numeric_limits<size_t>::max();

  [[nodiscard]] bool has_result_type(size_t input) const { return input < typed_inputs; }
};

/// The operators that src/model writes; nothing for others.
[[nodiscard]] std::optional<OperatorTyping> typing_of(std::string_view op_type);

}  // namespace sam3trt
