#include "fake_cuda.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "fake_kernels.hpp"
#include "fake_memory.hpp"
#include "fake_stream.hpp"

namespace {

using sam3trt::fake::device_memory;
using sam3trt::fake::FakeEvent;
using sam3trt::fake::FakeStream;
using sam3trt::fake::Grid;
using sam3trt::fake::Kernel;
using sam3trt::fake::kernels;
using sam3trt::fake::pinned_memory;
using sam3trt::fake::Recording;
using sam3trt::fake::Work;

constexpr int kInvalidValue = 1;
constexpr int kOutOfMemory = 2;
constexpr int kInvalidDevice = 101;
constexpr int kInvalidImage = 200;
constexpr int kInvalidContext = 201;
constexpr int kNotFound = 500;
constexpr int kNotReady = 600;
constexpr int kCaptureUnsupported = 900;
constexpr int kUnknown = 999;

/// One at a time is inside the driver, also while work runs.
std::recursive_mutex driver_mutex;
std::map<std::string, int> failures;
int64_t counted_calls = 0;
int64_t failing_call = 0;
int device_count = 1;
int live_objects = 0;
size_t stack_bytes = 1024;
int context = 0;  // its address is the handle
std::set<std::shared_ptr<FakeStream>> streams;
thread_local std::vector<void*> contexts;
thread_local int recordings = 0;  // that this thread began

using Lock = std::lock_guard<std::recursive_mutex>;

/// The status a test asked for, or 0.
int injected(const char* name) {
  const Lock lock(driver_mutex);
  const auto found = failures.find(name);
  if (found == failures.end()) return 0;
  const int status = found->second;
  failures.erase(found);
  return status;
}

/// The same for calls that fake_cuda_fail_call counts.
int counted(const char* name, int status = kUnknown) {
  if (const int asked = injected(name)) return asked;
  return ++counted_calls == failing_call ? status : 0;
}

int needs_context(const char* name) {
  if (const int status = injected(name)) return status;
  return contexts.empty() || contexts.back() == nullptr ? kInvalidContext : 0;
}

int counted_with_context(const char* name, int status = kUnknown) {
  if (const int missing = needs_context(name)) return missing;
  return counted(name, status);
}

/// Calls that CUDA forbids a thread that records.
int unsafe(const char* name, int status = kUnknown) {
  if (recordings > 0) return kCaptureUnsupported;
  return counted_with_context(name, status);
}

template <typename T>
int destroy(const char* name, void* object) {
  const Lock lock(driver_mutex);
  delete static_cast<T*>(object);
  --live_objects;
  return injected(name);
}

std::shared_ptr<FakeStream>& as_stream(void* stream) {
  return *static_cast<std::shared_ptr<FakeStream>*>(stream);
}

std::shared_ptr<FakeEvent>& as_event(void* event) {
  return *static_cast<std::shared_ptr<FakeEvent>*>(event);
}

/// What freeing memory does on a GPU, too.
void run_everything() {
  const auto now = streams;  // work may not add streams, but it may drop the last user of one
  for (const auto& stream : now) stream->run_all();
}

/// Ends the program when page-locked memory that a copy reads is no longer what it was when the
/// copy was asked for.
void check_source(uint64_t from, const std::vector<std::byte>& wanted) {
  if (wanted.empty()) return;
  pinned_memory().require(from, wanted.size(), "a copy to the GPU");
  if (std::memcmp(reinterpret_cast<const void*>(from), wanted.data(), wanted.size()) == 0) return;
  sam3trt::fake::fault("a copy to the GPU", "page-locked memory that was written to meanwhile",
                       from, wanted.size());
}

}  // namespace

