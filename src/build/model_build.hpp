#pragma once

#include <functional>
#include <string>
#include <vector>

#include "build/engine_build.hpp"

namespace sam3trt {

/// One engine of a model: how it is built, and what came out.
struct ModelPart {
  EngineBuildRequest request;
  EngineBuildResult result;
};

/// Holds the whole model, built so far, against the reference; empty when its results are the same.
using CheckModel = std::function<std::string()>;

/// Builds one part again.
using BuildPart = std::function<EngineBuildResult(const EngineBuildRequest& request)>;

/// Engines that pass one by one may still give other results together. While `check` finds that,
/// the part that deviates most from its stage's reference is built again with its next safer
/// recipe; a part without one is left as it is. When no part has one left, all manifests say that
/// the verification failed and Error(kVerificationFailed) is thrown. `report` is told what was
/// wrong each time.
void repair_model(std::vector<ModelPart>& parts, const CheckModel& check, const BuildPart& build,
                  const std::function<void(const std::string& message)>& report);

}  // namespace sam3trt
