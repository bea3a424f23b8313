#include <algorithm>
#include <array>
#include <iostream>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "arguments.hpp"
#include "base/error.hpp"
#include "commands.hpp"
#include "onnx/graph_info.hpp"
#include "segmenter/segmenter.hpp"
#include "verifier.hpp"

namespace sam3trt {
namespace {

struct VerifyOptions {
  std::string model;
  std::string reference;
  LoadOptions load{.threads = 0, .allow_unverified = true};
  VerifierOptions verifier;
  std::string recipes;  ///< Empty: the built-in ones.
};

/// As the manifest says, or the metadata of a typed graph; exported graphs are float32.
std::string precision_name(const ModelFiles& files) {
  if (files.form == ModelForm::kEngines)
    return EngineManifest::load(files.at(Component::kVisionEncoder)).precision;
  const auto metadata = read_graph_info(files.at(Component::kVisionEncoder)).metadata;
  const auto found = metadata.find("sam3trt.precision");
  return found == metadata.end() ? "fp32" : found->second;
}

Precision precision_of(const ModelFiles& files) {
  const std::string name = precision_name(files);
  for (const Precision precision :
       {Precision::kFp32, Precision::kFp16, Precision::kBf16, Precision::kFp8}) {
    if (name == name_of(precision)) return precision;
  }
  throw_bad_input(files.at(Component::kVisionEncoder).string() + ": names the precision '" + name +
                  "'; build it again");
}

/// What the engines of a model were built for.
ReferenceLimits limits_of(const ModelFiles& files) {
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
  return limits;
}

void check_same_checkpoint(const ModelFiles& graphs, const ModelFiles& model) {
  if (graphs.checkpoint_sha256 == model.checkpoint_sha256 && graphs.semantics == model.semantics) {
    return;
  }
  throw_bad_input("--reference " + graphs.at(Component::kVisionEncoder).parent_path().string() +
                  ": holds the graphs of another checkpoint or of other semantics than " +
                  model.at(Component::kVisionEncoder).string());
}

std::vector<OutputReport> verify_engines(Verifier& verifier, SessionEngines& engines,
                                         Precision precision) {
  const std::array<std::pair<const char*, Engine*>, 5> parts = {{
      {"vision_encoder", engines.vision_encoder.get()},
      {"text_encoder", engines.text_encoder.get()},
      {"geometry_encoder", engines.geometry_encoder.get()},
      {"detector", engines.detector.get()},
      {"mask_head", engines.mask_head.get()},
  }};
  std::vector<OutputReport> reports;
  for (const auto& [component, engine] : parts) {
    for (auto& report : verifier.verify(component, *engine, precision, std::nullopt)) {
      reports.push_back(std::move(report));
    }
  }
  return reports;
}

struct RecipeId {
  std::string name;
  std::string sha256;
};

/// Of the recipe that an engine or a typed graph was made by; empty for a float32 graph.
RecipeId recipe_of(ModelForm form, const std::filesystem::path& path) {
  if (form == ModelForm::kEngines) {
    const EngineManifest manifest = EngineManifest::load(path);
    return {manifest.recipe, manifest.recipe_sha256};
  }
  auto metadata = read_graph_info(path).metadata;
  return {metadata["sam3trt.recipe"], metadata["sam3trt.recipe_sha256"]};
}

/// Whether the float32 graphs give other results too when only their weights are rounded as those
/// of the model were. Unknown, and so false, for recipes that are not in the book.
bool rounding_changes(Verifier& verifier, const ModelFiles& files, const RecipeBook& book,
                      Precision precision) {
  if (precision == Precision::kFp32) return false;
  std::map<std::string, Recipe> recipes;
  try {
    for (const auto& [component, path] : files.components) {
      const RecipeId id = recipe_of(files.form, path);
      const Recipe& recipe = recipes[std::string(name_of(component))] = book.find(id.name);
      // Typed graphs and TensorRT-RTX have standard operators only.
      if (recipe.sha256() != id.sha256 && recipe.with_standard_operators().sha256() != id.sha256) {
        return false;
      }
    }
  } catch (const Error&) {
    return false;
  }
  return !verifier.verify_rounded(recipes, precision).problems.empty();
}

void run_verify(const VerifyOptions& options, CommandContext& context) {
  constexpr int kFailedExitCode = 4;
  const RecipeBook book =
      options.recipes.empty() ? RecipeBook::builtin() : RecipeBook::load(options.recipes);
  const ModelFiles files = find_model_files(options.model);
  if (files.form == ModelForm::kGraphs && options.reference.empty()) {
    throw_bad_input("--model " + options.model +
                    ": holds graphs; name the folder of engines, or with --reference the graphs "
                    "to compare these with");
  }
  const ModelFiles graphs = find_model_files(
      options.reference.empty() ? options.model : options.reference, ModelForm::kGraphs);
  check_same_checkpoint(graphs, files);
  VerifierOptions verifier_options = options.verifier;
  verifier_options.limits = limits_of(files);
  Verifier verifier(graphs, verifier_options);
  const Precision precision = precision_of(files);
  std::string backend;
  std::vector<OutputReport> reports;
  {
    LoadedModel model = load_model(files, options.load);
    backend = model.backend;
    reports = verify_engines(verifier, model.engines, precision);
  }
  const ResultReport result = verifier.verify_results(files, options.load, precision);
  const bool undecidable =
      !result.problems.empty() && rounding_changes(verifier, files, book, precision);
  const bool ok = passed(reports) && (result.problems.empty() || undecidable);
  if (context.json) {
    std::cout << nlohmann::ordered_json{{"passed", ok},
                                        {"precision", name_of(precision)},
                                        {"backend", backend},
                                        {"end_to_end_undecidable", undecidable},
                                        {"outputs", nlohmann::json::parse(to_json(reports))},
                                        {"result", nlohmann::json::parse(to_json(result))}}
                     .dump(1)
              << "\n";
  } else {
    const InstanceDifference& found = result.difference;
    std::cout << to_table(reports) << "instances: " << found.matched << " matched, " << found.lost
              << " lost, " << found.gained << " gained, " << found.borderline
              << " at the threshold; mask IoU at least " << found.smallest_mask_iou
              << ", score error up to " << found.largest_score_error << ", box error up to "
              << found.largest_box_error << " pixels\n"
              << (undecidable ? "end to end undecidable: rounding the weights alone changes the "
                                "results of the float32 reference\n"
                              : "")
              << (ok ? "passed\n" : "FAILED: ");
    if (!passed(reports)) std::cout << summary(reports) << "; ";
    if (!ok) {
      for (const std::string& problem : result.problems) std::cout << problem << "; ";
      std::cout << "\n";
    }
  }
  if (!ok) context.exit_code = kFailedExitCode;
}

}  // namespace

void add_verify_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* command =
      app.add_subcommand("verify", "Hold engines against the float32 graphs on the CPU");
  command->add_option("--model", options->model, "Folder of engines")->required();
  command->add_option("--reference", options->reference,
                      "Folder of the exported graphs (default: the folder of --model)");
  add_list(*command, "--image", options->verifier.images,
           "Photographs, besides the built-in pictures (default: those in test_images)");
  add_list(*command, "--text", options->verifier.texts, "What to look for in them");
  command->add_option("--recipes", options->recipes,
                      "Precision recipes that the engines were built with, unless built-in ones");
  command->add_option("--gate", options->verifier.gate,
                      "Limits in place of the built-in ones (docs/verification.md)");
  command
      ->add_option("--threads", options->verifier.threads,
                   "Processor threads of the reference; 0 is OpenVINO's choice")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command->footer(
      "Example:\n  sam3trt verify --model engines --reference models/sam3_onnx --image "
      "street.jpg --text dog");
  command->callback([options, &context]() { run_verify(*options, context); });
}

}  // namespace sam3trt
