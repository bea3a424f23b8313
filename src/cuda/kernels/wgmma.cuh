#pragma once

#include <cstdint>

namespace sam3trt {

/// wgmma m64nNk16 with float32 sums, of one type, for N of 32, 64 and 96 (PTX ISA,
/// "wgmma.mma_async"): A from shared memory or registers, B from shared memory (by channels of its
/// rows, or by rows). A compiler for other GPUs does not know it.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define SAM3TRT_WGMMA_ROW(i) "+f"(d[i][0]), "+f"(d[i][1]), "+f"(d[i][2]), "+f"(d[i][3])
#define SAM3TRT_WGMMA_ROWS(i) \
  SAM3TRT_WGMMA_ROW(i), SAM3TRT_WGMMA_ROW(i + 1), SAM3TRT_WGMMA_ROW(i + 2), SAM3TRT_WGMMA_ROW(i + 3)
#define SAM3TRT_WGMMA_SUMS_32 \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}"
#define SAM3TRT_WGMMA_RESULT_32 SAM3TRT_WGMMA_ROWS(0)
#define SAM3TRT_WGMMA_SUMS_64                                                         \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, " \
  "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}"
#define SAM3TRT_WGMMA_RESULT_64 SAM3TRT_WGMMA_ROWS(0), SAM3TRT_WGMMA_ROWS(4)
#define SAM3TRT_WGMMA_SUMS_96                                                         \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, " \
  "%18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, "  \
  "%34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47}"
#define SAM3TRT_WGMMA_RESULT_96 SAM3TRT_WGMMA_ROWS(0), SAM3TRT_WGMMA_ROWS(4), SAM3TRT_WGMMA_ROWS(8)
/// The sums are operands 0 to n / 2 - 1; o0 to o4 are the numbers of those that follow.
#define SAM3TRT_WGMMA_SIZE(type, n, o0, o1, o2, o3, o4)                                         \
  static __device__ void start_shared(float(&d)[n / 8][4], uint64_t left, uint64_t right,       \
                                      int sum) {                                                \
    asm volatile("{ .reg .pred p; setp.ne.b32 p, %" #o2                                         \
                 ", 0; "                                                                        \
                 "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." type "." type                \
                 " " SAM3TRT_WGMMA_SUMS_##n ", %" #o0 ", %" #o1 ", p, 1, 1, 0, 0; }"            \
                 : SAM3TRT_WGMMA_RESULT_##n                                                     \
                 : "l"(left), "l"(right), "r"(sum));                                            \
  }                                                                                             \
  static __device__ void start_packed(float(&d)[n / 8][4], const uint32_t(&left)[4],            \
                                      uint64_t right) {                                         \
    asm volatile("wgmma.mma_async.sync.aligned.m64n" #n "k16.f32." type "." type                \
                 " " SAM3TRT_WGMMA_SUMS_##n ", {%" #o0 ", %" #o1 ", %" #o2 ", %" #o3 "}, %" #o4 \
                                            ", 1, 1, 1, 1;"                                     \
                 : SAM3TRT_WGMMA_RESULT_##n                                                     \
                 : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right));         \
  }
#define SAM3TRT_WGMMA(type)                        \
  SAM3TRT_WGMMA_SIZE(type, 32, 16, 17, 18, 19, 20) \
  SAM3TRT_WGMMA_SIZE(type, 64, 32, 33, 34, 35, 36) \
  SAM3TRT_WGMMA_SIZE(type, 96, 48, 49, 50, 51, 52)
#else
#define SAM3TRT_WGMMA(type)
#endif

}  // namespace sam3trt
