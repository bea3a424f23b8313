#pragma once

#include <memory>

#include "base/engine.hpp"

namespace sam3trt {

/// The same engine with float32 in place of its 16-bit floating-point inputs and outputs, so that
/// engines of every precision fit where float32 graphs do. Gives `engine` itself back when it has
/// none.
[[nodiscard]] std::unique_ptr<Engine> with_float32_tensors(std::unique_ptr<Engine> engine);

}  // namespace sam3trt
