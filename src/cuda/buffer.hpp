#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "cuda/device.hpp"

namespace sam3trt {

/// Memory of a GPU; move-only. Fresh memory holds anything.
class DeviceBuffer {
 public:
  explicit DeviceBuffer(const CudaDevice& device, size_t bytes = 0) : context_(device.context()) {
    reserve(bytes);
  }
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  ~DeviceBuffer() { release(); }

  /// Makes room for at least `bytes`; when that is more than there is, the contents are lost and
  /// data() changes, so no pending work may use the buffer. Throws Error(kUnavailable) when the
  /// GPU's memory is used up; the buffer is empty then.
  void reserve(size_t bytes);

  /// The same for a buffer that work of the stream may use: waits for that work before the memory
  /// is given up.
  void grow(const Stream& stream, size_t bytes);

  [[nodiscard]] DevicePointer data() const { return data_; }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  void release() noexcept;

  std::shared_ptr<const CudaContext> context_;
  DevicePointer data_ = 0;
  size_t size_ = 0;
};

/// Page-locked memory of the host, which copies need to run beside other work; move-only, grows as
/// DeviceBuffer does.
class PinnedBuffer {
 public:
  explicit PinnedBuffer(const CudaDevice& device, size_t bytes = 0) : context_(device.context()) {
    reserve(bytes);
  }

  void reserve(size_t bytes);

  [[nodiscard]] size_t size() const { return memory_.get() == nullptr ? 0 : size_; }
  [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(memory_.get()); }

  /// The first `count` values of type T; throws Error(kInternal) when they do not fit.
  template <typename T>
  [[nodiscard]] std::span<T> as(size_t count) const {
    check_room(count, sizeof(T));
    return {static_cast<T*>(memory_.get()), count};
  }

 private:
  void check_room(size_t count, size_t element_size) const;

  std::shared_ptr<const CudaContext> context_;
  CudaHandle memory_;
  size_t size_ = 0;
};

/// Copies that run in the stream's order. Host memory must live until then; where it is not pinned,
/// the driver may wait.
void copy_to_device(const Stream& stream, DevicePointer to, std::span<const std::byte> from);
void copy_to_host(const Stream& stream, std::span<std::byte> to, DevicePointer from);
void copy_on_device(const Stream& stream, DevicePointer to, DevicePointer from, size_t bytes);

/// Sets every byte in the stream's order.
void fill_bytes(const Stream& stream, DevicePointer to, std::byte value, size_t bytes);

}  // namespace sam3trt
