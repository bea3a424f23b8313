#include "tracking/decoder_calls.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.hpp"
#include "runtime/stage.hpp"

namespace sam3trt {

Tensor checked_output(Backend& backend, Component component, const char* output,
                      const Shape& shape) {
  Tensor tensor = backend.get(component, output);
  if (tensor.dtype() != DType::kF32 || tensor.shape() != shape) {
    throw Error(ErrorCode::kInternal,
                std::string(output) + " of the " + std::string(name_of(component)) + " is " +
                    to_string(tensor.shape()) + ", expected " + to_string(shape));
  }
  if (!std::ranges::all_of(tensor.f32(), [](float value) { return std::isfinite(value); })) {
    throw NonFiniteError("the " + std::string(name_of(component)) + " gave non-finite numbers in " +
                         output);
  }
  return tensor;
}

void put_tokens(Backend& backend, std::span<const std::vector<PromptToken>* const> objects) {
  const auto count = static_cast<int64_t>(objects.size());
  const auto tokens = static_cast<int64_t>(objects.front()->size());
  Tensor coords(DType::kF32, {count, tokens, 2});
  Tensor labels(DType::kI64, {count, tokens});
  size_t next = 0;
  for (const std::vector<PromptToken>* object : objects) {
    for (const PromptToken& token : *object) {
      coords.f32()[2 * next] = token.x;
      coords.f32()[2 * next + 1] = token.y;
      labels.i64()[next++] = token.label;
    }
  }
  backend.put(Component::kSamDecoder, "point_coords", coords);
  backend.put(Component::kSamDecoder, "point_labels", labels);
}

}  // namespace sam3trt