extern "C" {

void fake_cuda_fail_next(const char* name, int status) {
  const Lock lock(driver_mutex);
  failures[name] = status;
}
void fake_cuda_set_devices(int count) { device_count = count; }
int fake_cuda_live_objects() {
  const Lock lock(driver_mutex);
  return live_objects;
}

void fake_cuda_fail_call(int64_t number) {
  const Lock lock(driver_mutex);
  counted_calls = 0;
  failing_call = number;
}

int64_t fake_cuda_counted_calls() {
  const Lock lock(driver_mutex);
  return counted_calls;
}

void fake_cuda_require_memory(uint64_t address, size_t bytes) {
  const Lock lock(driver_mutex);
  device_memory().require(address, bytes, "an engine");
}

int fake_cuda_context_depth() { return static_cast<int>(contexts.size()); }

int cuInit(unsigned) { return injected("cuInit"); }

int cuDriverGetVersion(int* version) {
  const Lock lock(driver_mutex);
  *version = 13000;
  return 0;
}

int cuGetErrorName(int status, const char** text) {
  const Lock lock(driver_mutex);
  *text = status == kOutOfMemory ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_FAKE";
  return status == 9999 ? kInvalidValue : 0;
}

int cuGetErrorString(int status, const char** text) {
  const Lock lock(driver_mutex);
  *text = status == kOutOfMemory ? "out of memory" : "a fake error";
  return 0;
}

int cuDeviceGetCount(int* count) {
  const Lock lock(driver_mutex);
  *count = device_count;
  return 0;
}

int cuDeviceGet(int* device, int ordinal) {
  const Lock lock(driver_mutex);
  *device = ordinal;
  return ordinal < device_count ? 0 : kInvalidDevice;
}

int cuDeviceGetName(char* name, int size, int) {
  const Lock lock(driver_mutex);
  std::strncpy(name, "Fake GPU", static_cast<size_t>(size));
  return 0;
}

int cuDeviceTotalMem_v2(size_t* bytes, int) {
  const Lock lock(driver_mutex);
  *bytes = size_t{24} << 30;
  return 0;
}

int cuDeviceGetAttribute(int* value, int attribute, int) {
  const Lock lock(driver_mutex);
  switch (attribute) {
    case 75:  // compute capability, before the dot
      *value = 9;
      break;
    case 16:  // multiprocessors
      *value = 3;
      break;
    default:
      *value = 0;
  }
  return 0;
}

int cuDevicePrimaryCtxRetain(void** result, int) {
  const Lock lock(driver_mutex);
  if (const int status = injected("cuDevicePrimaryCtxRetain")) return status;
  ++live_objects;
  *result = &context;
  return 0;
}

int cuDevicePrimaryCtxRelease_v2(int) {
  const Lock lock(driver_mutex);
  --live_objects;
  return 0;
}

int cuCtxSetCurrent(void* value) {
  const Lock lock(driver_mutex);
  if (contexts.empty()) contexts.push_back(nullptr);
  contexts.back() = value;
  return 0;
}

int cuCtxPushCurrent_v2(void* value) {
  const Lock lock(driver_mutex);
  contexts.push_back(value);
  return 0;
}

int cuCtxGetDevice(int* device) {
  const Lock lock(driver_mutex);
  *device = 0;
  return needs_context("cuCtxGetDevice");
}

int cuCtxSetLimit(int limit, size_t value) {
  const Lock lock(driver_mutex);
  if (limit == 0) stack_bytes = value;
  return needs_context("cuCtxSetLimit");
}

size_t fake_cuda_stack_bytes() {
  const Lock lock(driver_mutex);
  return stack_bytes;
}

int cuCtxPopCurrent_v2(void** value) {
  const Lock lock(driver_mutex);
  if (contexts.empty()) return kInvalidContext;
  *value = contexts.back();
  contexts.pop_back();
  return 0;
}

int cuMemGetInfo_v2(size_t* free, size_t* total) {
  const Lock lock(driver_mutex);
  *free = size_t{22} << 30;
  *total = size_t{24} << 30;
  return needs_context("cuMemGetInfo_v2");
}

int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
  const Lock lock(driver_mutex);
  if (const int status = unsafe("cuMemAlloc_v2", kOutOfMemory)) return status;
  *address = reinterpret_cast<uint64_t>(device_memory().allocate(bytes));
  ++live_objects;
  return 0;
}

int cuMemFree_v2(uint64_t address) {
  const Lock lock(driver_mutex);
  run_everything();
  if (!device_memory().release(address)) return kInvalidValue;
  --live_objects;
  return needs_context("cuMemFree_v2");
}

int cuMemHostAlloc(void** memory, size_t bytes, unsigned) {
  const Lock lock(driver_mutex);
  if (const int status = unsafe("cuMemHostAlloc", kOutOfMemory)) return status;
  *memory = pinned_memory().allocate(bytes);
  ++live_objects;
  return 0;
}

int cuMemFreeHost(void* memory) {
  const Lock lock(driver_mutex);
  run_everything();
  if (!pinned_memory().release(reinterpret_cast<uint64_t>(memory))) return kInvalidValue;
  --live_objects;
  return needs_context("cuMemFreeHost");
}

