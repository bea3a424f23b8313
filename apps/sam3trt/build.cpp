#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "arguments.hpp"
#include "base/cache_folder.hpp"
#include "base/error.hpp"
#include "commands.hpp"
#include "compile/builder.hpp"
#include "compile/compile_apart.hpp"
#include "progress.hpp"
#include "track_frames_option.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

/// What the command line says.
struct BuildOptions {
  BuildRequest request;
  bool fp32 = false;
  bool fp16 = false;
  bool bf16 = false;
  bool fp8 = false;
  std::string target = "tensorrt";
  std::string compute_capability;
  std::string recipes;
  std::string gate;
  uint64_t workspace_megabytes = 0;
};

/// The one that was asked for; fp16 by default.
Precision precision_of(const BuildOptions& options) {
  const int given = static_cast<int>(options.fp32) + static_cast<int>(options.fp16) +
                    static_cast<int>(options.bf16) + static_cast<int>(options.fp8);
  if (given > 1) throw_bad_input("give one of --fp32, --fp16, --bf16 and --fp8");
  if (options.fp32) return Precision::kFp32;
  if (options.bf16) return Precision::kBf16;
  return options.fp8 ? Precision::kFp8 : Precision::kFp16;
}

/// "8.9" as 89.
int parse_capability(const std::string& text) {
  const size_t dot = text.find('.');
  const bool digits = dot != std::string::npos && dot > 0 && dot + 2 == text.size() &&
                      text.find_first_not_of("0123456789.") == std::string::npos && dot <= 2;
  if (!digits) {
    throw_bad_input("--compute-capability: expected something like 8.9, found '" + text + "'");
  }
  return std::stoi(text.substr(0, dot)) * 10 + (text.back() - '0');
}

BuildRequest request_of(const BuildOptions& options) {
  BuildRequest request = options.request;
  request.precision = precision_of(options);
  request.target = options.target == "rtx" ? BuildTarget::kTensorRtRtx : BuildTarget::kTensorRt;
  if (!options.compute_capability.empty()) {
    request.compute_capability = parse_capability(options.compute_capability);
  }
  if (!options.recipes.empty()) request.recipes = RecipeBook::load(options.recipes);
  if (!options.gate.empty()) request.verifier.gate = Gate::load(options.gate);
  request.workspace_bytes = options.workspace_megabytes << 20U;
  request.verifier.cache = user_cache_folder();
  request.program = "/proc/self/exe";
  return request;
}

/// "6 of 6 attentions fused, "; empty where that is not known.
std::string attention_text(const EngineManifest& manifest) {
  if (!manifest.fused_attentions) return {};
  return std::to_string(*manifest.fused_attentions) + " of " + std::to_string(manifest.attentions) +
         " attentions fused, ";
}

void print_built(const ModelPart& part) {
  const EngineManifest& manifest = part.result.manifest;
  std::cout << part.request.output.string() << ": " << manifest.recipe << ", "
            << manifest.plan_bytes / 1000000 << " MB, " << attention_text(manifest)
            << "verification: " << name_of(manifest.verification)
            << (part.result.up_to_date ? "; it is up to date (--force builds it again)" : "")
            << std::endl;
}

/// One bar for all engines in work; of several, how far they are on average.
class BuildProgressBar {
 public:
  void set(const fs::path& engine, double done) {
    const std::lock_guard lock(mutex_);
    if (!done_.contains(engine)) bar_.reset();
    done_[engine] = done;
    if (!bar_) {
      bar_.emplace(done_.size() == 1 ? engine.filename().string()
                                     : std::to_string(done_.size()) + " engines",
                   100);
    }
    double sum = 0;
    for (const auto& [other, part] : done_) sum += part;
    bar_->set(static_cast<uint64_t>(100 * sum / static_cast<double>(done_.size())));
  }

  void end(const fs::path& engine) {
    const std::lock_guard lock(mutex_);
    done_.erase(engine);
    bar_.reset();
  }

 private:
  std::mutex mutex_;  // TensorRT calls from its own threads
  std::optional<ProgressBar> bar_;
  std::map<fs::path, double> done_;
};

