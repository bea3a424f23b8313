#include "manifest/manifest.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "base/sha256.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kVersion = 4;
constexpr uint64_t kLargestFile = uint64_t{16} << 20;
constexpr const char* kNext = "build the engine again with 'sam3trt build'";

VerificationState state_of(const std::string& name, const std::string& where) {
  for (const auto state : {VerificationState::kNone, VerificationState::kStages,
                           VerificationState::kPassed, VerificationState::kFailed}) {
    if (name == name_of(state)) return state;
  }
  throw_bad_input(where + ": unknown verification state '" + name + "'; " + kNext);
}

using Profiles = std::vector<std::map<std::string, ManifestShapes>>;

Json to_json_value(const Profiles& profiles) {
  Json list = Json::array();
  for (const auto& profile : profiles) {
    Json inputs = Json::object();
    for (const auto& [name, shapes] : profile) {
      inputs[name] = {{"min", shapes.min}, {"opt", shapes.opt}, {"max", shapes.max}};
    }
    list.push_back(std::move(inputs));
  }
  return list;
}

Profiles profiles_from(const Json& list) {
  Profiles profiles;
  for (const Json& inputs : list) {
    auto& profile = profiles.emplace_back();
    for (const auto& [name, shapes] : inputs.items()) {
      profile[name] = {shapes.at("min").get<Shape>(), shapes.at("opt").get<Shape>(),
                       shapes.at("max").get<Shape>()};
    }
  }
  return profiles;
}

void read_build(const Json& build, EngineManifest& manifest) {
  manifest.request_sha256 = build.at("request_sha256").get<std::string>();
  manifest.refused = build.at("refused").get<std::vector<std::string>>();
  manifest.deviation = build.at("deviation").get<double>();
  if (build.contains("milliseconds")) {
    manifest.milliseconds = build.at("milliseconds").get<double>();
  }
}

/// JSON has no other numbers.
double finite(double value) { return std::isfinite(value) ? value : 0; }

Json build_of(const EngineManifest& manifest) {
  Json build = {{"request_sha256", manifest.request_sha256},
                {"refused", manifest.refused},
                {"deviation", finite(manifest.deviation)}};
  if (manifest.milliseconds) build["milliseconds"] = finite(*manifest.milliseconds);
  return build;
}

EngineManifest from_json(const Json& json, const std::string& where) {
  EngineManifest manifest;
  manifest.component = json.at("component").get<std::string>();
  manifest.metadata = json.at("metadata").get<std::map<std::string, std::string>>();
  manifest.graph_sha256 = json.at("graph_sha256").get<std::string>();
  manifest.precision = json.at("precision").get<std::string>();
  manifest.recipe = json.at("recipe").get<std::string>();
  manifest.recipe_sha256 = json.at("recipe_sha256").get<std::string>();
  manifest.flavour = json.at("flavour").get<std::string>();
  manifest.tensorrt_version = json.at("tensorrt_version").get<std::string>();
  manifest.gpu = json.at("gpu").get<std::string>();
  manifest.compute_capability = json.at("compute_capability").get<std::string>();
  manifest.profiles = profiles_from(json.at("profiles"));
  manifest.kernels_sha256 = json.at("kernels_sha256").get<std::string>();
  manifest.cublaslt_version = json.value("cublaslt_version", "");
  manifest.calibration_sha256 = json.at("calibration_sha256").get<std::string>();
  manifest.attentions = json.at("attentions").get<int64_t>();
  if (json.contains("fused_attentions")) {
    manifest.fused_attentions = json.at("fused_attentions").get<int64_t>();
  }
  manifest.plan_bytes = json.at("plan_bytes").get<uint64_t>();
  manifest.plan_sha256 = json.at("plan_sha256").get<std::string>();
  manifest.plan_pieces_sha256 = json.value("plan_pieces_sha256", "");
  const Json& verification = json.at("verification");
  manifest.verification = state_of(verification.at("state").get<std::string>(), where);
  if (verification.contains("report")) {
    manifest.verification_report = verification.at("report").dump();
  }
  if (manifest.verification == VerificationState::kPassed) {
    manifest.set_sha256 = verification.at("set_sha256").get<std::string>();
    manifest.end_to_end = verification.at("end_to_end").get<std::string>();
    manifest.set_request_sha256 = verification.value("set_request_sha256", "");
  }
  if (json.contains("build")) read_build(json.at("build"), manifest);
  return manifest;
}

}  // namespace

