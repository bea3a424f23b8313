#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cuda/device.hpp"
#include "runtime/model_files.hpp"
#include "runtime/request.hpp"
#include "runtime/result.hpp"
#include "text/tokenizer.hpp"
#include "trt/api.hpp"

namespace sam3trt {

/// The engines of one model, loaded with ActivationMemory::kCallers.
struct GpuPlans {
  std::unique_ptr<LoadedPlan> vision_encoder;
  std::unique_ptr<LoadedPlan> text_encoder;
  std::unique_ptr<LoadedPlan> geometry_encoder;
  std::unique_ptr<LoadedPlan> detector;
  std::unique_ptr<LoadedPlan> mask_head;
};

/// A loaded model on a GPU. From the upload of a picture's bytes to the run lengths of the masks,
/// everything stays there; what comes back is what the result says. One stream; repeated shapes run
/// as CUDA graphs and allocate nothing. One call at a time per session; sessions of several threads
/// do not disturb one another.
class GpuSession {
 public:
  /// `device` must outlive the session and be current in the calling thread. Throws
  /// Error(kBadInput) when the engines do not fit together.
  GpuSession(const CudaDevice& device, GpuPlans plans, Tokenizer tokenizer,
             const ModelConfig& config, Semantics semantics);
  ~GpuSession();
  GpuSession(GpuSession&&) noexcept;
  GpuSession& operator=(GpuSession&&) noexcept;
  GpuSession(const GpuSession&) = delete;
  GpuSession& operator=(const GpuSession&) = delete;

  /// Pictures that go through the vision encoder together.
  [[nodiscard]] size_t max_images() const;

  /// Prompts that go through the detector together.
  [[nodiscard]] size_t max_prompts() const;

  /// Encodes the texts of these prompts and frees the text encoder; other texts are then
  /// Error(kBadInput). False when there are more of them than are kept (512): nothing is done then.
  [[nodiscard]] bool keep_only_texts(std::span<const Prompt> prompts);

  /// One result per request, with its prompts in their order; any number of either. `path` and
  /// `timings_ms.decode` are left to the caller; pictures that went through together share their
  /// times equally. An image for which an engine gives non-finite numbers has an `error` and no
  /// prompts. Throws Error(kBadInput), before anything is queued, for what Session::run refuses and
  /// for what the engines were not built for. After any exception the session is as it was.
  [[nodiscard]] std::vector<ImageResult> run(std::span<const ImageRequest> requests,
                                             const Thresholds& thresholds);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sam3trt