void run_build(const BuildOptions& options, const CommandContext& context) {
  BuildRequest request = request_of(options);
  for (const std::string& file : {options.recipes, options.gate, context.config}) {
    if (!file.empty()) request.also_read.emplace_back(file);
  }
  BuildProgressBar bar;
  BuildEvents events;
  events.progress = [&](const fs::path& engine, double done) { bar.set(engine, done); };
  events.built = [&](const ModelPart& part) {
    bar.end(part.request.output);
    if (!context.json) print_built(part);
  };
  const BuildOutcome outcome = build_engines(request, events);
  if (!context.json) {
    std::cout << "end to end: " << outcome.end_to_end.verdict << ": " << outcome.end_to_end.text
              << "\n";
    return;
  }
  std::cout << to_json(outcome) << "\n";
}

void add_size_options(CLI::App& command, BuildOptions& options) {
  const CLI::Range sizes(1, 4096);
  const CLI::Range tuned(0, 4096);
  command.add_option("--max-batch", options.request.limits.images, "Images in one call")
      ->check(sizes)
      ->capture_default_str();
  command.add_option("--max-prompts", options.request.limits.prompts, "Prompts in one call")
      ->check(sizes)
      ->capture_default_str();
  command
      .add_option("--tune-batch", options.request.limits.tuned_images,
                  "Images in one call that engines for several are tuned for; 0: the largest")
      ->check(tuned)
      ->capture_default_str();
  command
      .add_option("--tune-prompts", options.request.limits.tuned_prompts,
                  "Prompts in one call that engines for several are tuned for; 0: the largest")
      ->check(tuned)
      ->capture_default_str();
  command.add_option("--max-boxes", options.request.limits.boxes, "Exemplar boxes of a prompt")
      ->check(sizes)
      ->capture_default_str();
  command
      .add_option("--max-masks", options.request.limits.masks,
                  "Masks of a prompt in one call; 0: as many as the model has queries")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command
      .add_option("--max-objects", options.request.limits.objects,
                  "Objects in one call of the components of clicks and videos")
      ->check(sizes)
      ->capture_default_str();
  command
      .add_option("--tune-objects", options.request.limits.tuned_objects,
                  "Objects in one call that engines for several are tuned for; 0: the largest, 4 "
                  "for memory attention")
      ->check(tuned)
      ->capture_default_str();
  command
      .add_option("--max-points", options.request.limits.points,
                  "Points of an object in one call, two for a box and the padding counted")
      ->check(CLI::Range(4, 4096))
      ->capture_default_str();
  command
      .add_option("--max-pointers", options.request.limits.pointers,
                  "Earlier frames of an object whose pointers a frame of a video sees")
      ->check(CLI::Range(4, 4096))
      ->capture_default_str();
  command
      .add_option("--workspace", options.workspace_megabytes,
                  "MiB of GPU memory for the build; 0: TensorRT's choice")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--optimization-level", options.request.optimization_level, "0 (fast build) to 5")
      ->check(CLI::Range(0, 5))
      ->capture_default_str();
}

}  // namespace

void add_build_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<BuildOptions>();
  CLI::App* command = app.add_subcommand("build", "Make verified TensorRT engines of ONNX graphs");
  command
      ->add_option("--onnx", options->request.onnx,
                   "A graph, or the folder of all that 'sam3trt export' wrote")
      ->required();
  command->add_option("--output", options->request.output, "FILE.engine, or a folder for a folder")
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
  command
      ->add_option("--jobs", options->request.jobs,
                   "Engines that are built at the same time, each in a process of its own")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_flag("--force", options->request.force,
                    "Build and check again what is up to date, with all recipes in their order");
  command->add_flag("!--skip-verification", options->request.verify,
                    "Leave the engine unverified; 'infer' then refuses it");
  add_list(*command, "--image", options->request.verifier.images,
           "Images for verification and calibration, besides three drawn ones (default: "
           "three photographs inside the program)");
  add_list(*command, "--text", options->request.verifier.texts, "What to look for in them");
  add_track_frames_option(*command, options->request.verifier.track_frames);
  command->add_option("--gate", options->gate,
                      "Limits in place of the built-in ones (docs/verification.md)");
  command->footer(
      "Example:\n  sam3trt build --onnx models/sam3_vision_encoder.onnx --output "
      "engines/sam3_vision_encoder.engine --fp16");
  command->callback([options, &context]() { run_build(*options, context); });

  auto settings = std::make_shared<fs::path>();
  CLI::App* compiler = app.add_subcommand("compile-plan", "What 'build --jobs' starts");
  compiler->group("");
  compiler->add_option("settings", *settings, "Written by 'build'")->required();
  compiler->footer("Example:\n  sam3trt build --onnx models --output engines --jobs 4");
  compiler->callback(
      [settings, &context]() { context.exit_code = run_compiler(*settings, std::cout); });
}

}  // namespace sam3trt
