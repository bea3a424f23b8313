#pragma once

#include <string>
#include <vector>

#include "compile/engine_build.hpp"

namespace sam3trt {

/// What decides, beside the graph and how it is verified, what build_engine gives: recipes of the
/// precision, the library, the GPU, kernels, shapes and settings of the compiler. A text that is
/// the same for the same settings; part of what requests are told apart by.
[[nodiscard]] std::string build_settings_of(const TensorRtApi& api,
                                            const EngineBuildRequest& request,
                                            const std::vector<Profile>& profiles);

}  // namespace sam3trt