int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void* stream) {
  const Lock lock(driver_mutex);
  if (const int status = counted_with_context("cuMemcpyHtoDAsync_v2")) return status;
  const auto source = reinterpret_cast<uint64_t>(from);
  std::vector<std::byte> now;
  if (pinned_memory().is_live(source) && !as_stream(stream)->is_recording()) {
    now.assign(static_cast<const std::byte*>(from), static_cast<const std::byte*>(from) + bytes);
  }
  as_stream(stream)->add([=, now = std::move(now)] {
    check_source(source, now);
    device_memory().require(to, bytes, "a copy to the GPU");
    std::memcpy(reinterpret_cast<void*>(to), from, bytes);
  });
  return 0;
}

int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void* stream) {
  const Lock lock(driver_mutex);
  if (const int status = counted_with_context("cuMemcpyDtoHAsync_v2")) return status;
  const auto target = reinterpret_cast<uint64_t>(to);
  const bool pinned = pinned_memory().is_live(target);
  if (!as_stream(stream)->is_recording()) std::memset(to, 0xCD, bytes);  // nothing is there yet
  as_stream(stream)->add([=] {
    if (pinned) pinned_memory().require(target, bytes, "a copy to the host");
    device_memory().require(from, bytes, "a copy to the host");
    std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
  });
  // Into memory that is not page-locked the driver returns when the copy is done.
  if (!pinned) as_stream(stream)->run_all();
  return 0;
}

int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* stream) {
  const Lock lock(driver_mutex);
  if (const int status = counted_with_context("cuMemcpyDtoDAsync_v2")) return status;
  as_stream(stream)->add([=] {
    device_memory().require(from, bytes, "a copy on the GPU");
    device_memory().require(to, bytes, "a copy on the GPU");
    std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
  });
  return 0;
}

int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void* stream) {
  const Lock lock(driver_mutex);
  if (const int status = counted_with_context("cuMemsetD8Async")) return status;
  as_stream(stream)->add([=] {
    device_memory().require(to, bytes, "a fill");
    std::memset(reinterpret_cast<void*>(to), value, bytes);
  });
  return 0;
}

int cuStreamCreate(void** stream, unsigned) {
  const Lock lock(driver_mutex);
  if (const int status = counted_with_context("cuStreamCreate")) return status;
  auto created = std::make_shared<FakeStream>();
  streams.insert(created);
  *stream = new std::shared_ptr<FakeStream>(std::move(created));
  ++live_objects;
  return 0;
}

/// The driver lets the stream's work end.
int cuStreamDestroy_v2(void* stream) {
  const Lock lock(driver_mutex);
  as_stream(stream)->run_all();
  streams.erase(as_stream(stream));
  return destroy<std::shared_ptr<FakeStream>>("cuStreamDestroy_v2", stream);
}

int cuStreamSynchronize(void* stream) {
  const Lock lock(driver_mutex);
  if (const int status = unsafe("cuStreamSynchronize")) return status;
  as_stream(stream)->run_all();
  return 0;
}

int cuStreamWaitEvent(void* stream, void* event, unsigned) {
  const Lock lock(driver_mutex);
  if (const int status = counted_with_context("cuStreamWaitEvent")) return status;
  sam3trt::fake::wait(*as_stream(stream), *as_event(event));
  return 0;
}

int cuEventCreate(void** event, unsigned) {
  const Lock lock(driver_mutex);
  if (const int status = counted_with_context("cuEventCreate")) return status;
  *event = new std::shared_ptr<FakeEvent>(std::make_shared<FakeEvent>());
  ++live_objects;
  return 0;
}

int cuEventDestroy_v2(void* event) {
  const Lock lock(driver_mutex);
  return destroy<std::shared_ptr<FakeEvent>>("cuEventDestroy_v2", event);
}

int cuEventRecord(void* event, void* stream) {
  const Lock lock(driver_mutex);
  if (const int status = counted_with_context("cuEventRecord")) return status;
  sam3trt::fake::record(as_event(event), as_stream(stream));
  return 0;
}

int cuEventSynchronize(void* event) {
  const Lock lock(driver_mutex);
  if (const int status = unsafe("cuEventSynchronize")) return status;
  const FakeEvent& point = *as_event(event);
  if (const auto stream = point.stream.lock()) stream->run_until(point.position);
  return 0;
}

int cuEventElapsedTime(float* milliseconds, void* begin, void* end) {
  const Lock lock(driver_mutex);
  const int first = as_event(begin)->tick;
  const int last = as_event(end)->tick;
  if (first == 0 || last == 0) return kNotReady;
  *milliseconds = static_cast<float>(last - first);
  return 0;
}

