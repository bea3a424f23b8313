#pragma once

#include <string_view>

namespace sam3trt {

/// The text of configs/verify/gate.json at build time.
[[nodiscard]] std::string_view builtin_gate();

}  // namespace sam3trt
