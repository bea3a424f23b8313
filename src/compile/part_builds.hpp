#pragma once

#include <functional>
#include <vector>

#include "compile/model_build.hpp"

namespace sam3trt {

/// How the parts of one build are made.
struct PartBuilds {
  bool force = false;  ///< Also those that are up to date.
  BuildPart build;     ///< Builds one.
  /// Told, before the first is built, which will be; not called when all are up to date.
  std::function<void(const std::vector<const EngineBuildRequest*>& changed)> changed;
  std::function<void(const ModelPart& part)> done;  ///< Each part, in order.
};

/// Builds the engines that are not what their requests would give (find_up_to_date); the others
/// stay as they are. All that was built before is looked at first, side by side. Throws what that
/// and `build` throw.
[[nodiscard]] std::vector<ModelPart> build_parts(const TensorRtApi& api,
                                                 std::vector<EngineBuildRequest> requests,
                                                 const PartBuilds& how);

}  // namespace sam3trt
