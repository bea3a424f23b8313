#include "cuda/device.hpp"

#include <atomic>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace sam3trt {
namespace {

std::atomic<bool> small_stacks = false;

}  // namespace

void keep_kernel_stacks_small() { small_stacks = true; }

CudaContext::CudaContext(const CudaDriver& driver, int device) : driver_(driver), device_(device) {
  driver_.primary_context_retain(&handle_, device_);
  if (!small_stacks) return;
  constexpr int kStackSize = 0;  // CU_LIMIT_STACK_SIZE
  constexpr size_t kBytes = 128;
  const CudaContextScope scope(*this);
  static_cast<void>(driver_.context_set_limit.status(kStackSize, kBytes));  // saves memory, no more
}

CudaContext::~CudaContext() { (void)driver_.primary_context_release.status(device_); }

CudaContextScope::~CudaContextScope() {
  void* popped = nullptr;
  if (pushed_) (void)driver_.context_pop.status(&popped);
}

CudaDevice::CudaDevice(int ordinal, const CudaDriver& driver) {
  const std::vector<CudaDeviceInfo> devices = list_cuda_devices(driver);
  if (ordinal < 0 || static_cast<size_t>(ordinal) >= devices.size()) {
    throw Error(ErrorCode::kUnavailable,
                "there is no GPU " + std::to_string(ordinal) + ": this machine has " +
                    std::to_string(devices.size()) + ", counted from 0; nvidia-smi lists them");
  }
  info_ = devices[static_cast<size_t>(ordinal)];
  int device = 0;
  driver.device_get(&device, ordinal);
  context_ = std::make_shared<CudaContext>(driver, device);
  make_current();
}

void CudaDevice::make_current() const { driver().context_set_current(context_->handle()); }

size_t CudaDevice::free_memory() const {
  const CudaContextScope scope(*context_);
  size_t free = 0;
  size_t total = 0;
  driver().mem_get_info(&free, &total);
  return free;
}

CudaHandle& CudaHandle::operator=(CudaHandle&& other) noexcept {
  if (this != &other) {
    reset();
    context_ = std::move(other.context_);
    value_ = std::exchange(other.value_, nullptr);
    destroy_ = other.destroy_;
  }
  return *this;
}

void CudaHandle::reset() noexcept {
  if (value_ == nullptr) return;
  const CudaContextScope scope(*context_);
  (void)(driver().*destroy_).status(value_);
  value_ = nullptr;
}

Event::Event(const CudaDevice& device) {
  const CudaContextScope scope(*device.context());
  void* event = nullptr;
  device.driver().event_create(&event, 0);
  event_ = CudaHandle(device.context(), event, &CudaDriver::event_destroy);
}

float Event::milliseconds_since(const Event& begin) const {
  float milliseconds = 0;
  event_.driver().event_elapsed_time(&milliseconds, begin.handle(), handle());
  return milliseconds;
}

Stream::Stream(const CudaDevice& device) {
  constexpr unsigned kNonBlocking = 1;  // CU_STREAM_NON_BLOCKING
  const CudaContextScope scope(*device.context());
  void* stream = nullptr;
  device.driver().stream_create(&stream, kNonBlocking);
  stream_ = CudaHandle(device.context(), stream, &CudaDriver::stream_destroy);
}

CudaGraph::CudaGraph(const Stream& stream, const std::function<void()>& work) {
  constexpr int kThreadLocal = 1;  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
  const CudaDriver& driver = stream.driver();
  const CudaContextScope scope(*stream.context());
  void* recorded = nullptr;
  driver.stream_begin_capture(stream.handle(), kThreadLocal);
  try {
    work();
  } catch (...) {
    (void)driver.stream_end_capture.status(stream.handle(), &recorded);
    const CudaHandle dropped(stream.context(), recorded, &CudaDriver::graph_destroy);
    throw;
  }
  driver.stream_end_capture(stream.handle(), &recorded);
  const CudaHandle graph(stream.context(), recorded, &CudaDriver::graph_destroy);
  void* executable = nullptr;
  driver.graph_instantiate(&executable, recorded, 0);
  graph_ = CudaHandle(stream.context(), executable, &CudaDriver::graph_exec_destroy);
}

}  // namespace sam3trt
