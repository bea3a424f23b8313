#include "builder.hpp"

#include <algorithm>
#include <iostream>

#include "base/error.hpp"
#include "base/log.hpp"
#include "cache_folder.hpp"
#include "cuda/operators.hpp"
#include "onnx/graph_info.hpp"
#include "progress.hpp"
#include "runtime/float32_engine.hpp"
#include "segmenter/batched_inputs.hpp"
#include "trt/layers.hpp"
#include "trt/plan_timer.hpp"
#include "trt/tensorrt_engine.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

/// "8.9" as 89; 0 for the GPU of this machine.
int capability_of(const BuildOptions& options) {
  const std::string& text = options.compute_capability;
  if (text.empty()) return 0;
  if (options.target != "rtx") {
    throw_bad_input(
        "--compute-capability: TensorRT builds for the GPU of this machine; it goes "
        "with --target rtx");
  }
  const size_t dot = text.find('.');
  const bool digits = dot != std::string::npos && dot > 0 && dot + 2 == text.size() &&
                      text.find_first_not_of("0123456789.") == std::string::npos && dot <= 2;
  if (!digits) {
    throw_bad_input("--compute-capability: expected something like 8.9, found '" + text + "'");
  }
  return std::stoi(text.substr(0, dot)) * 10 + (text.back() - '0');
}

EngineBuildRequest make_request(const BuildOptions& options, const Job& job) {
  EngineBuildRequest request;
  request.onnx = job.onnx;
  request.output = job.engine;
  request.precision = precision_of(options);
  if (!options.recipes.empty()) request.recipes = RecipeBook::load(options.recipes);
  request.limits = options.limits;
  request.optimization_level = options.optimization_level;
  request.workspace_bytes = options.workspace_megabytes << 20U;
  request.compute_capability = capability_of(options);
  if (const fs::path cache = user_cache_folder(); !cache.empty()) request.cache = cache / "timing";
  request.report = [](const std::string& message) { log(LogLevel::kWarning, message); };
  return request;
}

/// Makes the build verify its engines, which needs a GPU that runs them.
void add_verification(EngineBuildRequest& request, TensorRtHost& host, Verifier& verifier) {
  request.verify = [name = request.output.string(), &host, &verifier](
                       const Plan& plan, const Recipe& recipe, const fs::path& typed) {
    const std::string component = component_of(typed);
    auto loaded = host.api->load(plan.bytes, ActivationMemory::kOwn);
    const int64_t fused = count_fused_attentions(loaded->layers_json());
    PlanTimer timer(host.device, *loaded, batched_inputs_of(component));
    const double milliseconds = timer.time_plain(1, {}).median;
    const auto engine =
        with_float32_tensors(make_tensorrt_engine(std::move(loaded), name, host.device));
    const auto reports = verifier.verify(component, *engine, recipe.precision, typed);
    log(LogLevel::kInfo, recipe.name + ": " + summary(reports) + "\n" + to_table(reports));
    double deviation = 0;
    for (const OutputReport& report : reports) {
      deviation = std::max(deviation, report.difference.deviation);
    }
    return BuildVerdict{passed(reports), summary(reports), to_json(reports),
                        fused,           deviation,        milliseconds};
  };
}

/// "6 of 6 attentions fused, "; empty where that is not known.
std::string attention_text(const EngineManifest& manifest) {
  if (!manifest.fused_attentions) return {};
  return std::to_string(*manifest.fused_attentions) + " of " + std::to_string(manifest.attentions) +
         " attentions fused, ";
}

/// The problems of a report as one line; empty when there are none.
std::string in_one_line(const ResultReport& report) {
  std::string problems;
  for (const std::string& problem : report.problems) {
    problems += (problems.empty() ? "" : "; ") + problem;
  }
  return problems;
}

}  // namespace

Precision precision_of(const BuildOptions& options) {
  const int given = static_cast<int>(options.fp32) + static_cast<int>(options.fp16) +
                    static_cast<int>(options.bf16) + static_cast<int>(options.fp8);
  if (given > 1) throw_bad_input("give one of --fp32, --fp16, --bf16 and --fp8");
  if (options.fp32) return Precision::kFp32;
  if (options.bf16) return Precision::kBf16;
  return options.fp8 ? Precision::kFp8 : Precision::kFp16;
}

