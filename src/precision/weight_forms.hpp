#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/tensor.hpp"

namespace sam3trt {

/// Values in a narrower type, and what was lost.
struct WeightForm {
  std::vector<std::byte> bytes;
  int64_t overflows = 0;   ///< Finite values that became infinite, and values not finite before.
  int64_t flushed = 0;     ///< Values not zero that became zero.
  int64_t subnormals = 0;  ///< Values that lost digits as subnormal numbers; flushed ones excluded.
};

/// `values` in kF32, kF16 or kBF16, rounded to nearest even.
[[nodiscard]] WeightForm in_form(std::span<const float> values, DType type);

/// amax / 448 rounded up in `type` (kF16 or kBF16), so that nothing saturates; at least the
/// smallest positive number.
[[nodiscard]] float fp8_scale(float amax, DType type);

/// A row-major matrix in FP8 E4M3 with one scale per column.
struct Fp8Matrix {
  std::vector<std::byte> data;
  std::vector<float> scales;  ///< Exact in the type that was asked for.
  bool finite = true;
};
[[nodiscard]] Fp8Matrix in_fp8(std::span<const float> values, size_t columns, DType scale_type);

/// The transpose of a row-major matrix in FP8 E4M3 with one scale.
struct Fp8Transpose {
  std::vector<std::byte> data;
  float scale = 0;
  bool finite = true;
};
[[nodiscard]] Fp8Transpose in_fp8_transposed(std::span<const float> values, size_t columns);

/// What values up to `amax` are divided by so that E4M3 holds them; at least the smallest normal
/// number.
[[nodiscard]] float fp8_tensor_scale(float amax);

}  // namespace sam3trt
