#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "sam3trt/object_prompt.hpp"

namespace sam3trt::python {

namespace nb = nanobind;

/// A numpy array that owns the values, in that shape.
template <typename T>
[[nodiscard]] nb::object to_numpy(std::vector<T> values, std::initializer_list<size_t> shape) {
  auto owned = std::make_unique<std::vector<T>>(std::move(values));
  T* data = owned->data();
  // An array has an address also where it has no values.
  static T nothing{};
  const nb::capsule owner(owned.release(), [](void* pointer) noexcept {
    delete static_cast<std::vector<T>*>(pointer);
  });
  return nb::cast(nb::ndarray<nb::numpy, T>(data == nullptr ? &nothing : data, shape.size(),
                                            shape.begin(), owner));
}

/// float32 (side, side), or None where there are none.
[[nodiscard]] inline nb::object logits_array(MaskLogits logits) {
  const auto side = static_cast<size_t>(logits.side);
  if (side == 0) return nb::none();
  return to_numpy(std::move(logits.values), {side, side});
}

}  // namespace sam3trt::python