std::string component_of(const fs::path& onnx) {
  const GraphInfo info = read_graph_info(onnx);
  const auto found = info.metadata.find("sam3trt.component");
  return found == info.metadata.end() ? "" : found->second;
}

Builder::Builder(const BuildOptions& options, const fs::path& first, bool json)
    : options_(options), json_(json) {
  static_cast<void>(capability_of(options));
  const bool calibrates = precision_of(options) == Precision::kFp8;
  if (options.target == "rtx") {
    api_ = load_tensorrt(true, TensorRtFlavour::kTensorRtRtx);
  } else {
    host_ = open_tensorrt(true);
    api_ = host_->api;
  }
  if (!component_of(first).empty() && (verifies() || calibrates)) {
    VerifierOptions verifier = options.verifier;
    verifier.limits.images = options.limits.images;
    verifier.limits.prompts = options.limits.prompts;
    verifier.limits.boxes = options.limits.boxes;
    verifier.limits.mask_prompts = mask_prompts(options.limits);
    if (options.limits.masks > 0) verifier.limits.masks = options.limits.masks;
    verifier_.emplace(find_exported_model(first), verifier);
  }
}

EngineBuildRequest Builder::request_for(const Job& job) {
  EngineBuildRequest request = make_request(options_, job);
  if (host_) {
    request.gpu = host_->device.info().name;
    request.gpu_compute_capability = host_->device.info().compute_capability();
    request.kernels_sha256 = operator_kernels_sha256();
  }
  if (!verifier_) return request;
  request.calibrate = [this](const fs::path& onnx, const Recipe& recipe) {
    return verifier_->calibrate(onnx, recipe);
  };
  if (verifies()) add_verification(request, *host_, *verifier_);
  return request;
}

EngineBuildResult Builder::build(EngineBuildRequest request) {
  log(LogLevel::kInfo, "building " + request.output.string() + " in " +
                           std::string(name_of(request.precision)) + " with " +
                           std::string(name_of(api_->flavour())) + " " + api_->version());
  ProgressBar bar(request.output.filename().string(), 100);
  request.progress = [&bar](std::string_view phase, int step, int steps) {
    // The outer phases have the longest names; tactics are where the time goes.
    if (steps > 0 && phase.find("Tactic") == std::string_view::npos) {
      bar.set(static_cast<uint64_t>(100LL * step / steps));
    }
    return true;
  };
  EngineBuildResult result = build_engine(*api_, request);
  if (!json_) {
    std::cout << request.output.string() << ": " << result.manifest.recipe << ", "
              << result.manifest.plan_bytes / 1000000 << " MB, " << attention_text(result.manifest)
              << "verification: " << name_of(result.manifest.verification) << std::endl;
  }
  return result;
}

std::string Builder::check_model() {
  return in_one_line(
      verifier_->verify_results(find_model_files(options_.output), {}, precision_of(options_)));
}

std::string Builder::check_rounded(const std::vector<ModelPart>& parts) {
  if (precision_of(options_) == Precision::kFp32) return {};
  log(LogLevel::kInfo, "running the reference with rounded weights on the CPU");
  std::map<std::string, Recipe> recipes;
  for (const ModelPart& part : parts) {
    const EngineManifest& manifest = part.result.manifest;
    recipes[manifest.component] = part.request.recipes.find(manifest.recipe);
  }
  return in_one_line(verifier_->verify_rounded(recipes, precision_of(options_)));
}

ModelVerdict Builder::verify_model(std::vector<ModelPart>& parts) {
  return repair_model(parts,
                      {[this] { return check_model(); }, [&] { return check_rounded(parts); },
                       [this](const EngineBuildRequest& request) { return build(request); },
                       [](const std::string& message) { log(LogLevel::kWarning, message); }});
}

}  // namespace sam3trt
