#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cuda/buffer.hpp"
#include "cuda/kernels.hpp"
#include "gpu/uploader.hpp"

namespace sam3trt {

/// Where logits of masks are above 0, found on the GPU, so that only bits come to the host.
class GpuBits {
 public:
  GpuBits(const CudaDevice& device, const KernelLibrary& kernels);

  /// Backend::bits_above of float32 planes of `size` values at these addresses. Waits for the
  /// stream. Throws NonFiniteError in the words of `if_broken`.
  [[nodiscard]] std::vector<std::vector<uint64_t>> run(const Stream& stream, Uploader& uploader,
                                                       std::span<const DevicePointer> planes,
                                                       int64_t size, const std::string& if_broken);

 private:
  const KernelLibrary& kernels_;
  DeviceBuffer planes_;
  DeviceBuffer words_;
  DeviceBuffer broken_;
  PinnedBuffer host_words_;
  PinnedBuffer host_broken_;
};

}  // namespace sam3trt
