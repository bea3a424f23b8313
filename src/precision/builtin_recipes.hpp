#pragma once

#include <string_view>

namespace sam3trt {

/// The text of configs/precision/recipes.json at build time.
[[nodiscard]] std::string_view builtin_recipes();

}  // namespace sam3trt
