#pragma once

#include <vector>

#include "cuda/buffer.hpp"
#include "cuda/kernels.hpp"
#include "gpu/uploader.hpp"
#include "runtime/backend.hpp"

namespace sam3trt {

/// The detector's outputs in device memory, float32.
struct DetectorOutputs {
  DevicePointer logits = 0;    ///< [P, Q]
  DevicePointer presence = 0;  ///< [P, 1]
  DevicePointer boxes = 0;     ///< [P, Q, 4]
};

/// Picks the detections on the GPU, as select_detections does, and brings them to the host.
class GpuDetections {
 public:
  /// Throws Error(kBadInput) for more queries than the kernel takes.
  GpuDetections(const CudaDevice& device, const KernelLibrary& kernels, int64_t queries);

  /// `sizes[p]`: width and height in pixels of prompt p's image. Waits for the stream.
  [[nodiscard]] std::vector<PromptDetections> run(const Stream& stream, Uploader& uploader,
                                                  const DetectorOutputs& outputs,
                                                  std::span<const std::array<int64_t, 2>> sizes,
                                                  float threshold);

 private:
  const KernelLibrary& kernels_;
  int64_t queries_;
  DeviceBuffer results_;
  PinnedBuffer host_;
};

}  // namespace sam3trt
