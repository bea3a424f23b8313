#include "compile/model_build.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "compile/up_to_date.hpp"
#include "verify/verify_model.hpp"

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

/// Tries safer recipes for the part that deviates most, then for the others; false when none has
/// one left.
bool make_worst_safer(std::vector<ModelPart*>& repairable, const std::string& problem,
                      const ModelRepair& repair) {
  while (!repairable.empty()) {
    const auto worst = std::ranges::max_element(
        repairable, {}, [](const ModelPart* part) { return part->result.deviation; });
    repair.report("the engines together do not give the results of the reference (" + problem +
                  "); trying a safer recipe for " + (*worst)->request.output.string());
    if (make_safer(**worst, repair.build)) return true;
    repairable.erase(worst);
  }
  return false;
}

/// Each repair builds an engine; what some do not fix, more will not.
constexpr int kMostRepairs = 4;

}  // namespace

ModelVerdict repair_model(std::vector<ModelPart>& parts, const ModelRepair& repair) {
  std::string problem = repair.check();
  if (problem.empty()) return ModelVerdict::kPassed;
  const std::string rounding = repair.check_rounded_reference();
  if (!rounding.empty()) {
    repair.report(
        "end to end this checkpoint cannot be judged at this precision: rounding the "
        "weights alone changes the results of the float32 reference (" +
        rounding + "), the engines change them too (" + problem +
        "); every engine passed by itself");
    return ModelVerdict::kUndecidable;
  }
  std::vector<ModelPart*> repairable;
  repairable.reserve(parts.size());
  for (ModelPart& part : parts) repairable.push_back(&part);
  for (int i = 0; i < kMostRepairs && make_worst_safer(repairable, problem, repair); ++i) {
    problem = repair.check();
    if (problem.empty()) return ModelVerdict::kPassed;
  }
  for (ModelPart& part : parts) {
    part.result.manifest.verification = VerificationState::kFailed;
    part.result.manifest.save(part.request.output);
  }
  throw Error(ErrorCode::kVerificationFailed,
              "the engines pass one by one, but together they do not give the results of the "
              "float32 reference: " +
                  problem + "; they are marked as failed, try --fp32");
}

EndToEnd verify_set(const ModelFiles& files, std::vector<ModelPart>& parts,
                    const std::function<ResultReport()>& check, ModelRepair repair,
                    const std::string& request_sha256) {
  ResultReport last;
  repair.check = [&] {
    last = check();
    return last.problems.empty() ? std::string() : summary(last);
  };
  const ModelVerdict verdict = repair_model(parts, repair);
  EndToEnd result;
  result.text = summary(last);
  result.verdict =
      verdict == ModelVerdict::kUndecidable ? "undecidable" : std::string(verdict_of(last));
  mark_as_set(files, result.verdict, request_sha256);
  for (ModelPart& part : parts) part.result.manifest = EngineManifest::load(part.request.output);
  return result;
}

std::optional<EndToEnd> find_checked_set(const ModelFiles& files,
                                         const std::vector<ModelPart>& parts,
                                         const std::string& request_sha256) {
  const bool changed =
      std::ranges::any_of(parts, [](const ModelPart& part) { return !part.result.up_to_date; });
  const std::vector<EngineManifest> manifests = load_manifests(files);
  const bool same = std::ranges::all_of(manifests, [&](const EngineManifest& manifest) {
    return manifest.set_request_sha256 == request_sha256 &&
           manifest.end_to_end == manifests.front().end_to_end;
  });
  if (changed || !same || !set_refusal(manifests).empty()) return std::nullopt;
  auto manifest = manifests.begin();
  for (const auto& entry : files.components) {
    const std::filesystem::path& path = entry.second;
    // The files of the parts were looked at when these were found.
    const bool is_part = std::ranges::any_of(
        parts, [&](const ModelPart& part) { return part.request.output == path; });
    if (!is_part && !has_plan_of(*manifest, path)) return std::nullopt;
    ++manifest;
  }
  EndToEnd result;
  result.verdict = manifests.front().end_to_end;
  result.text = "as checked when these engines were built; --force checks them again";
  result.up_to_date = true;
  return result;
}

}  // namespace sam3trt
