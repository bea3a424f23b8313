#pragma once

#include <functional>
#include <vector>

#include "compile/model_build.hpp"

namespace sam3trt {

/// How the parts of one build are made.
struct PartBuilds {
  bool force = false;  ///< Also those that are up to date.
  size_t jobs = 1;     ///< Parts that are built at the same time; 0 counts as 1.
  BuildPart build;     ///< Builds one; with several jobs called by as many threads.
  /// Called once when a part fails while others are built, which should soon throw, too.
  std::function<void()> failed;
  /// Told, before the first is built, which will be; not called when all are up to date.
  std::function<void(const std::vector<const EngineBuildRequest*>& changed)> changed;
  std::function<void(const ModelPart& part)> kept;  ///< Each part that is up to date, in order.
};

/// Builds the engines that are not what their requests would give (find_up_to_date); the others
/// stay as they are. All that was built before is looked at first, side by side. Parts begin in the
/// order of the requests, and are returned in it. Throws what that and, first, `build` throws, when
/// no part is being built any more.
[[nodiscard]] std::vector<ModelPart> build_parts(const TensorRtApi& api,
                                                 std::vector<EngineBuildRequest> requests,
                                                 const PartBuilds& how);

}  // namespace sam3trt
