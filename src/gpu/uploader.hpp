#pragma once

#include <map>
#include <span>
#include <string>

#include "base/tensor.hpp"
#include "cuda/buffer.hpp"

namespace sam3trt {

/// Copies to the GPU through page-locked memory, so that the caller's memory may change at once.
class Uploader {
 public:
  explicit Uploader(const CudaDevice& device) : device_(device), staging_(device) {}

  /// Waits only when the staging memory is full; it doubles then.
  void upload(const Stream& stream, DevicePointer to, std::span<const std::byte> from);

  /// Into device memory that is kept under this name and grows with the tensor.
  DevicePointer upload(const Stream& stream, const std::string& name, const Tensor& tensor);

  /// To be called when the stream's work is done: all staging memory is free again.
  void reset() { used_ = 0; }

 private:
  const CudaDevice& device_;
  PinnedBuffer staging_;
  size_t used_ = 0;
  std::map<std::string, DeviceBuffer> named_;
};

}  // namespace sam3trt
