#include "verify/repeated_calls.hpp"

#include <algorithm>

namespace sam3trt {
namespace {

bool equal(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::ranges::equal(a.bytes(), b.bytes());
}

bool has_inputs(const RecordedCall& call, const TensorMap& inputs) {
  return std::ranges::equal(call.inputs, inputs, [](const auto& kept, const auto& given) {
    return kept.first == given.first && equal(kept.second, *given.second);
  });
}

}  // namespace

std::map<std::string, Tensor> RepeatedCalls::run(const TensorMap& inputs) {
  const auto known = std::ranges::find_if(
      calls_, [&](const RecordedCall& call) { return has_inputs(call, inputs); });
  if (known != calls_.end()) {
    calls_.splice(calls_.begin(), calls_, known);
    return calls_.front().outputs;
  }
  RecordedCall call;
  call.outputs = engine().run(inputs);
  for (const auto& [name, tensor] : inputs) call.inputs[name] = *tensor;
  if (calls_.size() == most_) calls_.pop_back();
  calls_.push_front(std::move(call));
  return calls_.front().outputs;
}

}  // namespace sam3trt
