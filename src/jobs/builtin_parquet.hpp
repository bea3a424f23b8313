#pragma once

#include <string_view>

namespace sam3trt {

/// The text of python/sam3trt/parquet.py at build time: a script that needs pyarrow alone.
[[nodiscard]] std::string_view builtin_parquet();

}  // namespace sam3trt
