#include "compile/up_to_date.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "base/sha256.hpp"
#include "compile/build_settings.hpp"
#include "sam3trt/version.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// One without a verification passes where none was asked for, or none can be.
bool passed(const EngineManifest& manifest, const EngineBuildRequest& request) {
  switch (manifest.verification) {
    case VerificationState::kStages:
    case VerificationState::kPassed:
      return true;
    case VerificationState::kNone:
      return !request.verify || manifest.component.empty();
    case VerificationState::kFailed:
      break;
  }
  return false;
}

/// What makes the engine differ from its manifest, or from what is asked for; empty: nothing.
std::string problem_of(const EngineManifest& manifest, const std::string& request_sha256,
                       const EngineBuildRequest& request) {
  if (manifest.request_sha256 != request_sha256) return "was built from or with something else";
  if (!passed(manifest, request)) return "did not pass its verification";
  if (!manifest.calibration_sha256.empty() &&
      Calibration::load(Calibration::path_beside(request.onnx)).sha256() !=
          manifest.calibration_sha256) {
    return "was built with another calibration";
  }
  const bool intact = request.output_intact.valid() ? request.output_intact.get()
                                                    : has_plan_of(manifest, request.output);
  return intact ? "" : "is not the file that its manifest describes";
}

}  // namespace

bool has_plan_of(const EngineManifest& manifest, const fs::path& engine) {
  return manifest.describes(MappedFile(engine).bytes());
}

std::string request_sha256_of(const TensorRtApi& api, const EngineBuildRequest& request,
                              const GraphInfo& graph) {
  const bool foreign = !graph.metadata.contains("sam3trt.component");
  const Json json = {
      {"format", 1},
      {"program", SAM3TRT_VERSION},
      {"graph", request.graph_sha256.empty() ? hash_graph(request.onnx) : request.graph_sha256},
      {"settings", build_settings_of(api, request,
                                     foreign ? make_foreign_profiles(graph, request.limits)
                                             : make_profiles(graph, request.limits))},
      {"calibration", {static_cast<bool>(request.calibrate), request.calibration_images}},
      {"verification", {static_cast<bool>(request.verify), request.verification}}};
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return sha256_hex(std::as_bytes(std::span(text)));
}

std::optional<EngineBuildResult> find_up_to_date(const TensorRtApi& api,
                                                 const EngineBuildRequest& request,
                                                 std::string& reason) {
  std::error_code ignored;
  if (!fs::is_regular_file(request.output, ignored)) return std::nullopt;
  const std::string wanted = request_sha256_of(api, request, read_graph_info(request.onnx));
  try {
    EngineBuildResult result;
    result.manifest = EngineManifest::load(request.output);
    reason = problem_of(result.manifest, wanted, request);
    if (!reason.empty()) return std::nullopt;
    result.up_to_date = true;
    result.refused = result.manifest.refused;
    result.deviation = result.manifest.deviation;
    result.milliseconds = result.manifest.milliseconds;
    return result;
  } catch (const Error& error) {
    reason = std::string("cannot be taken as it is: ") + error.what();
    return std::nullopt;
  }
}

}  // namespace sam3trt
