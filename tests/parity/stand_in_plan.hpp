#pragma once

#include <memory>

#include "base/engine.hpp"
#include "cuda/device.hpp"
#include "gpu/gpu_session.hpp"
#include "runtime/session.hpp"

namespace sam3trt::parity {

/// Limits of the stand-in's profiles.
struct StandInLimits {
  int64_t images = 2;
  int64_t prompts = 3;
  int64_t boxes = 4;
  int64_t mask_prompts = 2;
  int64_t masks = 8;
};

/// The stand-in for NVIDIA's driver (tests/fake_cuda).
[[nodiscard]] const CudaDriver& stand_in_driver();

/// CPU engines in the place of TensorRT's, with a profile for one picture and prompt and another
/// for several: they read and write the stand-in's GPU memory in the order of its streams, graphs
/// included.
[[nodiscard]] GpuPlans stand_in_plans(SessionEngines engines, const ModelConfig& config,
                                      const StandInLimits& limits);

}  // namespace sam3trt::parity
