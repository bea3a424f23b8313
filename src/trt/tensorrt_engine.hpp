#pragma once

#include <memory>
#include <string>

#include "base/engine.hpp"
#include "cuda/device.hpp"
#include "trt/api.hpp"

namespace sam3trt {

/// A plan behind the interface of all backends: host tensors go to the GPU and back at every call.
/// Tensors have the types of the plan (runtime/float32_engine.hpp). `name` appears in messages;
/// `device` must outlive the engine.
[[nodiscard]] std::unique_ptr<Engine> make_tensorrt_engine(const LoadedPlan& plan, std::string name,
                                                           const CudaDevice& device);

}  // namespace sam3trt
