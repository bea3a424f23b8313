#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cuda/buffer.hpp"
#include "cuda/kernels.hpp"
#include "gpu/uploader.hpp"

namespace sam3trt {

/// Which masks win and lose where they overlap, on the GPU.
class GpuOverlaps {
 public:
  GpuOverlaps(const CudaDevice& device, const KernelLibrary& kernels);

  /// Backend::won_areas of float32 planes of `size` logits at these addresses, at least one. Waits
  /// for the stream.
  [[nodiscard]] std::vector<int64_t> won_areas(const Stream& stream, Uploader& uploader,
                                               std::span<const DevicePointer> planes, int64_t size);

  /// Puts work into the stream after which the logits of the planes are at most `most`.
  void lower(const Stream& stream, Uploader& uploader, std::span<const DevicePointer> planes,
             int64_t size, float most);

 private:
  const KernelLibrary& kernels_;
  DeviceBuffer planes_;
  DeviceBuffer areas_;
  PinnedBuffer host_;
};

}  // namespace sam3trt
