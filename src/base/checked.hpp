#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace sam3trt {

/// a * b, or nothing when the product does not fit.
[[nodiscard]] inline std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) {
  uint64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

/// a + b, or nothing when the sum does not fit.
[[nodiscard]] inline std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
  uint64_t result = 0;
  if (__builtin_add_overflow(a, b, &result)) return std::nullopt;
  return result;
}

/// Number of elements of a shape; nothing when a dimension is negative or the product does not fit
/// into a signed 64-bit number. A shape without dimensions has one element.
[[nodiscard]] inline std::optional<int64_t> checked_element_count(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) {
    if (dim < 0 || __builtin_mul_overflow(count, dim, &count)) return std::nullopt;
  }
  return count;
}

}  // namespace sam3trt
