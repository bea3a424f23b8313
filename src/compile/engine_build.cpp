#include "compile/engine_build.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <set>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/mapped_file.hpp"
#include "base/output_check.hpp"
#include "base/sha256.hpp"
#include "compile/recipe_memory.hpp"
#include "compile/up_to_date.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : ".";
}

/// "NVIDIA_H200-TensorRT_10-10.6.0-detector.timing": measured kernel times hold for one GPU and
/// version. Each component has a file of its own, so that builds side by side do not undo each
/// other's.
fs::path timing_cache_path(const TensorRtApi& api, const EngineBuildRequest& request,
                           const std::string& component) {
  if (request.cache.empty()) return {};
  std::string name = request.gpu + "-" + std::string(name_of(api.flavour())) + "-" + api.version() +
                     (component.empty() ? "" : "-" + component) + ".timing";
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-') c = '_';
  }
  return request.cache / name;
}

std::vector<std::byte> read_if_there(const fs::path& path) {
  std::error_code ignored;
  if (path.empty() || !fs::is_regular_file(path, ignored)) return {};
  const MappedFile file(path);
  return {file.bytes().begin(), file.bytes().end()};
}

void save(const fs::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

/// A timing cache only saves time: a folder that cannot be written must not fail a build.
void save_timing_cache(const fs::path& path, std::span<const std::byte> bytes) {
  if (path.empty() || bytes.empty()) return;
  try {
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    save(path, bytes);
  } catch (const Error& error) {
    log(LogLevel::kWarning, std::string("the timing cache was not kept: ") + error.what());
  }
}

/// What any recipe of the book may quantise, so that one calibration serves all of them.
Recipe widest(const EngineBuildRequest& request, Recipe recipe, const std::string& component) {
  std::vector<std::string>& patterns = recipe.fp8[component];
  for (const Recipe& other : request.recipes.variants(request.precision)) {
    const auto found = other.fp8.find(component);
    if (found == other.fp8.end()) continue;
    for (const std::string& pattern : found->second) {
      if (std::ranges::find(patterns, pattern) == patterns.end()) patterns.push_back(pattern);
    }
  }
  return recipe;
}

/// The one beside the graph if it was made with the same graph and images, else a new one.
std::optional<Calibration> calibration_for(const EngineBuildRequest& request,
                                           const GraphInfo& graph, const std::string& graph_sha256,
                                           const Recipe& recipe) {
  const std::string component = graph.metadata.at("sam3trt.component");
  if (!recipe.quantises(component)) return std::nullopt;
  const auto semantics = graph.metadata.find("sam3trt.semantics");
  CalibrationInputs inputs{graph_sha256, semantics == graph.metadata.end() ? "" : semantics->second,
                           request.calibration_images};
  const fs::path beside = Calibration::path_beside(request.onnx);
  std::error_code ignored;
  if (fs::is_regular_file(beside, ignored)) {
    Calibration calibration = Calibration::load(beside);
    if (!request.calibrate) inputs.images = calibration.inputs.images;
    if (calibration.inputs == inputs) return calibration;
    log(LogLevel::kInfo, beside.string() + ": was made with other images or another graph");
  }
  if (!request.calibrate) {
    throw_bad_input(request.onnx.string() +
                    ": FP8 needs a calibration of this graph; there is no " + "such " +
                    beside.string());
  }
  Calibration calibration = request.calibrate(request.onnx, widest(request, recipe, component));
  calibration.inputs = std::move(inputs);
  calibration.save(beside);
  return calibration;
}

/// All but the recipe.
EngineManifest describe(const TensorRtApi& api, const EngineBuildRequest& request,
                        const GraphInfo& graph, std::string graph_sha256,
                        std::span<const Profile> profiles) {
  EngineManifest manifest;
  manifest.metadata = graph.metadata;
  manifest.graph_sha256 = std::move(graph_sha256);
  manifest.precision = name_of(request.precision);
  manifest.request_sha256 = request_sha256_of(api, request, graph);
  manifest.flavour = name_of(api.flavour());
  manifest.tensorrt_version = api.version();
  if (request.compute_capability == 0) {
    manifest.gpu = request.gpu;
    manifest.compute_capability = request.gpu_compute_capability;
  } else {
    manifest.compute_capability = std::to_string(request.compute_capability / 10) + "." +
                                  std::to_string(request.compute_capability % 10);
  }
  for (const Profile& profile : profiles) {
    auto& shapes = manifest.profiles.emplace_back();
    for (const auto& [name, shape] : profile) shapes[name] = {shape.min, shape.opt, shape.max};
  }
  return manifest;
}

/// The manifest first: an engine without one is refused, a manifest without its engine harms
/// nothing.
void write_engine(const fs::path& output, const Plan& plan, EngineManifest& manifest) {
  manifest.plan_bytes = plan.bytes.size();
  manifest.plan_sha256 = sha256_hex(plan.bytes);
  manifest.plan_pieces_sha256 = sha256_of_pieces(plan.bytes);
  AtomicFile engine(output);
  engine.write(plan.bytes);
  engine.flush();
  const WritingLock lock;
  manifest.save(output);
  engine.commit();
}

void check_output(const EngineBuildRequest& request) {
  const std::string option = "--output " + request.output.string();
  OutputCheck check;
  check.reads(request.onnx, "graph " + request.onnx.string());
  check.reads(request.onnx.string() + ".data", "weights " + request.onnx.string() + ".data");
  check.writes(request.output, option);
  check.writes(EngineManifest::path_beside(request.output), option);
}

/// Compiles with the timing cache of this GPU and version.
Plan compile(TensorRtApi& api, const EngineBuildRequest& request, const fs::path& onnx,
             const std::string& component, const std::vector<Profile>& profiles,
             PlanSettings settings) {
  if (request.compiling) request.compiling();
  const fs::path cache = timing_cache_path(api, request, component);
  settings.profiles = profiles;
  settings.optimization_level = request.optimization_level;
  settings.workspace_bytes = request.workspace_bytes;
  settings.compute_capability = request.compute_capability;
  settings.timing_cache = read_if_there(cache);
  settings.progress = request.progress;
  Plan plan = api.build(onnx, settings);
  save_timing_cache(cache, plan.timing_cache);
  return plan;
}

/// TensorRT-RTX has no plugins.
Recipe for_library(const Recipe& recipe, const TensorRtApi& api) {
  return api.flavour() == TensorRtFlavour::kTensorRtRtx ? recipe.with_standard_operators() : recipe;
}

/// The typed graph for programs that do not know this one's own operators.
fs::path standard_graph(const EngineBuildRequest& request, const Recipe& recipe,
                        const std::optional<Calibration>& calibration, const fs::path& typed) {
  if (recipe.fused.empty() && recipe.products.empty()) return typed;
  fs::path path = typed.parent_path() / "standard.onnx";
  static_cast<void>(write_typed_graph(request.onnx, path, recipe.with_standard_operators(),
                                      calibration ? &*calibration : nullptr));
  return path;
}

std::string cost_of_repair(const fs::path& output, const std::string& recipe, double fastest,
                           double milliseconds) {
  std::array<char, 96> text{};
  std::snprintf(text.data(), text.size(),
                " takes %.2f ms per call, the first that was refused %.2f", milliseconds, fastest);
  return output.string() + ": recipe " + recipe + text.data();
}

/// A graph of another program has no recipe, and no reference that its engine could be held
/// against.
EngineBuildResult build_foreign(TensorRtApi& api, const EngineBuildRequest& request,
                                const GraphInfo& graph) {
  if (request.precision == Precision::kBf16 || request.precision == Precision::kFp8) {
    throw_bad_input(request.onnx.string() + ": 'sam3trt export' did not write it, so it can be " +
                    "built with --fp32 or --fp16 only");
  }
  const bool weakly_typed =
      request.precision == Precision::kFp16 && api.flavour() == TensorRtFlavour::kTensorRt10;
  if (request.report) {
    request.report(request.onnx.string() + ": 'sam3trt export' did not write it; its engine " +
                   (weakly_typed ? "computes in float16 wherever TensorRT likes"
                                 : "computes in the types of the graph") +
                   ", and nothing verifies its results");
  }
  const auto profiles = make_foreign_profiles(graph, request.limits);
  PlanSettings settings;
  settings.strongly_typed = !weakly_typed;
  const Plan plan = compile(api, request, request.onnx, {}, profiles, settings);
  EngineBuildResult result;
  result.manifest = describe(api, request, graph, request.graph_sha256, profiles);
  result.manifest.recipe = weakly_typed ? "weakly typed" : "none";
  write_engine(request.output, plan, result.manifest);
  return result;
}

/// Whether a recipe whose products cuBLASLt computes says nothing here: a next one gives the same
/// graph, or one for which the library is not needed.
bool is_passed_over(const EngineBuildRequest& request, const TensorRtApi& api, const Recipe& recipe,
                    const std::string& component) {
  if (recipe.products.empty()) return false;
  if (!recipe.products.contains(component)) return true;
  return api.flavour() == TensorRtFlavour::kTensorRtRtx || request.cublaslt_version.empty();
}

void report_passed_over(const EngineBuildRequest& request, const TensorRtApi& api,
                        const Recipe& first, const std::string& component) {
  if (!request.report || !first.products.contains(component) || request.cublaslt_problem.empty() ||
      api.flavour() == TensorRtFlavour::kTensorRtRtx) {
    return;
  }
  request.report(request.output.string() + ": recipe " + first.name +
                 ", the fastest, is not tried: " + request.cublaslt_problem);
}

/// The recipes in the order to try them in.
std::vector<Recipe> recipes_to_try(const EngineBuildRequest& request, const TensorRtApi& api,
                                   const std::string& component,
                                   const std::optional<RecipeOutcome>& known) {
  const std::vector<Recipe>& all = request.recipes.variants(request.precision);
  report_passed_over(request, api, all.front(), component);
  std::vector<Recipe> variants;
  std::ranges::copy_if(all, std::back_inserter(variants), [&](const Recipe& recipe) {
    return !is_passed_over(request, api, recipe, component);
  });
  if (variants.empty()) {
    const bool needs_library = std::ranges::all_of(
        all, [&](const Recipe& recipe) { return recipe.products.contains(component); });
    if (needs_library && !request.cublaslt_problem.empty()) {
      throw Error(ErrorCode::kUnavailable, request.onnx.string() + ": all recipes call cuBLASLt: " +
                                               request.cublaslt_problem);
    }
    variants = all;  // of another component, or without these products
  }
  if (request.force || !request.after.empty()) return variants;
  std::vector<Recipe> order = order_recipes(variants, known);
  if (request.report && order.front().name != variants.front().name) {
    request.report(request.output.string() + ": recipe " + order.front().name +
                   " is tried first, because it passed for an earlier graph of these shapes and " +
                   variants.front().name +
                   " was refused or slower; --force tries all in their order");
  }
  return order;
}

/// What is known now: the recipe that passed, and those that were refused, in earlier builds too.
RecipeOutcome outcome_of(const std::optional<RecipeOutcome>& known,
                         const std::vector<std::string>& refused, const std::string& passed) {
  RecipeOutcome outcome{passed, refused};
  if (!known) return outcome;
  for (const std::string& recipe : known->refused) {
    if (recipe != passed && std::ranges::find(refused, recipe) == refused.end()) {
      outcome.refused.push_back(recipe);
    }
  }
  return outcome;
}

/// Of an engine that passed.
void set_verdict(EngineManifest& manifest, const BuildVerdict& verdict,
                 const std::vector<std::string>& refused) {
  manifest.fused_attentions = verdict.fused_attentions;
  manifest.verification_report = verdict.report;
  manifest.verification = VerificationState::kStages;
  manifest.refused = refused;
  manifest.deviation = verdict.deviation;
  manifest.milliseconds = verdict.milliseconds;
}

void report_unfused(const EngineBuildRequest& request, const EngineManifest& manifest) {
  const int64_t fused = manifest.fused_attentions.value_or(manifest.attentions);
  if (!request.report || fused >= manifest.attentions) return;
  request.report(request.output.string() + ": TensorRT fused " + std::to_string(fused) +
                 " of the " + std::to_string(manifest.attentions) + " attentions that recipe " +
                 manifest.recipe +
                 " leaves to it; the engine is right, but slower than it could be");
}

/// For the images that the first profile is best for.
ProductAlgorithms algorithms_for(const EngineBuildRequest& request,
                                 std::span<const Profile> profiles) {
  if (!request.choose_algorithms || profiles.empty() || profiles.front().empty()) return {};
  const Shape& opt = profiles.front().begin()->second.opt;
  const int64_t batch = opt.empty() ? 1 : opt.front();
  return [&choose = request.choose_algorithms, batch](const OwnProduct& product) {
    return choose(product, batch * product.tokens);
  };
}

/// One graph that `export` wrote.
class ExportedBuild {
 public:
  ExportedBuild(TensorRtApi& api, const EngineBuildRequest& request, const GraphInfo& graph)
      : api_(api),
        request_(request),
        graph_(graph),
        component_(graph.metadata.at("sam3trt.component")),
        profiles_(make_profiles(graph, request.limits)),
        memory_(request.verify ? recipe_memory_path(api, request, profiles_) : fs::path()),
        known_(recall_recipes(memory_)),
        skipped_(!request.after.empty()) {}

  EngineBuildResult run() {
    std::optional<Candidate> first;  // which may be slower than the next one
    for (const Recipe& variant : recipes_to_try(request_, api_, component_, known_)) {
      if (first && variant.products.contains(component_)) continue;
      std::optional<Candidate> candidate = build(variant);
      if (first) return finish(candidate ? faster(*first, *candidate) : *first);
      if (!candidate) continue;
      if (!is_in_doubt(variant, *candidate)) return finish(*candidate);
      first = std::move(candidate);
    }
    if (first) return finish(*first);
    std::string message = request_.onnx.string() + ": no engine in " +
                          std::string(name_of(request_.precision)) +
                          " gives the results of the float32 reference; try --fp32:";
    for (const std::string& reason : result_.refused) message += "\n  " + reason;
    throw Error(ErrorCode::kVerificationFailed, message);
  }

 private:
  /// An engine that passed, or that nothing verifies.
  struct Candidate {
    Plan plan;
    EngineManifest manifest;
    std::string variant;  ///< Hash of its recipe.
    double deviation = 0;
    std::optional<double> milliseconds;
  };

  /// Nothing when the engine is refused, or is that of a recipe before.
  std::optional<Candidate> build(const Recipe& variant) {
    const Recipe recipe = for_library(variant, api_);
    const TemporaryFolder folder(folder_of(request_.output));
    const fs::path typed = folder.path() / "typed.onnx";
    const auto calibration = calibration_for(request_, graph_, request_.graph_sha256, recipe);
    const TypedGraphReport report =
        write_typed_graph(request_.onnx, typed, recipe, calibration ? &*calibration : nullptr,
                          kInlineLimitBytes, algorithms_for(request_, profiles_));
    PlanSettings settings;
    settings.allow_tf32 = recipe.tf32.contains(component_);
    // Many variants differ in other components only.
    const std::string built = report.graph_sha256 + (settings.allow_tf32 ? " tf32" : "");
    if (!tried_.insert(built).second) return std::nullopt;
    if (skipped_) {
      skipped_ = recipe.name != request_.after;
      return std::nullopt;
    }
    Candidate candidate;
    candidate.plan = compile(api_, request_, typed, component_, profiles_, settings);
    candidate.variant = variant.sha256();
    EngineManifest& manifest = candidate.manifest;
    manifest = describe(api_, request_, graph_, request_.graph_sha256, profiles_);
    manifest.component = component_;
    manifest.recipe = recipe.name;
    manifest.recipe_sha256 = recipe.sha256();
    manifest.attentions = report.low_softmaxes;
    if (report.own_operators > 0) manifest.kernels_sha256 = request_.kernels_sha256;
    if (report.own_products > 0) manifest.cublaslt_version = request_.cublaslt_version;
    if (calibration) manifest.calibration_sha256 = calibration->sha256();
    if (!request_.verify) return candidate;
    const BuildVerdict verdict = request_.verify(
        candidate.plan, recipe, standard_graph(request_, recipe, calibration, typed));
    candidate.deviation = verdict.deviation;
    candidate.milliseconds = verdict.milliseconds;
    if (!verdict.passed) {
      result_.refused.push_back(recipe.name + ": " + verdict.summary);
      not_again_.push_back(candidate.variant);
      if (!fastest_) fastest_ = verdict.milliseconds;
      if (request_.report) request_.report("refused " + result_.refused.back());
      return std::nullopt;
    }
    set_verdict(manifest, verdict, result_.refused);
    return candidate;
  }

  /// Whether TensorRT's own products may be faster than cuBLASLt's on this GPU, as far as the book
  /// and an earlier build tell.
  [[nodiscard]] bool is_in_doubt(const Recipe& variant, const Candidate& candidate) const {
    return !candidate.manifest.cublaslt_version.empty() && candidate.milliseconds &&
           request_.after.empty() && !variant.faster_on.contains(request_.gpu_compute_capability) &&
           (request_.force || !known_ || known_->passed != candidate.variant);
  }

  /// Of one with cuBLASLt's products and one without.
  Candidate& faster(Candidate& with, Candidate& without) {
    if (!without.milliseconds) return with;
    const bool wins = *with.milliseconds <= *without.milliseconds;
    if (request_.report) {
      std::array<char, 160> text{};
      std::snprintf(text.data(), text.size(), "%.2f ms a call, %s %.2f; the faster one is kept",
                    *with.milliseconds, without.manifest.recipe.c_str(), *without.milliseconds);
      request_.report(request_.output.string() + ": recipe " + with.manifest.recipe + " takes " +
                      text.data());
    }
    if (!wins) not_again_.push_back(with.variant);
    return wins ? with : without;
  }

  EngineBuildResult finish(Candidate& chosen) {
    result_.deviation = chosen.deviation;
    result_.milliseconds = chosen.milliseconds;
    if (chosen.manifest.verification == VerificationState::kStages) {
      report_unfused(request_, chosen.manifest);
    }
    if (request_.report && fastest_ && chosen.milliseconds) {
      request_.report(
          cost_of_repair(request_.output, chosen.manifest.recipe, *fastest_, *chosen.milliseconds));
    }
    write_engine(request_.output, chosen.plan, chosen.manifest);
    result_.manifest = std::move(chosen.manifest);
    // A repair of a whole model says nothing of the recipes before it.
    if (request_.after.empty()) {
      remember_recipes(memory_, outcome_of(known_, not_again_, chosen.variant));
    }
    return std::move(result_);
  }

  TensorRtApi& api_;
  const EngineBuildRequest& request_;
  const GraphInfo& graph_;
  std::string component_;
  std::vector<Profile> profiles_;
  fs::path memory_;
  std::optional<RecipeOutcome> known_;
  EngineBuildResult result_;
  std::set<std::string> tried_;
  std::vector<std::string> not_again_;  ///< Hashes of recipes that were refused or slower.
  bool skipped_;
  std::optional<double> fastest_;  ///< Of the first that was refused.
};

}  // namespace

EngineBuildResult build_engine(TensorRtApi& api, const EngineBuildRequest& request) {
  const GraphInfo graph = read_graph_info(request.onnx);
  check_output(request);
  EngineBuildRequest known = request;
  if (known.graph_sha256.empty()) known.graph_sha256 = hash_graph(request.onnx);
  return graph.metadata.contains("sam3trt.component") ? ExportedBuild(api, known, graph).run()
                                                      : build_foreign(api, known, graph);
}

}  // namespace sam3trt
