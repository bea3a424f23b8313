// The attention kernels, one per type and size of a head, and those of what the decoder makes of
// boxes, those between the mask head's convolutions, and those at both ends of the vision encoder.
// Work and layouts: attention_mma.hpp, memory_attention_mma.hpp, box_bias.hpp, query_position.hpp,
// pixel.hpp, patch.hpp.
#include "cuda/kernels/attention_mma.hpp"
#include "cuda/kernels/box_bias.hpp"
#include "cuda/kernels/memory_attention_mma.hpp"
#include "cuda/kernels/patch.hpp"
#include "cuda/kernels/pixel.hpp"
#include "cuda/kernels/query_position.hpp"
#include "cuda/kernels/warp.cuh"

extern __shared__ __align__(128) uint16_t dynamic_shared[];

// Not in an unnamed namespace, whose name depends on the folder: equal sources make equal machine
// code, by which an engine knows the kernels that it was verified with.
namespace sam3trt {

template <int kDim, typename Type>
__device__ void attention(const AttentionArgs& args) {
  using Attention = MmaAttention<AttentionTile<kDim>, GpuWarp<Type>>;
  static_assert(Attention::kThreads == 128);
  __shared__ alignas(128) uint16_t shared[Attention::kSharedElements];
  GpuWarp<Type> warp;
  Attention(args, warp, shared).run();
}

template <int kDim, typename Type>
__device__ void grid_attention(const AttentionArgs& args) {
  using Attention = MmaAttention<GridAttentionTile<kDim>, GpuWarp<Type>>;
  static_assert(Attention::kThreads == 256);
  GpuWarp<Type> warp;
  Attention(args, warp, dynamic_shared).run();
}

template <int kDim, typename Type>
__device__ void rotate_keys(const RotateArgs& args) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  rotate_keys_body<kDim, GpuWarp<Type>>(args, thread);
}

}  // namespace sam3trt

extern "C" __global__ void sam3trt_memory_count(
    const __grid_constant__ sam3trt::MemoryCountArgs args) {
  sam3trt::memory_count_body(args, {threadIdx.x, blockIdx.x});
}

#define SAM3TRT_MEMORY_ATTENTION(name, values, type)                                               \
  extern "C" __global__ void sam3trt_memory_prepare_##name(                                        \
      const __grid_constant__ sam3trt::MemoryPrepareArgs args) {                                   \
    const int64_t thread = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;            \
    sam3trt::memory_prepare_body<values, sam3trt::GpuWarp<sam3trt::type>>(args, thread);           \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(128, 1)                                             \
      sam3trt_memory_attention_##name(const __grid_constant__ sam3trt::MemoryAttentionArgs args) { \
    using Warp = sam3trt::GpuWarp<sam3trt::type>;                                                  \
    Warp warp;                                                                                     \
    sam3trt::MmaMemoryAttention<values, Warp>(args, warp, dynamic_shared).run();                   \
  }                                                                                                \
  extern "C" __global__ void sam3trt_memory_join_##name(                                           \
      const __grid_constant__ sam3trt::MemoryAttentionArgs args) {                                 \
    const sam3trt::KernelThread at{threadIdx.x, blockIdx.x, blockIdx.y};                           \
    sam3trt::memory_join_body<values, sam3trt::GpuWarp<sam3trt::type>>(args, at);                  \
  }

SAM3TRT_MEMORY_ATTENTION(f16_64, 64, Float16)
SAM3TRT_MEMORY_ATTENTION(f16_256, 256, Float16)
SAM3TRT_MEMORY_ATTENTION(bf16_64, 64, BFloat16)
SAM3TRT_MEMORY_ATTENTION(bf16_256, 256, BFloat16)

extern "C" __global__ void sam3trt_box_bias(const __grid_constant__ sam3trt::BoxBiasArgs args) {
  __shared__ sam3trt::BoxBiasWeights weights;
  const sam3trt::KernelThread at{threadIdx.x, blockIdx.x, blockIdx.y, blockIdx.z, gridDim.y};
  sam3trt::box_bias_load_body(args, at, weights);
  __syncthreads();
  sam3trt::box_bias_body(args, at, weights);
}

extern "C" __global__ void __launch_bounds__(sam3trt::kQueryPositionThreads, 1)
    sam3trt_query_position(const __grid_constant__ sam3trt::QueryPositionArgs args) {
  __shared__ sam3trt::QueryPositionRows rows;
  const sam3trt::KernelThread at{threadIdx.x, blockIdx.x, blockIdx.y};
  sam3trt::query_position_encode_body(args, at, rows);
  __syncthreads();
  sam3trt::query_position_hidden_body(args, at, rows);
  __syncthreads();
  sam3trt::query_position_join_body(args, at, rows);
  __syncthreads();
  sam3trt::query_position_output_body(args, at, rows);
  __syncthreads();
  sam3trt::query_position_write_body(args, at, rows);
}

