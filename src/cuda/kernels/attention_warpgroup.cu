// The attention kernels of compute capability 9.0. Work and layouts: attention_warpgroup.hpp.
#include "cuda/kernels/attention_warpgroup.hpp"
#include "cuda/kernels/warp.cuh"

extern __shared__ __align__(1024) uint16_t shared[];  // kWarpgroupSharedElements

#define SAM3TRT_ATTENTION(name, type)                                                           \
  extern "C" __global__ void __launch_bounds__(sam3trt::kWarpgroupThreads, 1)                   \
      sam3trt_warpgroup_attention_##name(const __grid_constant__ sam3trt::AttentionArgs args) { \
    using Warp = sam3trt::GpuWarpgroup<sam3trt::type>;                                          \
    Warp warp;                                                                                  \
    sam3trt::WarpgroupAttention<Warp>(args, warp, shared).run();                                \
  }

SAM3TRT_ATTENTION(f16_64, Float16)
SAM3TRT_ATTENTION(bf16_64, BFloat16)
