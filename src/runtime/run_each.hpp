#pragma once

#include <functional>
#include <span>
#include <vector>

#include "runtime/request.hpp"
#include "runtime/result.hpp"

namespace sam3trt {

using RunTogether = std::function<std::vector<ImageResult>(std::span<const ImageRequest> requests)>;

/// One result per request. What `run` throws for several requests is looked for in each alone, so
/// that only images that fail by themselves get an error (ImageResult::error) and all others their
/// results. Throws nothing that `run` throws.
[[nodiscard]] std::vector<ImageResult> run_each(std::span<const ImageRequest> requests,
                                                const RunTogether& run);

/// Calls `action`; what it throws becomes the error of `result`.
void keep_error(ImageResult& result, const std::function<void()>& action);

}  // namespace sam3trt
