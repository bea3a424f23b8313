#include "cuda/device.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr int kCapabilityMajor = 75;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
constexpr int kCapabilityMinor = 76;

CudaDeviceInfo describe(int device) {
  const CudaDriver& driver = cuda_driver();
  CudaDeviceInfo info;
  std::array<char, 256> name{};
  size_t memory = 0;
  cuda_check(driver.device_name(name.data(), static_cast<int>(name.size()) - 1, device),
             "name the GPU");
  cuda_check(driver.device_memory(&memory, device), "read the size of the GPU's memory");
  cuda_check(driver.device_attribute(&info.capability_major, kCapabilityMajor, device),
             "read the compute capability");
  cuda_check(driver.device_attribute(&info.capability_minor, kCapabilityMinor, device),
             "read the compute capability");
  info.name = name.data();
  info.memory_bytes = memory;
  return info;
}

}  // namespace

std::string CudaDeviceInfo::compute_capability() const {
  return std::to_string(capability_major) + "." + std::to_string(capability_minor);
}

std::vector<CudaDeviceInfo> list_cuda_devices() {
  const CudaDriver& driver = cuda_driver();
  int count = 0;
  cuda_check(driver.device_count(&count), "count the GPUs");
  std::vector<CudaDeviceInfo> devices;
  for (int index = 0; index < count; ++index) {
    int device = 0;
    cuda_check(driver.device_get(&device, index), "open the GPU");
    devices.push_back(describe(device));
  }
  return devices;
}

std::string cuda_driver_version() {
  int version = 0;  // 1000 * major + 10 * minor
  cuda_check(cuda_driver().driver_version(&version), "read the driver's version");
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

CudaDevice::CudaDevice(int index) {
  const CudaDriver& driver = cuda_driver();
  int count = 0;
  cuda_check(driver.device_count(&count), "count the GPUs");
  if (index < 0 || index >= count) {
    throw Error(ErrorCode::kUnavailable, "there is no GPU " + std::to_string(index) + ", only " +
                                             std::to_string(count) +
                                             "; 'sam3trt doctor' lists them");
  }
  cuda_check(driver.device_get(&device_, index), "open the GPU");
  info_ = describe(device_);
  cuda_check(driver.retain_context(&context_, device_), "make a context on the GPU");
  make_current();
}

CudaDevice::~CudaDevice() {
  if (context_ != nullptr) cuda_driver().release_context(device_);
}

void CudaDevice::make_current() const {
  cuda_check(cuda_driver().set_context(context_), "select the GPU");
}

uint64_t CudaDevice::used_bytes() const {
  size_t free = 0;
  size_t total = 0;
  cuda_check(cuda_driver().memory_info(&free, &total), "read the free memory");
  return total - free;
}

CudaStream::CudaStream() {
  constexpr unsigned kNonBlocking = 1;  // CU_STREAM_NON_BLOCKING
  cuda_check(cuda_driver().create_stream(&handle_, kNonBlocking), "make a stream");
}

CudaStream::~CudaStream() {
  if (handle_ != nullptr) cuda_driver().destroy_stream(handle_);
}

void CudaStream::synchronize() const {
  cuda_check(cuda_driver().synchronize_stream(handle_), "finish the work on the GPU");
}

CudaEvent::CudaEvent() {
  constexpr unsigned kDefault = 0;
  cuda_check(cuda_driver().create_event(&handle_, kDefault), "make an event");
}

CudaEvent::~CudaEvent() {
  if (handle_ != nullptr) cuda_driver().destroy_event(handle_);
}

void CudaEvent::record(const CudaStream& stream) const {
  cuda_check(cuda_driver().record_event(handle_, stream.handle()), "mark a time");
}

float CudaEvent::milliseconds_since(const CudaEvent& begin) const {
  float milliseconds = 0;
  cuda_check(cuda_driver().synchronize_event(handle_), "finish the work on the GPU");
  cuda_check(cuda_driver().elapsed_time(&milliseconds, begin.handle_, handle_), "measure time");
  return milliseconds;
}

CudaGraph::CudaGraph(const CudaStream& stream, const std::function<void()>& enqueue) {
  constexpr int kThreadLocal = 1;  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
  const CudaDriver& driver = cuda_driver();
  void* graph = nullptr;
  cuda_check(driver.begin_capture(stream.handle(), kThreadLocal), "record work");
  try {
    enqueue();
  } catch (...) {
    driver.end_capture(stream.handle(), &graph);  // leaves the stream usable
    if (graph != nullptr) driver.destroy_graph(graph);
    throw;
  }
  cuda_check(driver.end_capture(stream.handle(), &graph), "record work");
  const int status = driver.instantiate_graph(&exec_, graph, 0);
  driver.destroy_graph(graph);
  cuda_check(status, "prepare recorded work");
}

CudaGraph::~CudaGraph() {
  if (exec_ != nullptr) cuda_driver().destroy_graph_exec(exec_);
}

void CudaGraph::launch(const CudaStream& stream) const {
  cuda_check(cuda_driver().launch_graph(exec_, stream.handle()), "start recorded work");
}

DeviceBuffer::~DeviceBuffer() {
  if (address_ != 0) cuda_driver().free(address_);
}

void DeviceBuffer::reserve(size_t bytes) {
  if (bytes <= size_) return;
  if (address_ != 0) cuda_driver().free(std::exchange(address_, 0));
  size_ = 0;
  cuda_check(cuda_driver().allocate(&address_, bytes), "allocate memory on the GPU");
  size_ = bytes;
}

void copy_to_device(uint64_t target, std::span<const std::byte> source, const CudaStream& stream) {
  if (source.empty()) return;
  cuda_check(cuda_driver().copy_to_device(target, source.data(), source.size(), stream.handle()),
             "copy to the GPU");
}

void copy_to_host(std::span<std::byte> target, uint64_t source, const CudaStream& stream) {
  if (target.empty()) return;
  cuda_check(cuda_driver().copy_to_host(target.data(), source, target.size(), stream.handle()),
             "copy from the GPU");
}

}  // namespace sam3trt
