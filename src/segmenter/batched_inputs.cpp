#include "segmenter/batched_inputs.hpp"

#include <algorithm>

#include "components/components.hpp"

namespace sam3trt {
namespace {

bool counts_images(const ComponentTensor& tensor) {
  return tensor.shape.substr(0, tensor.shape.find(',')) == "B";
}

}  // namespace

std::function<bool(const std::string&)> batched_inputs_of(const std::string& component) {
  const auto id = component_named(component);
  if (!id) return {};
  const auto& inputs = info_of(*id).inputs;
  return [&inputs,
          only_images = std::ranges::all_of(inputs, counts_images)](const std::string& input) {
    const auto found = std::ranges::find(inputs, input, &ComponentTensor::name);
    return found != inputs.end() && (only_images || !counts_images(*found));
  };
}

}  // namespace sam3trt
