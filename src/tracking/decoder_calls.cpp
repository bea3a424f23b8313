#include "tracking/decoder_calls.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "runtime/stage.hpp"
#include "tracking/object_mask.hpp"

namespace sam3trt {
/// By exponents, without a branch: masks have many numbers.
bool all_finite(std::span<const float> values) {
  constexpr uint32_t kSign = 0x80000000U;
  constexpr uint32_t kInfinity = 0x7F800000U;
  uint32_t largest = 0;
  for (const float value : values) {
    largest = std::max(largest, std::bit_cast<uint32_t>(value) & ~kSign);
  }
  return largest < kInfinity;
}

std::vector<Tensor> checked_outputs(Backend& backend, Component component,
                                    std::span<const WantedOutput> wanted) {
  std::vector<OutputPart> parts;
  for (const WantedOutput& output : wanted) parts.push_back(output.part);
  std::vector<Tensor> tensors = backend.read(component, parts);
  const std::string of = " of the " + std::string(name_of(component));
  for (size_t i = 0; i < wanted.size(); ++i) {
    const Tensor& tensor = tensors[i];
    if (tensor.dtype() != DType::kF32 || tensor.shape() != wanted[i].shape) {
      throw Error(ErrorCode::kInternal, parts[i].output + of + " is " + to_string(tensor.shape()) +
                                            ", expected " + to_string(wanted[i].shape));
    }
    if (!all_finite(tensor.f32())) {
      throw NonFiniteError(nonfinite_in(name_of(component), parts[i].output));
    }
  }
  return tensors;
}

Tensor decoder_masks(Backend& backend, std::vector<size_t> planes, int64_t side) {
  const int64_t area = side * side;
  const Shape shape = {static_cast<int64_t>(planes.size()), area};
  if (planes.empty()) return Tensor(DType::kF32, shape);
  const WantedOutput wanted{{"sam_masks", area, std::move(planes)}, shape};
  return std::move(checked_outputs(backend, Component::kSamDecoder, {&wanted, 1}).front());
}

std::vector<bool> are_stable(Backend& backend, std::span<const size_t> planes, int64_t side,
                             const TrackerConfig& config) {
  const auto delta = static_cast<float>(config.stability_delta);
  std::vector<bool> stable;
  stable.reserve(planes.size());
  for (const auto& above : backend.count_logits(planes, side, delta, -delta)) {
    stable.push_back(is_stable(above, config));
  }
  return stable;
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
