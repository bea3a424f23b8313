#include "runtime/stage.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace sam3trt {
namespace {

void check_finite(const std::string& stage, const std::string& name, const Tensor& tensor) {
  const auto values = tensor.f32();
  const auto bad = std::ranges::count_if(values, [](float value) { return !std::isfinite(value); });
  if (bad == 0) return;
  throw NonFiniteError("the " + stage + " gave " + std::to_string(bad) + " non-finite numbers of " +
                       std::to_string(values.size()) + " in " + name);
}

}  // namespace

std::map<std::string, Tensor> run_stage(Engine& engine, const std::string& stage,
                                        const TensorMap& inputs,
                                        std::span<const StageOutput> outputs) {
  auto tensors = engine.run(inputs);
  for (const StageOutput& output : outputs) {
    const auto found = tensors.find(output.name);
    if (found == tensors.end() || found->second.dtype() != DType::kF32 ||
        found->second.shape() != output.shape) {
      throw_bad_input("the " + stage + ": expected the output " + output.name + " f32 " +
                      to_string(output.shape) + ", found " +
                      (found == tensors.end() ? std::string("none")
                                              : std::string(name_of(found->second.dtype())) + " " +
                                                    to_string(found->second.shape())) +
                      "; export the graphs again");
    }
    check_finite(stage, output.name, found->second);
  }
  return tensors;
}

std::string nonfinite_in(std::string_view component, std::string_view output) {
  return "the " + std::string(component) + " gave non-finite numbers in " + std::string(output);
}

}  // namespace sam3trt
