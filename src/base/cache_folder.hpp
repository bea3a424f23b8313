#pragma once

#include <filesystem>

namespace sam3trt {

/// "sam3trt" in XDG_CACHE_HOME or in ~/.cache; empty when there is neither. May not exist yet.
[[nodiscard]] std::filesystem::path user_cache_folder();

/// Removes from the cache folder what killed runs left (base/temporary.hpp).
void sweep_cache_folder();

}  // namespace sam3trt
