#include <algorithm>
#include <atomic>
#include <csignal>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/mapped_file.hpp"
#include "build/model_build.hpp"
#include "cache_folder.hpp"
#include "commands.hpp"
#include "onnx/graph_info.hpp"
#include "progress.hpp"
#include "runtime/float32_engine.hpp"
#include "segmenter/engines.hpp"
#include "trt/layers.hpp"
#include "trt/tensorrt_engine.hpp"
#include "verifier.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

struct BuildOptions {
  std::string onnx;
  std::string output;
  bool fp32 = false;
  bool fp16 = false;
  bool bf16 = false;
  bool fp8 = false;
  std::string target = "tensorrt";
  std::string compute_capability;
  std::string recipes;
  EngineLimits limits;
  uint64_t workspace_megabytes = 0;
  int optimization_level = 3;
  bool verify = true;
  VerifierOptions verifier;
};

/// Set by Ctrl-C; the build stops at its next step.
std::atomic<bool> interrupted = false;

class InterruptGuard {
 public:
  InterruptGuard() : previous_(std::signal(SIGINT, [](int) { interrupted = true; })) {}
  ~InterruptGuard() { std::signal(SIGINT, previous_); }
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

 private:
  void (*previous_)(int);
};

/// One graph of the work list.
struct Job {
  fs::path onnx;
  fs::path engine;
};

struct Work {
  std::vector<Job> jobs;
  bool is_model = false;     ///< All parts of one, in one folder.
  fs::path tokenizer;  ///< Empty: none goes with it.
  fs::path tokenizer_output;
};

Precision precision_of(const BuildOptions& options) {
  const int given = static_cast<int>(options.fp32) + static_cast<int>(options.fp16) +
                    static_cast<int>(options.bf16) + static_cast<int>(options.fp8);
  if (given > 1) throw_bad_input("give one of --fp32, --fp16, --bf16 and --fp8");
  if (options.fp32) return Precision::kFp32;
  if (options.bf16) return Precision::kBf16;
  return options.fp8 ? Precision::kFp8 : Precision::kFp16;
}

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

std::string component_of(const fs::path& onnx) {
  const GraphInfo info = read_graph_info(onnx);
  const auto found = info.metadata.find("sam3trt.component");
  return found == info.metadata.end() ? "" : found->second;
}

/// A detector brings its parts, which lie beside it (docs/graphs.md).
void add_detector(Work& work, const fs::path& onnx, const fs::path& engine) {
  const auto beside = [](const fs::path& path, const std::string& suffix) {
    return path.parent_path() / (path.stem().string() + suffix);
  };
  work.jobs.push_back({onnx, engine});
  for (const std::string part : {"text_encoder", "geometry_encoder", "mask_head"}) {
    const fs::path graph = beside(onnx, "." + part + ".onnx");
    if (component_of(graph) != part) {
      throw_bad_input(graph.string() + ": expected the " + part + " of " + onnx.string() +
                      "; export the detector again");
    }
    work.jobs.push_back({graph, beside(engine, "." + part + ".engine")});
  }
  work.tokenizer = beside(onnx, ".tokenizer.json");
  work.tokenizer_output = beside(engine, ".tokenizer.json");
}

Work list_work(const BuildOptions& options) {
  Work work;
  const fs::path onnx = options.onnx;
  const fs::path output = options.output;
  std::error_code error;
  if (fs::is_directory(onnx, error)) {
    const ModelFiles files = find_model_files(onnx, ModelForm::kGraphs);
    fs::create_directories(output, error);
    if (error) throw_bad_input("--output " + output.string() + ": " + error.message());
    work.jobs.push_back(
        {files.vision_encoder, output / (files.vision_encoder.stem().string() + ".engine")});
    add_detector(work, files.detector, output / (files.detector.stem().string() + ".engine"));
    work.is_model = true;
    return work;
  }
  if (output.extension() != ".engine") {
    throw_bad_input("--output " + output.string() + ": expected a name that ends in .engine");
  }
  if (!output.parent_path().empty()) fs::create_directories(output.parent_path(), error);
  if (component_of(onnx) == "detector") {
    add_detector(work, onnx, output);
  } else {
    work.jobs.push_back({onnx, output});
  }
  return work;
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
    const auto engine = with_float32_tensors(
        make_tensorrt_engine(std::move(loaded), name, host.device));
    const auto reports = verifier.verify(component, *engine, recipe.precision, typed);
    log(LogLevel::kInfo, recipe.name + ": " + summary(reports) + "\n" + to_table(reports));
    double deviation = 0;
    for (const OutputReport& report : reports) {
      deviation = std::max(deviation, report.difference.deviation);
    }
    return BuildVerdict{passed(reports), summary(reports), to_json(reports), fused, deviation};
  };
}

