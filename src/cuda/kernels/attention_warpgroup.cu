// The attention kernels of compute capability 9.0. Work and layouts: attention_warpgroup.hpp,
// memory_attention_warpgroup.hpp.
#include "cuda/kernels/attention_warpgroup.hpp"
#include "cuda/kernels/memory_attention_warpgroup.hpp"
#include "cuda/kernels/warp.cuh"

extern __shared__ __align__(1024) uint16_t shared[];

#define SAM3TRT_ATTENTION(name, dim, type)                                                      \
  extern "C" __global__ void __launch_bounds__(sam3trt::WarpgroupSizes<dim>::kThreads, 1)       \
      sam3trt_warpgroup_attention_##name(const __grid_constant__ sam3trt::AttentionArgs args) { \
    using Warp = sam3trt::GpuWarpgroup<sam3trt::type>;                                          \
    Warp warp;                                                                                  \
    sam3trt::WarpgroupAttention<dim, Warp>(args, warp, shared).run();                           \
  }

SAM3TRT_ATTENTION(f16_32, 32, Float16)
SAM3TRT_ATTENTION(f16_64, 64, Float16)
SAM3TRT_ATTENTION(bf16_32, 32, BFloat16)
SAM3TRT_ATTENTION(bf16_64, 64, BFloat16)

#define SAM3TRT_MEMORY_ATTENTION(name, values, type)                                   \
  using Memory_##name =                                                                \
      sam3trt::WarpgroupMemoryAttention<values, sam3trt::GpuWarpgroup<sam3trt::type>>; \
  extern "C" __global__ void __launch_bounds__(Memory_##name::kThreads, 1)             \
      sam3trt_warpgroup_memory_attention_##name(                                       \
          const __grid_constant__ sam3trt::MemoryAttentionArgs args) {                 \
    sam3trt::GpuWarpgroup<sam3trt::type> warp;                                         \
    Memory_##name(args, warp, shared).run();                                           \
  }

SAM3TRT_MEMORY_ATTENTION(f16_64, 64, Float16)
SAM3TRT_MEMORY_ATTENTION(f16_256, 256, Float16)
SAM3TRT_MEMORY_ATTENTION(bf16_64, 64, BFloat16)
SAM3TRT_MEMORY_ATTENTION(bf16_256, 256, BFloat16)
