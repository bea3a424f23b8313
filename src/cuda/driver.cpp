#include "cuda/driver.hpp"

#include <dlfcn.h>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr const char* kAdvice =
    "; install NVIDIA's driver (nvidia-smi shows it) on a machine with an NVIDIA GPU, or use "
    "--backend openvino with ONNX graphs";

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorCode::kUnavailable, what + kAdvice);
}

/// Never unloaded: the driver keeps threads of its own.
void* open_driver() {
  void* library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail("no NVIDIA driver (libcuda.so.1)");
  return library;
}

template <typename Function>
void load(void* library, Function*& function, const char* name) {
  function = reinterpret_cast<Function*>(::dlsym(library, name));
  if (function == nullptr) fail(std::string("NVIDIA's driver is too old: it has no ") + name);
}

void load_devices(CudaDriver& driver, void* library) {
  load(library, driver.init, "cuInit");
  load(library, driver.driver_version, "cuDriverGetVersion");
  load(library, driver.device_count, "cuDeviceGetCount");
  load(library, driver.device_get, "cuDeviceGet");
  load(library, driver.device_name, "cuDeviceGetName");
  load(library, driver.device_memory, "cuDeviceTotalMem_v2");
  load(library, driver.device_attribute, "cuDeviceGetAttribute");
  load(library, driver.error_name, "cuGetErrorName");
  load(library, driver.error_string, "cuGetErrorString");
  load(library, driver.retain_context, "cuDevicePrimaryCtxRetain");
  load(library, driver.release_context, "cuDevicePrimaryCtxRelease_v2");
  load(library, driver.set_context, "cuCtxSetCurrent");
}

void load_memory(CudaDriver& driver, void* library) {
  load(library, driver.memory_info, "cuMemGetInfo_v2");
  load(library, driver.allocate, "cuMemAlloc_v2");
  load(library, driver.free, "cuMemFree_v2");
  load(library, driver.allocate_host, "cuMemHostAlloc");
  load(library, driver.free_host, "cuMemFreeHost");
  load(library, driver.copy_to_device, "cuMemcpyHtoDAsync_v2");
  load(library, driver.copy_to_host, "cuMemcpyDtoHAsync_v2");
  load(library, driver.copy_on_device, "cuMemcpyDtoDAsync_v2");
  load(library, driver.set_bytes, "cuMemsetD8Async");
}

void load_execution(CudaDriver& driver, void* library) {
  load(library, driver.create_stream, "cuStreamCreate");
  load(library, driver.destroy_stream, "cuStreamDestroy_v2");
  load(library, driver.synchronize_stream, "cuStreamSynchronize");
  load(library, driver.create_event, "cuEventCreate");
  load(library, driver.destroy_event, "cuEventDestroy_v2");
  load(library, driver.record_event, "cuEventRecord");
  load(library, driver.synchronize_event, "cuEventSynchronize");
  load(library, driver.elapsed_time, "cuEventElapsedTime");
  load(library, driver.begin_capture, "cuStreamBeginCapture_v2");
  load(library, driver.end_capture, "cuStreamEndCapture");
  load(library, driver.instantiate_graph, "cuGraphInstantiateWithFlags");
  load(library, driver.launch_graph, "cuGraphLaunch");
  load(library, driver.destroy_graph, "cuGraphDestroy");
  load(library, driver.destroy_graph_exec, "cuGraphExecDestroy");
  load(library, driver.load_module, "cuModuleLoadData");
  load(library, driver.unload_module, "cuModuleUnload");
  load(library, driver.get_function, "cuModuleGetFunction");
  load(library, driver.launch_kernel, "cuLaunchKernel");
}

CudaDriver make_driver() {
  void* library = open_driver();
  CudaDriver driver;
  load_devices(driver, library);
  load_memory(driver, library);
  load_execution(driver, library);
  const int status = driver.init(0);
  if (status != 0) {
    fail("NVIDIA's driver does not start (cuInit: " + std::to_string(status) + ")");
  }
  int count = 0;
  if (driver.device_count(&count) != 0 || count == 0) fail("no NVIDIA GPU");
  return driver;
}

}  // namespace

const CudaDriver& cuda_driver() {
  static const CudaDriver kDriver = make_driver();
  return kDriver;
}

void cuda_check(int result, const char* what) {
  if (result == 0) return;
  constexpr int kOutOfMemory = 2;  // CUDA_ERROR_OUT_OF_MEMORY
  const char* name = nullptr;
  const char* text = nullptr;
  cuda_driver().error_name(result, &name);
  cuda_driver().error_string(result, &text);
  throw Error(
      ErrorCode::kInternal,
      std::string("CUDA failed to ") + what + ": " + (name == nullptr ? "?" : name) + " (" +
          (text == nullptr ? "unknown" : text) + ")" +
          (result == kOutOfMemory ? "; free GPU memory, or use fewer prompts and images at once"
                                  : ""));
}

}  // namespace sam3trt
