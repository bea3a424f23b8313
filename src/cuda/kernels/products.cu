// What stands before products, one kernel per type and size (normalise.hpp).
#include "cuda/kernels/normalise.hpp"
#include "cuda/kernels/warp.cuh"

// Not in an unnamed namespace: see operators.cu.
namespace sam3trt {

template <int kChunks, bool kFp8, typename Type, bool kResidual = false>
__device__ void normalise(const NormaliseArgs& args) {
  GpuWarp<Type> warp;
  NormaliseRows<kChunks, kFp8, GpuWarp<Type>, kResidual>(args, warp, nullptr).run();
}

}  // namespace sam3trt

// As many blocks of 128 threads as registers suffice for: rows wait for memory most of their time.
#define SAM3TRT_NORMALISE(name, chunks, fp8, type)                                    \
  extern "C" __global__ void __launch_bounds__(128, chunks == 8 ? 8 : 4)              \
      sam3trt_normalise_##name(const __grid_constant__ sam3trt::NormaliseArgs args) { \
    sam3trt::normalise<chunks, fp8, sam3trt::type>(args);                             \
  }

#define SAM3TRT_RESIDUAL_NORM(name, chunks, blocks, type)                                 \
  extern "C" __global__ void __launch_bounds__(128, blocks)                               \
      sam3trt_residual_norm_##name(const __grid_constant__ sam3trt::NormaliseArgs args) { \
    sam3trt::normalise<chunks, false, sam3trt::type, true>(args);                         \
  }

#define SAM3TRT_PRODUCTS(name, type)                                   \
  SAM3TRT_RESIDUAL_NORM(name##_256, 2, 8, type)                        \
  SAM3TRT_RESIDUAL_NORM(name##_1024, 8, 4, type)                       \
  SAM3TRT_RESIDUAL_NORM(name##_2048, 16, 2, type)                      \
  SAM3TRT_NORMALISE(name##_1024, 8, false, type)                       \
  SAM3TRT_NORMALISE(name##_2048, 16, false, type)                      \
  SAM3TRT_NORMALISE(name##_e4m3_1024, 8, true, type)                   \
  SAM3TRT_NORMALISE(name##_e4m3_2048, 16, true, type)                  \
  extern "C" __global__ void sam3trt_quantise_##name(                  \
      const __grid_constant__ sam3trt::QuantiseArgs args) {            \
    const sam3trt::KernelThread at{threadIdx.x, blockIdx.x};           \
    sam3trt::quantise_body<sam3trt::GpuWarp<sam3trt::type>>(args, at); \
  }

SAM3TRT_PRODUCTS(f16, Float16)
SAM3TRT_PRODUCTS(bf16, BFloat16)
