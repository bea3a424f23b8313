#pragma once

#include <map>
#include <span>
#include <string>

#include "base/tensor.hpp"
#include "cuda/buffer.hpp"

namespace sam3trt {

/// Copies to the GPU through page-locked staging memory, so that the caller's memory may change at
/// once. Queued copies read the staging memory when the GPU gets there, so no part of it is written
/// to twice before wait() has returned: that is the only place where it becomes free again. A
/// session whose call ends by an exception waits, too, before its next call uploads anything.
class Uploader {
 public:
  explicit Uploader(const CudaDevice& device) : device_(device), staging_(device) {}

  /// Waits only when the staging memory is full; it doubles then.
  void upload(const Stream& stream, DevicePointer to, std::span<const std::byte> from);

  /// Into device memory that is kept under this name and grows with the tensor.
  DevicePointer upload(const Stream& stream, const std::string& name, const Tensor& tensor);

  /// Waits until the stream's work is done; all staging memory is free then. It stays in use when
  /// waiting fails.
  void wait(const Stream& stream);

 private:
  const CudaDevice& device_;
  PinnedBuffer staging_;
  size_t used_ = 0;  ///< Bytes that queued copies may read.
  std::map<std::string, DeviceBuffer> named_;
};

}  // namespace sam3trt
