#pragma once

namespace sam3trt {

/// The compiled kernels, as nvcc's --fatbin makes them: machine code for compute capability 8.0 to
/// 12.0, PTX for others. cmake/cuda.cmake generates the definition.
[[nodiscard]] const void* kernel_fatbin();

/// The same of the attention kernels.
[[nodiscard]] const void* attention_fatbin();

/// Those that only GPUs of compute capability 9.0 run.
[[nodiscard]] const void* warpgroup_attention_fatbin();

}  // namespace sam3trt
