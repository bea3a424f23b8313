#pragma once

#include <string>

#include "cuda/device.hpp"
#include "trt/api.hpp"

namespace sam3trt {

/// Runs a plan once, with zeros in its smallest shapes: CUDA loads a kernel, and cuBLASLt its
/// libraries, when they are first launched, which takes a vision encoder of full size half a second
/// that the first image would wait for. `name` appears in messages. Nothing stays but what the
/// driver has loaded; a plan that cannot run now, for lack of memory, say, is left to the call that
/// needs it. The device's context must be current.
void warm_up(const std::string& name, const LoadedPlan& plan, const CudaDevice& device);

}  // namespace sam3trt
