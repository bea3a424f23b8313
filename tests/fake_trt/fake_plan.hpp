#pragma once

#include <memory>

#include "base/engine.hpp"
#include "gpu/gpu_session.hpp"
#include "runtime/cpu_session.hpp"

namespace sam3trt {

/// Limits of the fake plans' profiles.
struct FakePlanLimits {
  int64_t images = 2;
  int64_t prompts = 3;
  int64_t boxes = 4;
  int64_t mask_prompts = 2;
  int64_t masks = 8;
  int64_t objects = 3;
};

/// CPU engines in the place of TensorRT's, with a profile for one image and prompt and another
/// for several: they read and write the fake driver's GPU memory in the order of its streams,
/// graphs included.
[[nodiscard]] GpuPlans fake_plans(SessionEngines engines, const ModelConfig& config,
                                  const FakePlanLimits& limits);

}  // namespace sam3trt
