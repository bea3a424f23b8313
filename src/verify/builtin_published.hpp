#pragma once

#include <string_view>

namespace sam3trt {

/// The text of configs/verify/published.json at build time.
[[nodiscard]] std::string_view builtin_published();

}  // namespace sam3trt
