#pragma once

/// Marks a function that also runs on a GPU when nvcc compiles it, so that one definition serves
/// the CPU path, the kernels and the tests of their arithmetic.
#ifdef __CUDACC__
#define SAM3TRT_HOST_DEVICE __host__ __device__
#else
#define SAM3TRT_HOST_DEVICE
#endif

/// Marks a function of a kernel: nvcc compiles it for GPUs only, a C++ compiler for tests.
#ifdef __CUDACC__
#define SAM3TRT_DEVICE __device__
#else
#define SAM3TRT_DEVICE
#endif

/// Before a loop whose trip count the compiler knows: registers have no index.
#ifdef __CUDACC__
#define SAM3TRT_UNROLL _Pragma("unroll")
#else
#define SAM3TRT_UNROLL
#endif
