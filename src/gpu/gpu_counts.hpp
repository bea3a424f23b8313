#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "cuda/buffer.hpp"
#include "cuda/kernels.hpp"
#include "gpu/uploader.hpp"

namespace sam3trt {

/// Counts logits of masks on the GPU, so that they need not come to the host.
class GpuCounts {
 public:
  GpuCounts(const CudaDevice& device, const KernelLibrary& kernels);

  /// Backend::count_logits of float32 planes of `size` values at `logits`. Waits for the stream.
  [[nodiscard]] std::vector<std::array<int64_t, 2>> run(const Stream& stream, Uploader& uploader,
                                                        DevicePointer logits, int64_t size,
                                                        std::span<const size_t> planes, float high,
                                                        float low);

 private:
  const KernelLibrary& kernels_;
  DeviceBuffer planes_;
  DeviceBuffer counts_;
  PinnedBuffer host_;
};

}  // namespace sam3trt
