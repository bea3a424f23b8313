#include "gpu/warm_up.hpp"

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "base/log.hpp"
#include "gpu/gpu_stage.hpp"

namespace sam3trt {
namespace {

void run_once(const std::string& name, const LoadedPlan& plan, const CudaDevice& device) {
  const Stream stream(device);
  DeviceBuffer activations(device);
  std::map<std::string, DeviceBuffer> inputs;
  GpuStage stage(name, plan, device);
  for (const TensorInfo& info : plan.inputs()) {
    const Shape shape = plan.profile(info.name).min;
    const size_t bytes = static_cast<size_t>(element_count(shape)) * size_of(info.dtype);
    DeviceBuffer& buffer = inputs.try_emplace(info.name, device).first->second;
    buffer.reserve(std::max<size_t>(bytes, 1));  // there may be no pointers
    fill_bytes(stream, buffer.data(), std::byte{0}, buffer.size());
    stage.set_input(info.name, shape, buffer.data());
  }
  stage.run(stream, activations);
  stream.synchronize();  // before the memory goes
}

}  // namespace

void warm_up(const std::string& name, const LoadedPlan& plan, const CudaDevice& device) {
  try {
    run_once(name, plan, device);
  } catch (const Error& error) {
    log(LogLevel::kInfo, name + ": did not run in advance: " + error.what());
  }
}

}  // namespace sam3trt
