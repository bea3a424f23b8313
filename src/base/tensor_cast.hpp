#pragma once

#include "base/tensor.hpp"

namespace sam3trt {

/// True for the 16-bit floating-point types.
[[nodiscard]] bool is_16_bit_float(DType dtype);

/// A float32 tensor in a 16-bit floating-point type (rounded to nearest even), or one of these in
/// float32. Throws Error(kInternal) for other pairs of types.
[[nodiscard]] Tensor cast_tensor(const Tensor& tensor, DType dtype);

}  // namespace sam3trt
