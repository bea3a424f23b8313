#pragma once

#include <cstdint>
#include <span>

#include "cuda/buffer.hpp"
#include "cuda/kernels.hpp"
#include "gpu/uploader.hpp"

namespace sam3trt {

/// Fills holes and takes away specks of masks on the GPU (image/mask_cleanup.hpp).
class GpuCleaner {
 public:
  GpuCleaner(const CudaDevice& device, const KernelLibrary& kernels);

  /// Puts clean_mask() of float32 planes of side x side at these addresses into the stream. Numbers
  /// that are not finite stay.
  void run(const Stream& stream, Uploader& uploader, std::span<const DevicePointer> planes,
           int64_t side, int64_t max_area);

 private:
  const KernelLibrary& kernels_;
  DeviceBuffer planes_;
  DeviceBuffer words_;
  DeviceBuffer labels_;
  DeviceBuffer areas_;
  DeviceBuffer totals_;
};

}  // namespace sam3trt
