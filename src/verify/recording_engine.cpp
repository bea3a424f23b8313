#include "verify/recording_engine.hpp"

namespace sam3trt {

std::map<std::string, Tensor> RecordingEngine::run(const TensorMap& inputs) {
  RecordedCall call;
  for (const auto& [name, tensor] : inputs) call.inputs.emplace(name, *tensor);
  call.outputs = engine_->run(inputs);
  calls_.push_back(std::move(call));
  return calls_.back().outputs;
}

}  // namespace sam3trt