int cuStreamBeginCapture_v2(void* stream, int) {
  const Lock lock(driver_mutex);
  if (const int status = counted("cuStreamBeginCapture_v2")) return status;
  as_stream(stream)->begin_recording();
  ++recordings;
  return 0;
}

int cuStreamEndCapture(void* stream, void** graph) {
  const Lock lock(driver_mutex);
  std::unique_ptr<Recording> recording = as_stream(stream)->end_recording();
  --recordings;
  if (const int status = counted("cuStreamEndCapture")) {
    *graph = nullptr;
    return status;
  }
  *graph = recording.release();
  ++live_objects;
  return 0;
}

int cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
  const Lock lock(driver_mutex);
  if (const int status = counted("cuGraphInstantiateWithFlags", kOutOfMemory)) return status;
  *executable = new Recording(*static_cast<Recording*>(graph));
  ++live_objects;
  return 0;
}

int cuGraphLaunch(void* executable, void* stream) {
  const Lock lock(driver_mutex);
  if (const int status = counted_with_context("cuGraphLaunch")) return status;
  for (const Work& work : static_cast<Recording*>(executable)->work) as_stream(stream)->add(work);
  return 0;
}

int cuGraphExecDestroy(void* graph) { return destroy<Recording>("cuGraphExecDestroy", graph); }
int cuGraphDestroy(void* graph) { return destroy<Recording>("cuGraphDestroy", graph); }

int cuModuleLoadData(void** module, const void* image) {
  const Lock lock(driver_mutex);
  if (const int status = needs_context("cuModuleLoadData")) return status;
  uint32_t magic = 0;
  std::memcpy(&magic, image, sizeof(magic));
  if (magic != 0xBA55ED50U) return kInvalidImage;  // how a fatbin begins
  *module = new int(0);
  ++live_objects;
  return 0;
}

int cuModuleUnload(void* module) { return destroy<int>("cuModuleUnload", module); }

int cuModuleGetFunction(void** function, void*, const char* name) {
  const Lock lock(driver_mutex);
  const auto found = kernels().find(name);
  if (found == kernels().end()) return kNotFound;
  *function = &found->second;
  return injected("cuModuleGetFunction");
}

int cuLibraryLoadData(void** library, const void* image, int*, void**, unsigned, int*, void**,
                      unsigned) {
  const Lock lock(driver_mutex);
  if (const int status = injected("cuLibraryLoadData")) return status;
  uint32_t magic = 0;
  std::memcpy(&magic, image, sizeof(magic));
  if (magic != 0xBA55ED50U) return kInvalidImage;
  *library = new int(0);
  ++live_objects;
  return 0;
}

int cuLibraryUnload(void* library) { return destroy<int>("cuLibraryUnload", library); }

int cuLibraryGetKernel(void** kernel, void* library, const char* name) {
  const Lock lock(driver_mutex);
  return cuModuleGetFunction(kernel, library, name);
}

int cuLaunchHostFunc(void* stream, void (*function)(void*), void* data) {
  const Lock lock(driver_mutex);
  if (const int status = counted_with_context("cuLaunchHostFunc")) return status;
  as_stream(stream)->add([=] { function(data); });
  return 0;
}

int cuKernelSetAttribute(int attribute, int value, void* kernel, int) {
  const Lock lock(driver_mutex);
  if (attribute != 8 || value < 0) return kInvalidValue;
  static_cast<Kernel*>(kernel)->dynamic_shared = static_cast<unsigned>(value);
  return injected("cuKernelSetAttribute");
}

int cuLaunchKernel(void* function, unsigned x, unsigned y, unsigned z, unsigned threads,
                   unsigned threads_y, unsigned threads_z, unsigned shared_bytes, void* stream,
                   void** parameters, void**) {
  const Lock lock(driver_mutex);
  if (const int status = counted_with_context("cuLaunchKernel")) return status;
  if (x == 0 || y == 0 || z == 0 || x > 0x7FFFFFFFU || y > 65535 || z > 65535 || threads_y != 1 ||
      threads_z != 1) {
    return kInvalidValue;
  }
  const auto& kernel = *static_cast<Kernel*>(function);
  if (threads != kernel.threads || shared_bytes > kernel.dynamic_shared) return kInvalidValue;
  as_stream(stream)->add(kernel.work(Grid{x, y, z, shared_bytes}, parameters[0]));
  return 0;
}
}