/// "6 of 6 attentions fused, "; empty where that is not known.
std::string attention_text(const EngineManifest& manifest) {
  if (!manifest.fused_attentions) return {};
  return std::to_string(*manifest.fused_attentions) + " of " + std::to_string(manifest.attentions) +
         " attentions fused, ";
}

nlohmann::ordered_json describe(const ModelPart& part) {
  const EngineManifest& manifest = part.result.manifest;
  return {{"engine", part.request.output.string()},
          {"bytes", manifest.plan_bytes},
          {"precision", manifest.precision},
          {"recipe", manifest.recipe},
          {"attentions", manifest.attentions},
          {"fused_attentions", manifest.fused_attentions
                                   ? nlohmann::ordered_json(*manifest.fused_attentions)
                                   : nlohmann::ordered_json(nullptr)},
          {"verification", name_of(manifest.verification)},
          {"refused", part.result.refused}};
}

void copy_tokenizer(const Work& work) {
  if (work.tokenizer.empty()) return;
  const MappedFile file(work.tokenizer);
  AtomicFile copy(work.tokenizer_output);
  copy.write(file.bytes());
  copy.commit();
}

/// Builds engines, and says what came out.
class Builder {
 public:
  Builder(const BuildOptions& options, const Work& work, bool json) : options_(options), json_(json) {
    if (options.target == "rtx") {
      api_ = load_tensorrt_rtx(true);
    } else {
      host_ = open_tensorrt(true);
      api_ = host_->api;
    }
    const bool calibrates = precision_of(options) == Precision::kFp8;
    const bool foreign = component_of(work.jobs.front().onnx).empty();
    if (!foreign && (verifies() || calibrates)) {
      verifier_.emplace(find_exported_model(work.jobs.front().onnx), options.verifier);
    }
  }

  [[nodiscard]] bool verifies() const { return host_ && options_.verify; }

  [[nodiscard]] EngineBuildRequest request_for(const Job& job) {
    EngineBuildRequest request = make_request(options_, job);
    if (host_) {
      request.gpu = host_->device.info().name;
      request.gpu_compute_capability = host_->device.info().compute_capability();
    }
    if (!verifier_) return request;
    request.calibrate = [this](const fs::path& onnx, const Recipe& recipe) {
      return verifier_->calibrate(onnx, recipe);
    };
    if (verifies()) add_verification(request, *host_, *verifier_);
    return request;
  }

  [[nodiscard]] EngineBuildResult build(EngineBuildRequest request) {
    log(LogLevel::kInfo, "building " + request.output.string() + " in " +
                             std::string(name_of(request.precision)) + " with " +
                             std::string(name_of(api_->flavour())) + " " + api_->version());
    ProgressBar bar(request.output.filename().string(), 100);
    request.progress = [&bar](std::string_view phase, int step, int steps) {
      // The outer phases have the longest names; tactics are where the time goes.
      if (steps > 0 && phase.find("Tactic") == std::string_view::npos) {
        bar.set(static_cast<uint64_t>(100LL * step / steps));
      }
      return !interrupted.load();
    };
    EngineBuildResult result = build_engine(*api_, request);
    if (!json_) {
      std::cout << request.output.string() << ": " << result.manifest.recipe << ", "
                << result.manifest.plan_bytes / 1000000 << " MB, "
                << attention_text(result.manifest)
                << "verification: " << name_of(result.manifest.verification) << std::endl;
    }
    return result;
  }

  /// What is wrong with the engines in this folder together; empty when nothing is.
  [[nodiscard]] std::string check(const fs::path& folder) {
    const ResultReport report =
        verifier_->verify_results(find_model_files(folder), {}, precision_of(options_));
    std::string problems;
    for (const std::string& problem : report.problems) {
      problems += (problems.empty() ? "" : "; ") + problem;
    }
    return problems;
  }

 private:
  const BuildOptions& options_;
  bool json_;
  std::unique_ptr<TensorRtHost> host_;
  std::shared_ptr<TensorRtApi> api_;
  std::optional<Verifier> verifier_;
};

