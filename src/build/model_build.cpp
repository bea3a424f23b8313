#include "build/model_build.hpp"

#include <algorithm>

#include "base/error.hpp"

namespace sam3trt {
namespace {

/// Builds the part with a safer recipe; false when there is none that passes.
bool make_safer(ModelPart& part, const BuildPart& build) {
  EngineBuildRequest request = part.request;
  request.after = part.result.manifest.recipe;
  try {
    part.result = build(request);
    return true;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kVerificationFailed) throw;
    return false;
  }
}

}  // namespace

void repair_model(std::vector<ModelPart>& parts, const CheckModel& check, const BuildPart& build,
                  const std::function<void(const std::string& message)>& report) {
  std::vector<ModelPart*> repairable;
  for (ModelPart& part : parts) repairable.push_back(&part);
  for (std::string problem = check(); !problem.empty(); problem = check()) {
    bool repaired = false;
    while (!repaired && !repairable.empty()) {
      const auto worst =
          std::ranges::max_element(repairable, {}, [](const ModelPart* p) { return p->result.deviation; });
      report("the engines together do not give the results of the reference (" + problem +
             "); trying a safer recipe for " + (*worst)->request.output.string());
      repaired = make_safer(**worst, build);
      if (!repaired) repairable.erase(worst);
    }
    if (repaired) continue;
    for (ModelPart& part : parts) {
      part.result.manifest.verification = VerificationState::kFailed;
      part.result.manifest.save(part.request.output);
    }
    throw Error(ErrorCode::kVerificationFailed,
                "the engines pass one by one, but together they do not give the results of the "
                "float32 reference: " +
                    problem + "; they are marked as failed, try --fp32");
  }
}

}  // namespace sam3trt
