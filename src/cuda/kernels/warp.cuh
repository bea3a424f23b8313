#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "cuda/kernels/attention.hpp"
#include "cuda/kernels/wgmma.cuh"

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
  SAM3TRT_WGMMA("f16")
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
  SAM3TRT_WGMMA("bf16")
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

  /// Two E4M3, rounded to nearest even; what is beyond 448 becomes 448.
  static __device__ uint32_t pack_e4m3(float low, float high) {
    return __nv_cvt_float2_to_fp8x2(make_float2(low, high), __NV_SATFINITE, __NV_E4M3);
  }

  static __device__ void sync_block() { __syncthreads(); }
  static __device__ void sync_warp() { __syncwarp(); }

  /// A value that all lanes of the warp have, so that the compiler knows that they do.
  static __device__ int same_in_warp(int value) { return __shfl_sync(0xFFFFFFFFU, value, 0); }

  /// Whether it is so in any lane of the warp.
  static __device__ bool any(bool value) { return __any_sync(0xFFFFFFFFU, value); }

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

/// The same with the matrix instructions of warpgroups, 128 threads. Factors in shared memory are
/// tiles of rows of kDim channels, 64 or 32, placed as AttentionTile<kDim>::place says, at
/// multiples of 1024 bytes (PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions").
template <typename Type>
struct GpuWarpgroup : GpuWarp<Type> {
  /// Stores and copies of this thread become visible to matrix instructions.
  static __device__ void fence_shared() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }
  static __device__ void init_barrier(uint64_t* barrier, int arrivals) {
    asm volatile(
        "mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(GpuWarp<Type>::shared_address(barrier)),
        "r"(arrivals)
        : "memory");
  }
  static __device__ void arrive(uint64_t* barrier) {
    asm volatile(
        "mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(GpuWarp<Type>::shared_address(barrier))
        : "memory");
  }
  /// Until the barrier's phase of this parity is complete.
  static __device__ void wait_barrier(uint64_t* barrier, int parity) {
    asm volatile(
        "{ .reg .pred done; wait: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1; "
        "@done bra ready; bra wait; ready: }" ::"r"(GpuWarp<Type>::shared_address(barrier)),
        "r"(parity)
        : "memory");
  }
  /// Copies from global to shared memory; the barrier, whose one arrival this is, completes with
  /// them. Both are multiples of 16 bytes. Matrix instructions see what was copied without a fence.
  template <int kElements>
  static __device__ void copy_bulk(uint16_t* to, const uint16_t* from, uint64_t* barrier) {
    constexpr int kBytes = kElements * 2;
    const uint32_t address = GpuWarp<Type>::shared_address(barrier);
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address),
                 "n"(kBytes)
                 : "memory");
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
        "[%3];" ::"r"(GpuWarp<Type>::shared_address(to)),
        "l"(from), "n"(kBytes), "r"(address)
        : "memory");
  }
  /// Until all 128 threads of the warpgroup are here.
  static __device__ void sync_group() {
    asm volatile("bar.sync %0, 128;" ::"r"(static_cast<int>(threadIdx.x) / 128 + 1) : "memory");
  }
  /// Whether it is so in any of the 128 threads of the warpgroup, which all come here. What the
  /// answer depends on is computed before any later wait.
  static __device__ bool any_in_group(bool value) {
    int any = 0;
    asm volatile(
        "{ .reg .pred own, any; setp.ne.s32 own, %1, 0; barrier.cta.red.or.pred any, %2, 128, own; "
        "selp.s32 %0, 1, 0, any; }"
        : "=r"(any)
        : "r"(static_cast<int>(value)), "r"(static_cast<int>(threadIdx.x) / 128 + 1)
        : "memory");
    return __any_sync(0xFFFFFFFFU, any);  // so that the compiler knows that all lanes have it
  }
  /// From now on each thread of the warpgroup has this many registers: fewer than before, or more,
  /// for which it waits until others give theirs.
  template <int kCount>
  static __device__ void give_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
  }
  template <int kCount>
  static __device__ void take_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
  }

  /// The value is computed before any later wait, for which the compiler knows no reason: it is
  /// stored where nobody reads.
  static __device__ void settle(float value, const float* unread) {
    asm volatile("st.volatile.shared.f32 [%0], %1;" ::"r"(GpuWarp<Type>::shared_address(unread)),
                 "f"(value)
                 : "memory");
  }

  /// Before the first of some products that use registers.
  static __device__ void fence_products() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
  }
  static __device__ void commit_products() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
  }
  /// All groups of products but the last kLater.
  template <int kLater>
  static __device__ void wait_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLater) : "memory");
  }
  /// Keeps the compiler from moving uses of registers that a product writes.
  template <int kFragments>
  static __device__ void hold(float (&d)[kFragments][4]) {
    for (auto& fragment : d) {
      for (float& value : fragment) asm volatile("" : "+f"(value)::"memory");
    }
  }

  /// A tile's matrix descriptor, of its elements from `first` on: rows of 128 bytes with the
  /// 128-byte swizzle, of 64 with that of 64; 8 rows follow one another. Shared memory ends before
  /// 2^18, and only the lower half depends on where the tile lies.
  template <int kDim>
  static __device__ uint64_t describe(const uint16_t* tile, int first) {
    static_assert(kDim == 64 || kDim == 32);
    constexpr uint64_t kSwizzle = uint64_t{kDim == 64 ? 1 : 2} << 62;
    constexpr uint64_t kRowsApart = uint64_t{8 * kDim * 2 >> 4} << 32;
    constexpr uint32_t kUnused = uint32_t{1} << 16;
    const uint32_t low = (GpuWarp<Type>::shared_address(tile) >> 4) + (kUnused + first * 2 / 16);
    return kSwizzle | kRowsApart | low;
  }

  /// d = A B^T over channels 16 k to 16 k + 15, or that added to d: 64 rows of A, 8 kFragments of
  /// B. Starts it.
  template <int kDim, int kFragments>
  static __device__ void multiply_shared(float (&d)[kFragments][4], const uint16_t* a,
                                         const uint16_t* b, int k, bool add) {
    Type::start_shared(d, describe<kDim>(a, 16 * k), describe<kDim>(b, 16 * k), add ? 1 : 0);
  }

  /// d += A B over rows 16 k to 16 k + 15 of B; A as mma.m16n8k16 has it. Starts it; `a` must stay
  /// as it is until then.
  template <int kDim>
  static __device__ void multiply_packed(float (&d)[kDim / 8][4], const uint32_t (&a)[4],
                                         const uint16_t* b, int k) {
    Type::start_packed(d, a, describe<kDim>(b, 16 * kDim * k));
  }
};

}  // namespace sam3trt
