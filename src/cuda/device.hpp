#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cuda/driver.hpp"

namespace sam3trt {

/// A GPU as the driver describes it.
struct CudaDeviceInfo {
  std::string name;
  int capability_major = 0;
  int capability_minor = 0;
  uint64_t memory_bytes = 0;

  /// "9.0"
  [[nodiscard]] std::string compute_capability() const;
};

/// All GPUs, without starting any. Throws Error(kUnavailable) when there is no driver or no GPU.
[[nodiscard]] std::vector<CudaDeviceInfo> list_cuda_devices();

/// Newest CUDA that the driver supports, "13.0".
[[nodiscard]] std::string cuda_driver_version();

/// One GPU with its primary context, which other users of the GPU in this process share.
class CudaDevice {
 public:
  /// Throws Error(kUnavailable) when there is no GPU of that number.
  explicit CudaDevice(int index = 0);
  ~CudaDevice();
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  /// Makes the context current in the calling thread; all other classes here work on the current
  /// context. The constructor does it for its own thread.
  void make_current() const;

  [[nodiscard]] const CudaDeviceInfo& info() const { return info_; }

  /// Bytes of device memory that are in use, by anyone.
  [[nodiscard]] uint64_t used_bytes() const;

 private:
  int device_ = 0;
  void* context_ = nullptr;
  CudaDeviceInfo info_;
};

/// A queue of work. Move-only.
class CudaStream {
 public:
  CudaStream();
  ~CudaStream();
  CudaStream(CudaStream&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  CudaStream& operator=(CudaStream&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  [[nodiscard]] void* handle() const { return handle_; }

  /// Waits until all its work is done; reports what failed in it.
  void synchronize() const;

 private:
  void* handle_ = nullptr;
};

/// A mark in a stream, for measuring time on the device.
class CudaEvent {
 public:
  CudaEvent();
  ~CudaEvent();
  CudaEvent(const CudaEvent&) = delete;
  CudaEvent& operator=(const CudaEvent&) = delete;

  void record(const CudaStream& stream) const;

  /// Milliseconds from `begin` to this mark; waits for both.
  [[nodiscard]] float milliseconds_since(const CudaEvent& begin) const;

 private:
  void* handle_ = nullptr;
};

/// Recorded work that is started again as a whole, which costs the processor far less. Move-only.
class CudaGraph {
 public:
  /// Records what `enqueue` starts on the stream instead of running it. The addresses it uses must
  /// stay valid for every launch, and it must not wait or allocate.
  CudaGraph(const CudaStream& stream, const std::function<void()>& enqueue);
  ~CudaGraph();
  CudaGraph(CudaGraph&& other) noexcept : exec_(std::exchange(other.exec_, nullptr)) {}
  CudaGraph& operator=(CudaGraph&& other) noexcept {
    std::swap(exec_, other.exec_);
    return *this;
  }
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  void launch(const CudaStream& stream) const;

 private:
  void* exec_ = nullptr;
};

/// Device memory. Grows on demand and never shrinks, so that a warm program allocates nothing.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  explicit DeviceBuffer(size_t bytes) { reserve(bytes); }
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : address_(std::exchange(other.address_, 0)), size_(std::exchange(other.size_, 0)) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(size_, other.size_);
    return *this;
  }
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;

  /// At least `bytes`; contents are lost when it grows. No work may be using it then.
  void reserve(size_t bytes);

  [[nodiscard]] uint64_t address() const { return address_; }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  uint64_t address_ = 0;
  size_t size_ = 0;
};

/// Copies that run in the order of the stream. Host memory must stay valid until then.
void copy_to_device(uint64_t target, std::span<const std::byte> source, const CudaStream& stream);
void copy_to_host(std::span<std::byte> target, uint64_t source, const CudaStream& stream);

}  // namespace sam3trt
