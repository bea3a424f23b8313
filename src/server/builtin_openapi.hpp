#pragma once

#include <string_view>

namespace sam3trt {

/// The text of src/server/openapi.json at build time.
[[nodiscard]] std::string_view builtin_openapi();

}  // namespace sam3trt
