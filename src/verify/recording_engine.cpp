#include "verify/recording_engine.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace sam3trt {
namespace {

/// `part` of the calls' inputs or outputs, by the names of the first.
std::map<std::string, Tensor> stack(std::span<const RecordedCall> calls,
                                    std::map<std::string, Tensor> RecordedCall::*part) {
  std::map<std::string, Tensor> stacked;
  for (const auto& [name, first] : calls.front().*part) {
    Shape shape = first.shape();
    shape.at(0) *= static_cast<int64_t>(calls.size());
    Tensor& result = stacked.emplace(name, Tensor(first.dtype(), shape)).first->second;
    auto rest = result.bytes();
    for (const RecordedCall& call : calls) {
      const Tensor& tensor = (call.*part).at(name);
      if (tensor.dtype() != first.dtype() || tensor.shape() != first.shape()) {
        throw Error(ErrorCode::kInternal, "calls of other shapes cannot be joined: " + name);
      }
      std::ranges::copy(tensor.bytes(), rest.begin());
      rest = rest.subspan(tensor.bytes().size());
    }
  }
  return stacked;
}

}  // namespace

RecordedCall stack_calls(std::span<const RecordedCall> calls) {
  return {stack(calls, &RecordedCall::inputs), stack(calls, &RecordedCall::outputs)};
}

std::map<std::string, Tensor> RecordingEngine::run(const TensorMap& inputs) {
  RecordedCall call;
  for (const auto& [name, tensor] : inputs) call.inputs.emplace(name, *tensor);
  call.outputs = engine().run(inputs);
  calls_.push_back(std::move(call));
  return calls_.back().outputs;
}

}  // namespace sam3trt
