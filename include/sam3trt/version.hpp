#pragma once

#include "sam3trt/export.hpp"

/// The version of these headers; the only place that states it (CMake reads it here).
/// docs/embedding.md says what each number promises.
#define SAM3TRT_VERSION_MAJOR 0
#define SAM3TRT_VERSION_MINOR 1
#define SAM3TRT_VERSION_PATCH 0
#define SAM3TRT_VERSION "0.1.0"

namespace sam3trt {

/// The version of the library that is loaded, which may be newer than that of the headers.
[[nodiscard]] SAM3TRT_API const char* version() noexcept;

}  // namespace sam3trt
