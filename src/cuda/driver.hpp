#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sam3trt {

/// An address in the memory of a GPU (CUdeviceptr).
using DevicePointer = uint64_t;

class CudaDriver;

/// One function of CUDA's driver interface. Calling it throws Error naming the function and the
/// driver's own words when it fails; `status` returns the CUresult instead.
template <typename... Args>
class DriverCall {
 public:
  explicit DriverCall(const char* name) : name_(name) {}

  void operator()(Args... args) const;
  [[nodiscard]] int status(Args... args) const noexcept { return function_(args...); }
  [[nodiscard]] const char* name() const { return name_; }

 private:
  friend class CudaDriver;

  const char* name_;
  const CudaDriver* driver_ = nullptr;
  int (*function_)(Args...) = nullptr;
};

/// CUDA's driver interface (cuda.h of CUDA 12 and 13), loaded at run time so that the program
/// starts where there is none. The library stays loaded until the process ends. Handles are void*,
/// flags as cuda.h defines them; functions may be called from any thread.
class CudaDriver {
 public:
  /// Loads `library` and calls cuInit. Throws Error(kUnavailable) when the library, one of its
  /// functions or a GPU is missing, or when the driver does not start.
  explicit CudaDriver(const std::string& library);

  CudaDriver(const CudaDriver&) = delete;
  CudaDriver& operator=(const CudaDriver&) = delete;

  /// Newest CUDA that the driver supports: 1000 * major + 10 * minor.
  [[nodiscard]] int cuda_version() const;

  /// The same as "13.0".
  [[nodiscard]] std::string cuda_version_text() const;

  /// "CUDA_ERROR_OUT_OF_MEMORY (out of memory)".
  [[nodiscard]] std::string describe(int status) const;

  /// Throws the Error of a failed call: kUnavailable where the GPU, its memory or the driver is the
  /// reason, kInternal otherwise. `name` is the driver's function.
  [[noreturn]] void fail(const char* name, int status) const;

  DriverCall<unsigned> init{"cuInit"};
  DriverCall<int*> driver_get_version{"cuDriverGetVersion"};
  DriverCall<int, const char**> get_error_name{"cuGetErrorName"};
  DriverCall<int, const char**> get_error_string{"cuGetErrorString"};

  DriverCall<int*> device_get_count{"cuDeviceGetCount"};
  DriverCall<int*, int> device_get{"cuDeviceGet"};
  DriverCall<char*, int, int> device_get_name{"cuDeviceGetName"};
  DriverCall<size_t*, int> device_total_mem{"cuDeviceTotalMem_v2"};
  DriverCall<int*, int, int> device_get_attribute{"cuDeviceGetAttribute"};
  DriverCall<void**, int> primary_context_retain{"cuDevicePrimaryCtxRetain"};
  DriverCall<int> primary_context_release{"cuDevicePrimaryCtxRelease_v2"};
  DriverCall<void*> context_set_current{"cuCtxSetCurrent"};
  DriverCall<void*> context_push{"cuCtxPushCurrent_v2"};
  DriverCall<void**> context_pop{"cuCtxPopCurrent_v2"};
  DriverCall<int*> context_get_device{"cuCtxGetDevice"};
  DriverCall<int, size_t> context_set_limit{"cuCtxSetLimit"};

  DriverCall<size_t*, size_t*> mem_get_info{"cuMemGetInfo_v2"};
  DriverCall<DevicePointer*, size_t> mem_alloc{"cuMemAlloc_v2"};
  DriverCall<DevicePointer> mem_free{"cuMemFree_v2"};
  DriverCall<void**, size_t, unsigned> mem_host_alloc{"cuMemHostAlloc"};
  DriverCall<void*> mem_free_host{"cuMemFreeHost"};
  DriverCall<DevicePointer, const void*, size_t, void*> memcpy_to_device{"cuMemcpyHtoDAsync_v2"};
  DriverCall<void*, DevicePointer, size_t, void*> memcpy_to_host{"cuMemcpyDtoHAsync_v2"};
  DriverCall<DevicePointer, DevicePointer, size_t, void*> memcpy_on_device{"cuMemcpyDtoDAsync_v2"};
  DriverCall<DevicePointer, unsigned char, size_t, void*> memset_bytes{"cuMemsetD8Async"};

  DriverCall<void**, unsigned> stream_create{"cuStreamCreate"};
  DriverCall<void*> stream_destroy{"cuStreamDestroy_v2"};
  DriverCall<void*> stream_synchronize{"cuStreamSynchronize"};
  DriverCall<void*, void*, unsigned> stream_wait_event{"cuStreamWaitEvent"};
  DriverCall<void**, unsigned> event_create{"cuEventCreate"};
  DriverCall<void*> event_destroy{"cuEventDestroy_v2"};
  DriverCall<void*, void*> event_record{"cuEventRecord"};
  DriverCall<void*> event_synchronize{"cuEventSynchronize"};
  DriverCall<float*, void*, void*> event_elapsed_time{"cuEventElapsedTime"};

  DriverCall<void*, int> stream_begin_capture{"cuStreamBeginCapture_v2"};
  DriverCall<void*, void**> stream_end_capture{"cuStreamEndCapture"};
  DriverCall<void**, void*, unsigned long long> graph_instantiate{"cuGraphInstantiateWithFlags"};
  DriverCall<void*, void*> graph_launch{"cuGraphLaunch"};
  DriverCall<void*> graph_exec_destroy{"cuGraphExecDestroy"};
  DriverCall<void*> graph_destroy{"cuGraphDestroy"};

  DriverCall<void**, const void*> module_load_data{"cuModuleLoadData"};
  DriverCall<void*> module_unload{"cuModuleUnload"};
  DriverCall<void**, void*, const char*> module_get_function{"cuModuleGetFunction"};
  DriverCall<void**, const void*, int*, void**, unsigned, int*, void**, unsigned> library_load_data{
      "cuLibraryLoadData"};
  DriverCall<void*> library_unload{"cuLibraryUnload"};
  DriverCall<void**, void*, const char*> library_get_kernel{"cuLibraryGetKernel"};
  DriverCall<int, int, void*, int> kernel_set_attribute{"cuKernelSetAttribute"};
  DriverCall<void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*,
             void**, void**>
      launch_kernel{"cuLaunchKernel"};
};

/// The driver of this machine, libcuda.so.1, loaded by the first call; throws as CudaDriver's
/// constructor does, and tries again the next time. Safe to call from several threads.
[[nodiscard]] const CudaDriver& cuda_driver();

/// A GPU as the driver lists it.
struct CudaDeviceInfo {
  int ordinal = 0;
  std::string name;
  int major = 0;  ///< Of the compute capability.
  int minor = 0;
  int multiprocessors = 0;
  uint64_t memory_bytes = 0;

  /// "9.0"
  [[nodiscard]] std::string compute_capability() const;
};

/// All GPUs, at least one.
[[nodiscard]] std::vector<CudaDeviceInfo> list_cuda_devices(
    const CudaDriver& driver = cuda_driver());

template <typename... Args>
void DriverCall<Args...>::operator()(Args... args) const {
  const int status = function_(args...);
  if (status != 0) driver_->fail(name_, status);
}

}  // namespace sam3trt
