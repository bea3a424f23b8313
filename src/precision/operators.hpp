#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace sam3trt {

/// How an ONNX operator treats element types.
struct OperatorTyping {
  bool moves_data = false;  ///< Copies values unchanged; the result has the type of the input.
  bool first_only = false;  ///< Only input 0 has the result's type; the others keep theirs.

  [[nodiscard]] bool has_result_type(size_t input) const { return !first_only || input == 0; }
};

/// The operators that src/model writes; nothing for others.
[[nodiscard]] std::optional<OperatorTyping> typing_of(std::string_view op_type);

}  // namespace sam3trt
