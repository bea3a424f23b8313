#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sam3trt {

/// The part of NVIDIA's driver interface (cuda.h) that this program uses, loaded from libcuda.so.1
/// at run time, so that nothing is needed where there is no GPU. Results are CUresult (0 is
/// success), device memory is CUdeviceptr; streams, events, graphs, modules and functions are
/// opaque pointers.
struct CudaDriver {
  int (*init)(unsigned) = nullptr;
  int (*driver_version)(int*) = nullptr;
  int (*device_count)(int*) = nullptr;
  int (*device_get)(int*, int) = nullptr;
  int (*device_name)(char*, int, int) = nullptr;
  int (*device_memory)(size_t*, int) = nullptr;
  int (*device_attribute)(int*, int, int) = nullptr;
  int (*error_name)(int, const char**) = nullptr;
  int (*error_string)(int, const char**) = nullptr;
  int (*retain_context)(void**, int) = nullptr;
  int (*release_context)(int) = nullptr;
  int (*set_context)(void*) = nullptr;
  int (*memory_info)(size_t*, size_t*) = nullptr;
  int (*allocate)(uint64_t*, size_t) = nullptr;
  int (*free)(uint64_t) = nullptr;
  int (*allocate_host)(void**, size_t, unsigned) = nullptr;
  int (*free_host)(void*) = nullptr;
  int (*copy_to_device)(uint64_t, const void*, size_t, void*) = nullptr;
  int (*copy_to_host)(void*, uint64_t, size_t, void*) = nullptr;
  int (*copy_on_device)(uint64_t, uint64_t, size_t, void*) = nullptr;
  int (*set_bytes)(uint64_t, unsigned char, size_t, void*) = nullptr;
  int (*create_stream)(void**, unsigned) = nullptr;
  int (*destroy_stream)(void*) = nullptr;
  int (*synchronize_stream)(void*) = nullptr;
  int (*create_event)(void**, unsigned) = nullptr;
  int (*destroy_event)(void*) = nullptr;
  int (*record_event)(void*, void*) = nullptr;
  int (*synchronize_event)(void*) = nullptr;
  int (*elapsed_time)(float*, void*, void*) = nullptr;
  int (*begin_capture)(void*, int) = nullptr;
  int (*end_capture)(void*, void**) = nullptr;
  int (*instantiate_graph)(void**, void*, uint64_t) = nullptr;
  int (*launch_graph)(void*, void*) = nullptr;
  int (*destroy_graph)(void*) = nullptr;
  int (*destroy_graph_exec)(void*) = nullptr;
  int (*load_module)(void**, const void*) = nullptr;
  int (*unload_module)(void*) = nullptr;
  int (*get_function)(void**, void*, const char*) = nullptr;
  int (*launch_kernel)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                       void*, void**, void**) = nullptr;
};

/// The loaded and initialised driver. Throws Error(kUnavailable), saying what to install, when the
/// library, one of its functions or a device is missing.
[[nodiscard]] const CudaDriver& cuda_driver();

/// Throws Error(kInternal) with CUDA's name and description when `result` is not 0; memory that is
/// exhausted is named as such.
void cuda_check(int result, const char* what);

}  // namespace sam3trt
