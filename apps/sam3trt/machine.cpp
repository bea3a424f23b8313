#include "machine.hpp"

#include <dlfcn.h>

#include <array>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

namespace sam3trt {
namespace {

struct LibraryCloser {
  void operator()(void* library) const { ::dlclose(library); }
};
using Library = std::unique_ptr<void, LibraryCloser>;

template <typename Function>
Function* symbol(const Library& library, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(library.get(), name));
}

std::string after_colon(const std::string& line) {
  const size_t begin = line.find_first_not_of(" \t", line.find(':') + 1);
  return begin == std::string::npos ? "" : line.substr(begin);
}

uint64_t kilobytes_after_colon(const std::string& line) {
  uint64_t kilobytes = 0;
  std::istringstream(after_colon(line)) >> kilobytes;
  return kilobytes * 1024;
}

/// The functions of CUDA's driver interface (cuda.h) that are needed here; 0 is success.
struct Driver {
  explicit Driver(const Library& library)
      : init(symbol<int(unsigned)>(library, "cuInit")),
        version(symbol<int(int*)>(library, "cuDriverGetVersion")),
        count(symbol<int(int*)>(library, "cuDeviceGetCount")),
        get(symbol<int(int*, int)>(library, "cuDeviceGet")),
        name(symbol<int(char*, int, int)>(library, "cuDeviceGetName")),
        memory(symbol<int(size_t*, int)>(library, "cuDeviceTotalMem_v2")),
        attribute(symbol<int(int*, int, int)>(library, "cuDeviceGetAttribute")) {}

  [[nodiscard]] bool complete() const {
    return init != nullptr && version != nullptr && count != nullptr && get != nullptr &&
           name != nullptr && memory != nullptr && attribute != nullptr;
  }

  int (*init)(unsigned);
  int (*version)(int*);
  int (*count)(int*);
  int (*get)(int*, int);
  int (*name)(char*, int, int);
  int (*memory)(size_t*, int);
  int (*attribute)(int*, int, int);
};

GpuDevice probe_device(const Driver& driver, int index) {
  constexpr int kCapabilityMajor = 75;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
  constexpr int kCapabilityMinor = 76;
  int device = 0;
  int major = 0;
  int minor = 0;
  size_t memory = 0;
  std::array<char, 256> name{};
  if (driver.get(&device, index) != 0) return {};
  driver.name(name.data(), static_cast<int>(name.size()) - 1, device);
  driver.memory(&memory, device);
  driver.attribute(&major, kCapabilityMajor, device);
  driver.attribute(&minor, kCapabilityMinor, device);
  return {name.data(), std::to_string(major) + "." + std::to_string(minor), memory};
}

}  // namespace

CpuFacts probe_cpu() {
  CpuFacts facts;
  facts.threads = std::thread::hardware_concurrency();
  std::ifstream cpu("/proc/cpuinfo");
  for (std::string line; std::getline(cpu, line) && !line.empty();) {  // the first processor's
    if (line.starts_with("model name")) facts.name = after_colon(line);
    if (!line.starts_with("flags")) continue;
    const std::string flags = line + " ";
    facts.has_avx2 = flags.find(" avx2 ") != std::string::npos;
    facts.has_avx512 = flags.find(" avx512f ") != std::string::npos;
  }
  std::ifstream memory("/proc/meminfo");
  for (std::string line; std::getline(memory, line);) {
    if (line.starts_with("MemTotal:")) facts.memory_bytes = kilobytes_after_colon(line);
    if (line.starts_with("MemAvailable:")) facts.available_bytes = kilobytes_after_colon(line);
  }
  return facts;
}

GpuFacts probe_gpu() {
  GpuFacts facts;
  const Library library(::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL));
  if (!library) {
    facts.problem = "no NVIDIA driver (libcuda.so.1)";
    return facts;
  }
  const Driver driver(library);
  const int status = driver.complete() ? driver.init(0) : -1;
  if (status != 0) {
    facts.problem = "the NVIDIA driver does not start (cuInit: " + std::to_string(status) + ")";
    return facts;
  }
  int version = 0;
  int count = 0;
  if (driver.version(&version) == 0) {  // 1000 * major + 10 * minor
    facts.cuda_version = std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  }
  if (driver.count(&count) != 0 || count == 0) facts.problem = "no NVIDIA GPU";
  for (int index = 0; index < count; ++index) {
    facts.devices.push_back(probe_device(driver, index));
  }
  return facts;
}

TensorRtFacts probe_tensorrt() {
  for (const char* name : {"libnvinfer.so.11", "libnvinfer.so.10"}) {
    const Library library(::dlopen(name, RTLD_LAZY | RTLD_LOCAL));
    if (!library) continue;
    const auto version = symbol<int()>(library, "getInferLibVersion");
    if (version == nullptr) continue;
    const int number = version();  // 10000 * major + 100 * minor + patch, since TensorRT 10
    return {name, std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." +
                      std::to_string(number % 100)};
  }
  return {};
}

}  // namespace sam3trt
