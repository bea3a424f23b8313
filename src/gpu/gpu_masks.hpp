#pragma once

#include <span>
#include <vector>

#include "cuda/buffer.hpp"
#include "cuda/kernels.hpp"
#include "cuda/mask_plan.hpp"
#include "gpu/uploader.hpp"
#include "runtime/backend.hpp"

namespace sam3trt {

/// Mask logits on the GPU to run lengths on the host, to bits that stay there, or both.
class GpuMasks {
 public:
  GpuMasks(const CudaDevice& device, const KernelLibrary& kernels, Semantics semantics);

  /// `logits`: `planes` planes of side x side float32; `cut` as mask_cut() gives it for the
  /// semantics. One result per request. Waits for the stream.
  [[nodiscard]] std::vector<FoundMask> run(const Stream& stream, Uploader& uploader,
                                           DevicePointer logits, int64_t planes, int64_t side,
                                           std::span<const MaskRequest> requests, float cut,
                                           MaskOutput output = MaskOutput::kRunLengths);

 private:
  void run_some(const Stream& stream, Uploader& uploader, DevicePointer logits, int64_t side,
                std::span<const MaskRequest> requests, float cut, MaskOutput output,
                std::vector<FoundMask>& results);
  void launch(const Stream& stream, Uploader& uploader, const MaskArgs& args,
              const std::vector<MaskTask>& tasks, uint64_t lengths);
  [[nodiscard]] uint64_t capacity() const;
  [[nodiscard]] uint64_t eager() const;

  const CudaDevice& device_;
  const KernelLibrary& kernels_;
  Semantics semantics_;
  size_t flags_bytes_ = 0;  ///< Of broken_; keeps what follows on the host aligned.
  DeviceBuffer broken_;
  DeviceBuffer tasks_;
  DeviceBuffer probabilities_;
  DeviceBuffer bits_;
  DeviceBuffer changes_;
  DeviceBuffer lasts_;
  DeviceBuffer areas_;
  DeviceBuffer summaries_;
  DeviceBuffer run_lengths_;
  PinnedBuffer host_summaries_;  ///< The flags of the planes, then the summaries.
  PinnedBuffer host_run_lengths_;
};

}  // namespace sam3trt