std::string_view name_of(VerificationState state) {
  switch (state) {
    case VerificationState::kNone:
      return "none";
    case VerificationState::kStages:
      return "stages";
    case VerificationState::kPassed:
      return "passed";
    case VerificationState::kFailed:
      return "failed";
  }
  return "none";
}

std::optional<int64_t> EngineManifest::largest(const std::string& input, size_t axis) const {
  std::optional<int64_t> size;
  for (const auto& profile : profiles) {
    const auto found = profile.find(input);
    if (found == profile.end() || found->second.max.size() <= axis) continue;
    size = std::max(size.value_or(found->second.max[axis]), found->second.max[axis]);
  }
  return size;
}

bool EngineManifest::describes(std::span<const std::byte> plan) const {
  if (plan.size() != plan_bytes) return false;
  if (plan_pieces_sha256.empty()) return sha256_hex(plan) == plan_sha256;
  return sha256_of_pieces(plan) == plan_pieces_sha256;
}

std::filesystem::path EngineManifest::path_beside(const std::filesystem::path& engine) {
  return engine.string() + ".json";
}

EngineManifest EngineManifest::load(const std::filesystem::path& engine) {
  const std::filesystem::path path = path_beside(engine);
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) {
    throw_bad_input(
        engine.string() + ": the manifest " + path.filename().string() +
        " is missing, so nothing says what the engine is and whether it was verified; " + kNext);
  }
  const MappedFile file(path);
  const auto bytes = file.bytes();
  if (bytes.size() > kLargestFile) {
    throw_bad_input(path.string() + ": expected an engine's manifest, found a file of " +
                    std::to_string(bytes.size()) + " bytes; " + kNext);
  }
  return parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

void EngineManifest::save(const std::filesystem::path& engine) const {
  AtomicFile file(path_beside(engine));
  file.write(to_json());
  file.commit();
}

