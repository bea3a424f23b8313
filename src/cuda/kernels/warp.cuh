#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "cuda/kernels/attention.hpp"

namespace sam3trt {

/// Arithmetic of 16-bit floats: float16.
struct Float16 {
  static __device__ float2 unpack(uint32_t pair) {
    return __half22float2(*reinterpret_cast<const __half2*>(&pair));
  }
  static __device__ uint32_t pack(float low, float high) {
    const __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  }
  static __device__ void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

/// The same of bfloat16.
struct BFloat16 {
  static __device__ float2 unpack(uint32_t pair) {
    return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&pair));
  }
  static __device__ uint32_t pack(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  }
  static __device__ void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

/// A thread's way to its warp and block on a GPU of compute capability 8.0 or later.
template <typename Type>
struct GpuWarp : Type {
  static __device__ int thread() { return static_cast<int>(threadIdx.x); }
  static __device__ int block_x() { return static_cast<int>(blockIdx.x); }
  static __device__ int block_y() { return static_cast<int>(blockIdx.y); }
  static __device__ int block_z() { return static_cast<int>(blockIdx.z); }

  static __device__ float max(float a, float b) { return fmaxf(a, b); }
  static __device__ float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
  static __device__ float exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }

  static __device__ void sync_block() { __syncthreads(); }
  static __device__ void sync_warp() { __syncwarp(); }

  /// The other lane's value whose number differs by `bit`.
  static __device__ float exchange(float value, int bit) {
    return __shfl_xor_sync(0xFFFFFFFFU, value, bit);
  }

  static __device__ uint32_t shared_address(const void* pointer) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
  }

  /// 16 bytes from global to shared memory, or zeros; done after wait_copies.
  static __device__ void copy_chunk(uint16_t* to, const uint16_t* from, bool valid) {
    const int bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(bytes)
                 : "memory");
  }
  static __device__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

  /// All groups of copies but the last kLater.
  template <int kLater>
  static __device__ void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kLater) : "memory");
  }

  /// Four 8x8 matrices; lane l names row l % 8 of matrix l / 8.
  static __device__ void load_matrices(uint32_t (&r)[4], const uint16_t* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
  }
  static __device__ void load_transposed(uint32_t (&r)[4], const uint16_t* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
  }
};

}  // namespace sam3trt
