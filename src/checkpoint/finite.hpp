#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/tensor.hpp"

namespace sam3trt {

/// How many of a tensor's values are NaN or infinite once they are float32, and the first of them.
struct NonFiniteCount {
  int64_t count = 0;
  int64_t first = -1;  ///< Index of the element; -1 without any.
};

/// Counts over dense elements of kF32, kF16, kBF16 or kF64; of the last, values that float32 would
/// round to infinity count too. Fast where all values are finite, which is what nearly every tensor
/// is. Throws Error(kInternal) for another type.
[[nodiscard]] NonFiniteCount count_non_finite(std::span<const std::byte> bytes, DType dtype);

}  // namespace sam3trt