std::string EngineManifest::to_json() const {
  Json json = {{"version", kVersion},
               {"component", component},
               {"precision", precision},
               {"recipe", recipe},
               {"recipe_sha256", recipe_sha256},
               {"graph_sha256", graph_sha256},
               {"flavour", flavour},
               {"tensorrt_version", tensorrt_version},
               {"gpu", gpu},
               {"compute_capability", compute_capability},
               {"plan_bytes", plan_bytes},
               {"plan_sha256", plan_sha256},
               {"kernels_sha256", kernels_sha256},
               {"calibration_sha256", calibration_sha256},
               {"attentions", attentions},
               {"profiles", to_json_value(profiles)},
               {"metadata", metadata},
               {"verification", {{"state", name_of(verification)}}}};
  if (!plan_pieces_sha256.empty()) json["plan_pieces_sha256"] = plan_pieces_sha256;
  if (!cublaslt_version.empty()) json["cublaslt_version"] = cublaslt_version;
  if (fused_attentions) json["fused_attentions"] = *fused_attentions;
  if (verification == VerificationState::kPassed) {
    json["verification"]["set_sha256"] = set_sha256;
    json["verification"]["end_to_end"] = end_to_end;
    if (!set_request_sha256.empty()) {
      json["verification"]["set_request_sha256"] = set_request_sha256;
    }
  }
  if (!verification_report.empty()) {
    json["verification"]["report"] = Json::parse(verification_report);
  }
  if (!request_sha256.empty()) json["build"] = build_of(*this);
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

EngineManifest EngineManifest::parse(std::string_view text, const std::string& where) {
  try {
    const Json json = Json::parse(text);
    if (!json.is_object() || json.value("version", 0) != kVersion) {
      throw_bad_input(where + ": expected an engine's manifest of version " +
                      std::to_string(kVersion) + "; " + kNext);
    }
    return from_json(json, where);
  } catch (const Json::exception& error) {
    throw_bad_input(where + ": not an engine's manifest (" + error.what() + "); " + kNext);
  }
}

std::string set_sha256_of(std::span<const EngineManifest> engines) {
  std::vector<std::string> plans;
  for (const EngineManifest& engine : engines) plans.push_back(engine.plan_sha256);
  std::ranges::sort(plans);
  std::string text;
  for (const std::string& plan : plans) text += plan + "\n";
  return sha256_hex(std::as_bytes(std::span(text)));
}

std::string set_refusal(std::span<const EngineManifest> engines) {
  const std::string set = set_sha256_of(engines);
  std::string others;
  for (const EngineManifest& engine : engines) {
    if (engine.verification == VerificationState::kPassed && engine.set_sha256 == set) continue;
    others += (others.empty() ? "" : ", ") + engine.component;
  }
  if (others.empty()) return {};
  return "the engines did not pass their end-to-end check together (" + others +
         "); run 'sam3trt verify' with exactly these engines, build them again into one folder, or "
         "pass --allow-unverified";
}

std::string missing_library(const EngineManifest& manifest, const std::string& version,
                            const std::string& problem) {
  if (manifest.cublaslt_version.empty()) return {};
  if (problem.empty() && manifest.cublaslt_version == version) return {};
  const std::string needs =
      "needs cuBLASLt " + manifest.cublaslt_version + ", with which it was built and verified";
  if (!problem.empty()) return needs + "; " + problem;
  return needs + ", but this is " + version +
         "; name the folder of that version in SAM3TRT_CUBLASLT_DIR, or " + kNext + " here";
}

std::string refusal(const EngineManifest& manifest, const EngineHost& host, bool allow_unverified) {
  const auto other = [](const std::string& what, const std::string& built,
                        const std::string& here) {
    return "built " + what + " " + built + ", but this is " + here + "; " + kNext + " here";
  };
  if (manifest.flavour != host.flavour || manifest.tensorrt_version != host.tensorrt_version) {
    return other("with", manifest.flavour + " (" + manifest.tensorrt_version + ")",
                 host.flavour + " (" + host.tensorrt_version + ")");
  }
  const bool any_gpu = manifest.gpu.empty();  // compiled ahead of time for a compute capability
  if ((!any_gpu && manifest.gpu != host.gpu) ||
      manifest.compute_capability != host.compute_capability) {
    return other("for",
                 any_gpu ? "compute capability " + manifest.compute_capability : manifest.gpu,
                 any_gpu ? host.compute_capability : host.gpu);
  }
  if (!manifest.kernels_sha256.empty() && manifest.kernels_sha256 != host.kernels_sha256) {
    return std::string("built for other kernels than those of this program; ") + kNext;
  }
  if (allow_unverified) return {};
  const std::string next = std::string("; ") + kNext + ", or pass --allow-unverified";
  switch (manifest.verification) {
    case VerificationState::kPassed:
      return {};
    case VerificationState::kFailed:
      return "failed its verification: its results differ from the float32 reference" + next;
    case VerificationState::kStages:
      return "passed its verification by itself, but was not run end to end with the other engines "
             "of its model, or that did not finish; run 'sam3trt build' again, or 'sam3trt verify' "
             "with all engines of the model, or pass --allow-unverified";
    case VerificationState::kNone:
      break;
  }
  return "was never verified against the float32 reference" + next;
}

}  // namespace sam3trt
