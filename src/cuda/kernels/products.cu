// What stands before products, one kernel per type and size (normalise.hpp).
#include "cuda/kernels/normalise.hpp"
#include "cuda/kernels/warp.cuh"

// Not in an unnamed namespace: see operators.cu.
namespace sam3trt {

template <int kChunks, bool kFp8, typename Type, RowSource kSource = RowSource::kPlain>
__device__ void normalise(const NormaliseArgs& args) {
  GpuWarp<Type> warp;
  NormaliseRows<kChunks, kFp8, GpuWarp<Type>, kSource>(args, warp, nullptr).run();
}

}  // namespace sam3trt

// As many blocks of 128 threads as registers suffice for: rows wait for memory most of their time.
#define SAM3TRT_NORMALISE(name, chunks, fp8, type)                                    \
  extern "C" __global__ void __launch_bounds__(128, chunks == 4 ? 8 : 4)              \
      sam3trt_normalise_##name(const __grid_constant__ sam3trt::NormaliseArgs args) { \
    sam3trt::normalise<chunks, fp8, sam3trt::type>(args);                             \
  }

#define SAM3TRT_NORMALISE_FROM(prefix, name, source, chunks, blocks, type)                  \
  extern "C" __global__ void __launch_bounds__(128, blocks)                                 \
      sam3trt_##prefix##_norm_##name(const __grid_constant__ sam3trt::NormaliseArgs args) { \
    sam3trt::normalise<chunks, false, sam3trt::type, sam3trt::RowSource::source>(args);     \
  }

#define SAM3TRT_PRODUCTS(name, type)                                    \
  SAM3TRT_NORMALISE_FROM(residual, name##_256, kResidual, 2, 8, type)   \
  SAM3TRT_NORMALISE_FROM(residual, name##_1024, kResidual, 8, 4, type)  \
  SAM3TRT_NORMALISE_FROM(residual, name##_2048, kResidual, 16, 2, type) \
  SAM3TRT_NORMALISE_FROM(gathered, name##_256, kIndex, 1, 12, type)     \
  SAM3TRT_NORMALISE_FROM(gathered, name##_1024, kIndex, 4, 8, type)     \
  SAM3TRT_NORMALISE_FROM(gathered, name##_2048, kIndex, 8, 4, type)     \
  SAM3TRT_NORMALISE(name##_1024, 4, false, type)                        \
  SAM3TRT_NORMALISE(name##_2048, 8, false, type)                        \
  SAM3TRT_NORMALISE(name##_e4m3_1024, 4, true, type)                    \
  SAM3TRT_NORMALISE(name##_e4m3_2048, 8, true, type)                    \
  extern "C" __global__ void sam3trt_quantise_##name(                   \
      const __grid_constant__ sam3trt::QuantiseArgs args) {             \
    const sam3trt::KernelThread at{threadIdx.x, blockIdx.x};            \
    sam3trt::quantise_body<sam3trt::GpuWarp<sam3trt::type>>(args, at);  \
  }

SAM3TRT_PRODUCTS(f16, Float16)
SAM3TRT_PRODUCTS(bf16, BFloat16)
