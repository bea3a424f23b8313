#pragma once

#include <cstddef>
#include <span>

namespace sam3trt {

/// The compiled kernels, as nvcc's --fatbin makes them: machine code for compute capability 8.0 to
/// 12.0, PTX for others. cmake/cuda.cmake generates the definition.
[[nodiscard]] std::span<const std::byte> kernel_fatbin();

/// The same of the kernels of base/own_operators.hpp.
[[nodiscard]] std::span<const std::byte> operator_fatbin();

/// The same of what stands before products.
[[nodiscard]] std::span<const std::byte> product_fatbin();

/// Those that only GPUs of compute capability 9.0 run.
[[nodiscard]] std::span<const std::byte> warpgroup_attention_fatbin();

}  // namespace sam3trt
