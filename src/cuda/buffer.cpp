#include "cuda/buffer.hpp"

#include <string>
#include <utility>

#include "base/checked.hpp"
#include "base/error.hpp"

namespace sam3trt {

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : context_(std::move(other.context_)),
      data_(std::exchange(other.data_, 0)),
      size_(std::exchange(other.size_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  if (this != &other) {
    release();
    context_ = std::move(other.context_);
    data_ = std::exchange(other.data_, 0);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void DeviceBuffer::reserve(size_t bytes) {
  if (bytes <= size_) return;
  release();
  const CudaContextScope scope(*context_);
  context_->driver().mem_alloc(&data_, bytes);
  size_ = bytes;
}

void DeviceBuffer::grow(const Stream& stream, size_t bytes) {
  if (bytes <= size_) return;
  stream.synchronize();
  reserve(bytes);
}

void DeviceBuffer::release() noexcept {
  if (size_ == 0) return;
  const CudaContextScope scope(*context_);
  (void)context_->driver().mem_free.status(data_);
  data_ = 0;
  size_ = 0;
}

void PinnedBuffer::reserve(size_t bytes) {
  if (bytes <= size()) return;
  memory_ = CudaHandle();
  const CudaContextScope scope(*context_);
  void* memory = nullptr;
  context_->driver().mem_host_alloc(&memory, bytes, 0);
  memory_ = CudaHandle(context_, memory, &CudaDriver::mem_free_host);
  size_ = bytes;
}

void PinnedBuffer::check_room(size_t count, size_t element_size) const {
  const auto bytes = checked_mul(count, element_size);
  if (bytes && *bytes <= size()) return;
  throw Error(ErrorCode::kInternal, "a pinned buffer of " + std::to_string(size()) +
                                        " bytes is asked for " + std::to_string(count) +
                                        " values of " + std::to_string(element_size) + " bytes");
}

void copy_to_device(const Stream& stream, DevicePointer to, std::span<const std::byte> from) {
  if (from.empty()) return;
  stream.driver().memcpy_to_device(to, from.data(), from.size(), stream.handle());
}

void copy_to_host(const Stream& stream, std::span<std::byte> to, DevicePointer from) {
  if (to.empty()) return;
  stream.driver().memcpy_to_host(to.data(), from, to.size(), stream.handle());
}

void copy_on_device(const Stream& stream, DevicePointer to, DevicePointer from, size_t bytes) {
  if (bytes != 0) stream.driver().memcpy_on_device(to, from, bytes, stream.handle());
}

void fill_bytes(const Stream& stream, DevicePointer to, std::byte value, size_t bytes) {
  if (bytes == 0) return;
  stream.driver().memset_bytes(to, static_cast<unsigned char>(value), bytes, stream.handle());
}

}  // namespace sam3trt
