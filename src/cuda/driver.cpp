#include "cuda/driver.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr const char* kAdvice =
    "; install NVIDIA's driver, version 580 or later (nvidia-smi shows it), on a machine with an "
    "NVIDIA GPU, or use --backend openvino with ONNX graphs; 'sam3trt doctor' says more";

/// Codes of cuda.h whose cause is the machine, not this program.
constexpr std::array kMachineErrors = {
    2,    // CUDA_ERROR_OUT_OF_MEMORY
    34,   // CUDA_ERROR_STUB_LIBRARY
    46,   // CUDA_ERROR_DEVICE_UNAVAILABLE
    100,  // CUDA_ERROR_NO_DEVICE
    101,  // CUDA_ERROR_INVALID_DEVICE
    200,  // CUDA_ERROR_INVALID_IMAGE: machine code newer than the driver
    209,  // CUDA_ERROR_NO_BINARY_FOR_GPU
    218,  // CUDA_ERROR_INVALID_PTX
    222,  // CUDA_ERROR_UNSUPPORTED_PTX_VERSION
    802,  // CUDA_ERROR_SYSTEM_NOT_READY
    803,  // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
    804,  // CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE
};

/// What to do about one of kMachineErrors.
std::string advice_for(int status) {
  if (status == 2) return "; free GPU memory (nvidia-smi shows who uses it) or use fewer prompts";
  if (status == 101) return "; nvidia-smi lists the GPUs of this machine, counted from 0";
  return kAdvice;
}

}  // namespace

CudaDriver::CudaDriver(const std::string& library) {
  void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = ::dlerror();
    throw Error(ErrorCode::kUnavailable, std::string("no NVIDIA driver (") +
                                             (reason != nullptr ? reason : library.c_str()) + ")" +
                                             kAdvice);
  }
  std::string missing;
  const auto resolve = [&]<typename... Args>(DriverCall<Args...>& call) {
    call.driver_ = this;
    call.function_ = reinterpret_cast<int (*)(Args...)>(::dlsym(handle, call.name_));
    if (call.function_ == nullptr) missing += std::string(missing.empty() ? "" : ", ") + call.name_;
  };
  const auto resolve_all = [&](auto&... calls) { (resolve(calls), ...); };
  resolve_all(init, driver_get_version, get_error_name, get_error_string);
  resolve_all(device_get_count, device_get, device_get_name, device_total_mem,
              device_get_attribute);
  resolve_all(primary_context_retain, primary_context_release, context_set_current, context_push,
              context_pop, context_get_device, context_set_limit);
  resolve_all(mem_get_info, mem_alloc, mem_free, mem_host_alloc, mem_free_host, memcpy_to_device,
              memcpy_to_host, memcpy_on_device, memset_bytes);
  resolve_all(stream_create, stream_destroy, stream_synchronize, stream_wait_event);
  resolve_all(event_create, event_destroy, event_record, event_synchronize, event_elapsed_time);
  resolve_all(stream_begin_capture, stream_end_capture, graph_instantiate, graph_launch,
              graph_exec_destroy, graph_destroy);
  resolve_all(module_load_data, module_unload, module_get_function, launch_kernel);
  resolve_all(library_load_data, library_unload, library_get_kernel, kernel_set_attribute);
  if (!missing.empty()) {
    throw Error(ErrorCode::kUnavailable,
                "the NVIDIA driver (" + library + ") lacks " + missing + kAdvice);
  }
  const int status = init.status(0);
  if (status != 0) {
    throw Error(ErrorCode::kUnavailable,
                (status == 100 ? "no NVIDIA GPU: cuInit says "
                               : "the NVIDIA driver does not start: cuInit says ") +
                    describe(status) + kAdvice);
  }
}

int CudaDriver::cuda_version() const {
  int version = 0;
  driver_get_version(&version);
  return version;
}

std::string CudaDriver::cuda_version_text() const {
  const int version = cuda_version();
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string CudaDriver::describe(int status) const {
  const char* name = nullptr;
  const char* text = nullptr;
  if (get_error_name.status(status, &name) != 0 || name == nullptr) {
    return "error " + std::to_string(status);
  }
  if (get_error_string.status(status, &text) != 0 || text == nullptr) return name;
  return std::string(name) + " (" + text + ")";
}

void CudaDriver::fail(const char* name, int status) const {
  const bool machine = std::ranges::find(kMachineErrors, status) != kMachineErrors.end();
  throw Error(
      machine ? ErrorCode::kUnavailable : ErrorCode::kInternal,
      std::string(name) + " failed: " + describe(status) + (machine ? advice_for(status) : ""));
}

const CudaDriver& cuda_driver() {
  static const CudaDriver kDriver("libcuda.so.1");
  return kDriver;
}

std::string CudaDeviceInfo::compute_capability() const {
  return std::to_string(major) + "." + std::to_string(minor);
}

std::vector<CudaDeviceInfo> list_cuda_devices(const CudaDriver& driver) {
  constexpr int kCapabilityMajor = 75;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
  constexpr int kCapabilityMinor = 76;
  constexpr int kMultiprocessors = 16;  // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
  int count = 0;
  driver.device_get_count(&count);
  if (count <= 0) throw Error(ErrorCode::kUnavailable, std::string("no NVIDIA GPU") + kAdvice);
  std::vector<CudaDeviceInfo> devices;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    CudaDeviceInfo info;
    int device = 0;
    std::array<char, 256> name{};
    size_t memory = 0;
    driver.device_get(&device, ordinal);
    driver.device_get_name(name.data(), static_cast<int>(name.size()) - 1, device);
    driver.device_total_mem(&memory, device);
    driver.device_get_attribute(&info.major, kCapabilityMajor, device);
    driver.device_get_attribute(&info.minor, kCapabilityMinor, device);
    driver.device_get_attribute(&info.multiprocessors, kMultiprocessors, device);
    info.ordinal = ordinal;
    info.name = name.data();
    info.memory_bytes = memory;
    devices.push_back(std::move(info));
  }
  return devices;
}

}  // namespace sam3trt