#define SAM3TRT_PIXELS(name, type)                                                           \
  extern "C" __global__ void __launch_bounds__(256, 6)                                       \
      sam3trt_upsampled_sum_##name(const __grid_constant__ sam3trt::UpsampledSumArgs args) { \
    __shared__ sam3trt::SumTile tile;                                                        \
    const sam3trt::KernelThread at{threadIdx.x, blockIdx.x, blockIdx.y, blockIdx.z};         \
    sam3trt::upsampled_sum_load_body(args, at, tile);                                        \
    __syncthreads();                                                                         \
    sam3trt::upsampled_sum_write_body<sam3trt::GpuWarp<sam3trt::type>>(args, at, tile);      \
  }                                                                                          \
  extern "C" __global__ void __launch_bounds__(256, 4)                                       \
      sam3trt_group_sums_##name(const __grid_constant__ sam3trt::GroupNormArgs args) {       \
    __shared__ sam3trt::GroupSums sums;                                                      \
    const sam3trt::KernelThread at{threadIdx.x, blockIdx.x, blockIdx.y};                     \
    sam3trt::group_part_body<sam3trt::GpuWarp<sam3trt::type>>(args, at, sums);               \
    __syncthreads();                                                                         \
    sam3trt::group_sum_body(args, at, sums);                                                 \
  }                                                                                          \
  extern "C" __global__ void __launch_bounds__(256, 4)                                       \
      sam3trt_group_norm_##name(const __grid_constant__ sam3trt::GroupNormArgs args) {       \
    __shared__ sam3trt::GroupScales scales;                                                  \
    const sam3trt::KernelThread at{threadIdx.x, blockIdx.x, blockIdx.y};                     \
    sam3trt::group_gather_body(args, at, scales);                                            \
    __syncthreads();                                                                         \
    sam3trt::group_scale_body<sam3trt::GpuWarp<sam3trt::type>>(args, at, scales);            \
    __syncthreads();                                                                         \
    sam3trt::group_apply_body<sam3trt::GpuWarp<sam3trt::type>>(args, at, scales);            \
  }

#define SAM3TRT_PATCHES(name, type)                                                  \
  extern "C" __global__ void __launch_bounds__(256, 4)                               \
      sam3trt_patches_##name(const __grid_constant__ sam3trt::PatchArgs args) {      \
    __shared__ sam3trt::PatchRows rows;                                              \
    const sam3trt::KernelThread at{threadIdx.x, blockIdx.x, blockIdx.y, blockIdx.z}; \
    sam3trt::patch_load_body<sam3trt::GpuWarp<sam3trt::type>>(args, at, rows);       \
    __syncthreads();                                                                 \
    sam3trt::patch_write_body(args, at, rows);                                       \
  }

SAM3TRT_PATCHES(f16, Float16)
SAM3TRT_PATCHES(bf16, BFloat16)

extern "C" __global__ void sam3trt_window_map(const __grid_constant__ sam3trt::WindowMapArgs args) {
  sam3trt::window_map_body(args, {threadIdx.x, blockIdx.x, blockIdx.y});
}

SAM3TRT_PIXELS(f16, Float16)
SAM3TRT_PIXELS(bf16, BFloat16)

#define SAM3TRT_ATTENTION(name, dim, type)                                                 \
  extern "C" __global__ void __launch_bounds__(128, 2)                                     \
      sam3trt_attention_##name(const __grid_constant__ sam3trt::AttentionArgs args) {      \
    sam3trt::attention<dim, sam3trt::type>(args);                                          \
  }                                                                                        \
  extern "C" __global__ void __launch_bounds__(256, 2)                                     \
      sam3trt_grid_attention_##name(const __grid_constant__ sam3trt::AttentionArgs args) { \
    sam3trt::grid_attention<dim, sam3trt::type>(args);                                     \
  }                                                                                        \
  extern "C" __global__ void sam3trt_rotate_keys_##name(                                   \
      const __grid_constant__ sam3trt::RotateArgs args) {                                  \
    sam3trt::rotate_keys<dim, sam3trt::type>(args);                                        \
  }

SAM3TRT_ATTENTION(f16_16, 16, Float16)
SAM3TRT_ATTENTION(f16_32, 32, Float16)
SAM3TRT_ATTENTION(f16_64, 64, Float16)
SAM3TRT_ATTENTION(bf16_16, 16, BFloat16)
SAM3TRT_ATTENTION(bf16_32, 32, BFloat16)
SAM3TRT_ATTENTION(bf16_64, 64, BFloat16)
