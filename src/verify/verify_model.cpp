#include "verify/verify_model.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/log.hpp"
#include "onnx/graph_info.hpp"
#include "openvino/openvino_engine.hpp"
#include "runtime/float32_engine.hpp"

namespace sam3trt {
namespace {

std::string precision_name(const ModelFiles& files) {
  if (files.form == ModelForm::kEngines)
    return EngineManifest::load(files.at(Component::kVisionEncoder)).precision;
  const auto metadata = read_graph_info(files.at(Component::kVisionEncoder)).metadata;
  const auto found = metadata.find("sam3trt.precision");
  return found == metadata.end() ? "fp32" : found->second;
}

void check_same_checkpoint(const ModelFiles& graphs, const ModelFiles& model) {
  if (graphs.checkpoint_sha256 == model.checkpoint_sha256 && graphs.semantics == model.semantics) {
    return;
  }
  throw_bad_input("--reference " + graphs.at(Component::kVisionEncoder).parent_path().string() +
                  ": holds the graphs of another checkpoint or of other semantics than " +
                  model.at(Component::kVisionEncoder).string());
}

/// One component at a time, so that only its memory is needed.
std::vector<OutputReport> verify_stages(Verifier& verifier, const ModelFiles& files,
                                        const LoadOptions& load, Precision precision) {
  std::unique_ptr<TensorRtHost> host;
  if (files.form == ModelForm::kEngines) {
    host = open_tensorrt_for(files.at(Component::kVisionEncoder), load.device);
  }
  std::vector<OutputReport> reports;
  for (const auto& [component, path] : files.components) {
    const std::unique_ptr<Engine> engine =
        host ? load_engine_file(*host, path, load)
             : with_float32_tensors(load_openvino_engine(path, {.threads = load.threads}));
    std::ranges::move(
        verifier.verify(std::string(name_of(component)), *engine, precision, std::nullopt),
        std::back_inserter(reports));
  }
  return reports;
}

/// What the weights of an engine or a typed graph were rounded by; empty for a float32 graph.
struct Rounding {
  std::string recipe;
  std::string recipe_sha256;
  std::string calibration_sha256;  ///< Empty where nothing is quantised or it is not known.
};

Rounding rounding_of(ModelForm form, const std::filesystem::path& path) {
  if (form == ModelForm::kEngines) {
    const EngineManifest manifest = EngineManifest::load(path);
    return {manifest.recipe, manifest.recipe_sha256, manifest.calibration_sha256};
  }
  auto metadata = read_graph_info(path).metadata;
  return {metadata["sam3trt.recipe"], metadata["sam3trt.recipe_sha256"], ""};
}

/// Whether the calibration beside the reference's graph is that of the model.
bool has_calibration(const std::filesystem::path& graph, const Rounding& rounding) {
  return rounding.calibration_sha256.empty() ||
         Calibration::load(Calibration::path_beside(graph)).sha256() == rounding.calibration_sha256;
}

/// The recipes by which the weights of the model were rounded; nothing when they are not in the
/// book, or the calibration is no longer there.
std::optional<std::map<std::string, Recipe>> recipes_of(const VerifyRequest& request) {
  std::map<std::string, Recipe> recipes;
  try {
    for (const auto& [component, path] : request.model.components) {
      const Rounding rounding = rounding_of(request.model.form, path);
      const Recipe recipe = request.recipes.find(rounding.recipe);
      // Typed graphs and TensorRT-RTX have standard operators only.
      const bool known = recipe.sha256() == rounding.recipe_sha256 ||
                         recipe.with_standard_operators().sha256() == rounding.recipe_sha256;
      if (!known || !has_calibration(request.reference.at(component), rounding)) {
        return std::nullopt;
      }
      recipes[std::string(name_of(component))] = recipe;
    }
  } catch (const Error&) {
    return std::nullopt;
  }
  return recipes;
}

/// Whether the float32 graphs give other results too when only their weights are rounded as those
/// of the model were.
bool rounding_changes(Verifier& verifier, const VerifyRequest& request, Precision precision) {
  if (precision == Precision::kFp32) return false;
  const auto recipes = recipes_of(request);
  return recipes && !verifier.verify_rounded(*recipes, precision).problems.empty();
}

/// Whether marking them changes anything.
bool is_unfinished(const ModelFiles& files) {
  if (files.form == ModelForm::kGraphs) return false;
  return !set_refusal(load_manifests(files)).empty();
}

}  // namespace

Precision precision_of(const ModelFiles& files) {
  const std::string name = precision_name(files);
  for (const Precision precision :
       {Precision::kFp32, Precision::kFp16, Precision::kBf16, Precision::kFp8}) {
    if (name == name_of(precision)) return precision;
  }
  throw_bad_input(files.at(Component::kVisionEncoder).string() + ": names the precision '" + name +
                  "'; build it again");
}

ReferenceLimits reference_limits(const ModelFiles& files) {
  ReferenceLimits limits;
  if (files.form == ModelForm::kGraphs) return limits;
  const auto lower = [](int64_t& limit, const std::filesystem::path& engine,
                        const std::string& input, size_t axis) {
    const auto largest = EngineManifest::load(engine).largest(input, axis);
    if (largest) limit = std::clamp<int64_t>(*largest, 1, limit);
  };
  limits.images = std::numeric_limits<int64_t>::max();
  lower(limits.images, files.at(Component::kVisionEncoder), "pixel_values", 0);
  lower(limits.prompts, files.at(Component::kTextEncoder), "input_ids", 0);
  lower(limits.prompts, files.at(Component::kDetector), "text_features", 0);
  lower(limits.boxes, files.at(Component::kGeometryEncoder), "boxes", 1);
  lower(limits.mask_prompts, files.at(Component::kMaskHead), "query_index", 0);
  lower(limits.masks, files.at(Component::kMaskHead), "query_index", 1);
  for (const auto& [component, path] : files.components) {
    const auto counting = input_counting(component, "O");
    if (counting) lower(limits.objects, path, std::string(*counting), 0);
  }
  return limits;
}

void mark_as_set(const ModelFiles& engines, const std::string& end_to_end,
                 const std::string& request_sha256) {
  std::vector<EngineManifest> manifests = load_manifests(engines);
  const std::string set = set_sha256_of(manifests);
  auto manifest = manifests.begin();
  for (const auto& [component, path] : engines.components) {
    manifest->verification = VerificationState::kPassed;
    manifest->set_sha256 = set;
    manifest->end_to_end = end_to_end;
    manifest->set_request_sha256 = request_sha256;
    (manifest++)->save(path);
  }
}

VerifyOutcome verify_model(const VerifyRequest& request) {
  const LoadOptions load{.device = request.verifier.device,
                         .threads = request.verifier.threads,
                         .allow_unverified = true};
  check_same_checkpoint(request.reference, request.model);
  VerifierOptions options = request.verifier;
  options.limits = reference_limits(request.model);
  Verifier verifier(request.reference, options);
  VerifyOutcome outcome;
  outcome.precision = precision_of(request.model);
  outcome.backend = request.model.form == ModelForm::kEngines ? "tensorrt" : "openvino";
  outcome.outputs = verify_stages(verifier, request.model, load, outcome.precision);
  outcome.result = verifier.verify_results(request.model, load, outcome.precision);
  outcome.undecidable = !outcome.result.problems.empty() && passed(outcome.outputs) &&
                        rounding_changes(verifier, request, outcome.precision);
  outcome.passed =
      passed(outcome.outputs) && (outcome.result.problems.empty() || outcome.undecidable);
  if (!outcome.passed || !is_unfinished(request.model)) return outcome;
  try {
    mark_as_set(request.model,
                outcome.undecidable ? "undecidable" : std::string(verdict_of(outcome.result)));
    outcome.marked = true;
  } catch (const Error& error) {
    log(LogLevel::kWarning,
        std::string("the engines passed, but their manifests cannot say so: ") + error.what());
  }
  return outcome;
}

}  // namespace sam3trt