void run_build(const BuildOptions& options, const CommandContext& context) {
  static_cast<void>(capability_of(options));
  static_cast<void>(precision_of(options));
  const Work work = list_work(options);
  const InterruptGuard guard;
  Builder builder(options, work, context.json);
  std::vector<ModelPart> parts;
  for (const Job& job : work.jobs) {
    EngineBuildRequest request = builder.request_for(job);
    EngineBuildResult result = builder.build(request);
    parts.push_back({std::move(request), std::move(result)});
  }
  copy_tokenizer(work);
  if (work.is_model && builder.verifies()) {
    repair_model(
        parts, [&] { return builder.check(options.output); },
        [&](const EngineBuildRequest& request) { return builder.build(request); },
        [](const std::string& message) { log(LogLevel::kWarning, message); });
    if (!context.json) std::cout << "end to end: the results of the float32 reference\n";
  }
  if (!context.json) return;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ModelPart& part : parts) list.push_back(describe(part));
  std::cout << nlohmann::ordered_json{{"engines", list}}.dump(2) << "\n";
}

void add_size_options(CLI::App& command, BuildOptions& options) {
  const CLI::Range sizes(1, 4096);
  command.add_option("--max-batch", options.limits.images, "Images in one call")
      ->check(sizes)
      ->capture_default_str();
  command.add_option("--max-prompts", options.limits.prompts, "Prompts in one call")
      ->check(sizes)
      ->capture_default_str();
  command
      .add_option("--tune-batch", options.limits.tuned_images,
                  "Images in one call that it shall be fastest for")
      ->check(sizes)
      ->capture_default_str();
  command
      .add_option("--tune-prompts", options.limits.tuned_prompts,
                  "Prompts in one call that it shall be fastest for")
      ->check(sizes)
      ->capture_default_str();
  command.add_option("--max-boxes", options.limits.boxes, "Exemplar boxes of a prompt")
      ->check(sizes)
      ->capture_default_str();
  command
      .add_option("--max-masks", options.limits.masks,
                  "Masks of a prompt in one call; 0: as many as the model has queries")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command
      .add_option("--workspace", options.workspace_megabytes,
                  "MiB of GPU memory for the build; 0: TensorRT's choice")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command.add_option("--optimization-level", options.optimization_level, "0 (fast build) to 5")
      ->check(CLI::Range(0, 5))
      ->capture_default_str();
}

}  // namespace

void add_build_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<BuildOptions>();
  CLI::App* command = app.add_subcommand("build", "Make verified TensorRT engines of ONNX graphs");
  command
      ->add_option("--onnx", options->onnx,
                   "A graph that 'sam3trt export' wrote, or the folder of all")
      ->required();
  command->add_option("--output", options->output, "FILE.engine, or a folder for a folder")
      ->required();
  command->add_flag("--fp32", options->fp32, "float32 throughout");
  command->add_flag("--fp16", options->fp16, "float16 where it is safe (default)");
  command->add_flag("--bf16", options->bf16, "bfloat16 where it is safe");
  command->add_flag("--fp8", options->fp8, "FP8 products in the vision encoder, else float16");
  command->add_option("--target", options->target, "Whose engine: tensorrt, or rtx")
      ->check(CLI::IsMember({"tensorrt", "rtx"}))
      ->capture_default_str();
  command->add_option("--compute-capability", options->compute_capability,
                      "With --target rtx: of the GPU it is for, such as 8.9; needs no GPU here");
  command->add_option("--recipes", options->recipes,
                      "Precision recipes in place of the built-in ones (docs/precision.md)");
  add_size_options(*command, *options);
  command->add_flag("!--skip-verification", options->verify,
                    "Leave the engine unverified; 'infer' then refuses it");
  command->add_option("--image", options->verifier.images,
                      "Photographs for verification and calibration (default: those in "
                      "test_images)");
  command->add_option("--text", options->verifier.texts, "What to look for in them");
  command->add_option("--gate", options->verifier.gate,
                      "Limits in place of the built-in ones (docs/verification.md)");
  command->footer(
      "Example:\n  sam3trt build --onnx models/sam3_vision_encoder.onnx --output "
      "engines/sam3_vision_encoder.engine --fp16");
  command->callback([options, &context]() { run_build(*options, context); });
}

}  // namespace sam3trt
