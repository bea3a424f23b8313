#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.hpp"

namespace sam3trt {

/// A tensor as a checkpoint file stores it; the bytes belong to the mapped file.
struct StoredTensor {
  std::string name;
  std::string dtype_name;      ///< As the format spells it, for messages ("F8_E4M3").
  std::optional<DType> dtype;  ///< Empty when this project has no type for it.
  Shape shape;
  uint64_t element_bytes = 0;  ///< Bytes of all elements.

  /// Dense row-major elements; when `strides` is not empty, the elements of the storage from the
  /// tensor's first one on.
  std::span<const std::byte> bytes;

  /// In elements, one per dimension; empty for a dense row-major tensor.
  std::vector<int64_t> strides;
};

/// Whether a name read from a file can be a tensor's: 1 to 512 printable ASCII characters.
[[nodiscard]] bool is_tensor_name(std::string_view name);

/// A short form of a text from a file, safe to print: other characters than printable ASCII become
/// '?', a long text is cut.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace sam3trt
