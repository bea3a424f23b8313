#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "base/output_check.hpp"
#include "builder.hpp"
#include "commands.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

struct Work {
  std::vector<Job> jobs;
  bool is_model = false;  ///< All parts of one, in one folder.
  fs::path tokenizer;     ///< Empty: none goes with it.
  fs::path tokenizer_output;
};

/// A detector brings the components that lie beside it (docs/graphs.md).
void add_detector(Work& work, const fs::path& onnx, const fs::path& engine) {
  work.jobs.push_back({onnx, engine});
  for (const Component component : components_beside(Component::kDetector)) {
    const fs::path graph = path_beside(onnx, component);
    if (component_of(graph) != name_of(component)) {
      throw_bad_input(graph.string() + ": expected the " + std::string(name_of(component)) +
                      " of " + onnx.string() + "; export the detector again");
    }
    work.jobs.push_back({graph, path_beside(engine, component)});
  }
  work.tokenizer = tokenizer_beside(onnx);
  work.tokenizer_output = tokenizer_beside(engine);
}

Work list_work(const BuildOptions& options) {
  Work work;
  const fs::path onnx = options.onnx;
  const fs::path output = options.output;
  std::error_code error;
  if (fs::is_directory(onnx, error)) {
    const ModelFiles files = find_model_files(onnx, ModelForm::kGraphs);
    work.jobs.push_back(
        {files.at(Component::kVisionEncoder),
         output / (files.at(Component::kVisionEncoder).stem().string() + ".engine")});
    add_detector(work, files.at(Component::kDetector),
                 output / (files.at(Component::kDetector).stem().string() + ".engine"));
    work.is_model = true;
    return work;
  }
  if (output.extension() != ".engine") {
    throw_bad_input("--output " + output.string() + ": expected a name that ends in .engine");
  }
  if (component_of(onnx) == "detector") {
    add_detector(work, onnx, output);
  } else {
    work.jobs.push_back({onnx, output});
  }
  return work;
}

nlohmann::ordered_json describe(const ModelPart& part) {
  const EngineManifest& manifest = part.result.manifest;
  return {
      {"engine", part.request.output.string()},
      {"bytes", manifest.plan_bytes},
      {"precision", manifest.precision},
      {"recipe", manifest.recipe},
      {"attentions", manifest.attentions},
      {"fused_attentions", manifest.fused_attentions
                               ? nlohmann::ordered_json(*manifest.fused_attentions)
                               : nlohmann::ordered_json(nullptr)},
      {"verification", name_of(manifest.verification)},
      {"milliseconds", part.result.milliseconds ? nlohmann::ordered_json(*part.result.milliseconds)
                                                : nlohmann::ordered_json(nullptr)},
      {"refused", part.result.refused}};
}

fs::path folder_of(const BuildOptions& options, const Work& work) {
  if (work.is_model) return options.output;
  const fs::path output = options.output;
  return output.has_parent_path() ? output.parent_path() : ".";
}

/// Graphs and engines may share a folder, and so the tokenizer.
bool shares_tokenizer(const Work& work) {
  std::error_code error;
  return work.tokenizer.empty() || fs::equivalent(work.tokenizer, work.tokenizer_output, error);
}

/// No output is one of the inputs, and all can be written.
void check_outputs(const BuildOptions& options, const Work& work, const std::string& config) {
  OutputCheck check;
  for (const Job& job : work.jobs) {
    for (const char* suffix : {"", ".data"}) {
      check.reads(job.onnx.string() + suffix, "graph " + job.onnx.string() + suffix);
    }
  }
  if (!work.tokenizer.empty()) check.reads(work.tokenizer, "tokenizer " + work.tokenizer.string());
  for (const std::string& image : options.verifier.images) {
    check.reads(image, "--image " + image);
  }
  for (const std::string& file : {options.recipes, options.verifier.gate, config}) {
    if (!file.empty()) check.reads(file, file);
  }
  const std::string option = "--output " + options.output;
  const fs::path folder = folder_of(options, work);
  check_output_folder(folder, option);
  std::error_code error;
  const auto write = [&](const fs::path& path) {
    const std::string what = path == options.output ? option : option + ": " + path.string();
    if (fs::exists(folder, error)) {
      check.writes(path, what);
    } else {
      check.writes_later(path, what);
    }
  };
  for (const Job& job : work.jobs) {
    write(job.engine);
    write(EngineManifest::path_beside(job.engine));
    if (options.fp8) {
      const fs::path calibration = Calibration::path_beside(job.onnx);
      check.writes_later(calibration, "calibration " + calibration.string());
    }
  }
  if (!shares_tokenizer(work)) write(work.tokenizer_output);
}

void copy_tokenizer(const Work& work) {
  if (shares_tokenizer(work)) return;
  const MappedFile file(work.tokenizer);
  AtomicFile copy(work.tokenizer_output);
  copy.write(file.bytes());
  copy.commit();
}

void run_build(const BuildOptions& options, const CommandContext& context) {
  static_cast<void>(precision_of(options));
  const Work work = list_work(options);
  check_outputs(options, work, context.config);
  Builder builder(options, work.jobs.front().onnx, context.json);
  ResultFolder folder(folder_of(options, work), "--output " + options.output);
  std::vector<ModelPart> parts;
  for (const Job& job : work.jobs) {
    EngineBuildRequest request = builder.request_for(job);
    EngineBuildResult result = builder.build(request);
    parts.push_back({std::move(request), std::move(result)});
  }
  copy_tokenizer(work);
  folder.keep();
  std::string end_to_end = "none";
  if (work.is_model && builder.verifies()) {
    const bool ok = builder.verify_model(parts) == ModelVerdict::kPassed;
    end_to_end = ok ? "passed" : "undecidable";
  }
  if (!context.json) {
    if (end_to_end != "none") std::cout << "end to end: " << end_to_end << "\n";
    return;
  }
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ModelPart& part : parts) list.push_back(describe(part));
  std::cout << nlohmann::ordered_json{{"engines", list}, {"end_to_end", end_to_end}}.dump(2)
            << "\n";
}

void add_size_options(CLI::App& command, BuildOptions& options) {
  const CLI::Range sizes(1, 4096);
  const CLI::Range tuned(0, 4096);
  command.add_option("--max-batch", options.limits.images, "Images in one call")
      ->check(sizes)
      ->capture_default_str();
  command.add_option("--max-prompts", options.limits.prompts, "Prompts in one call")
      ->check(sizes)
      ->capture_default_str();
  command
      .add_option("--tune-batch", options.limits.tuned_images,
                  "Images in one call that engines for several are tuned for; 0: the largest")
      ->check(tuned)
      ->capture_default_str();
  command
      .add_option("--tune-prompts", options.limits.tuned_prompts,
                  "Prompts in one call that engines for several are tuned for; 0: the largest")
      ->check(tuned)
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
                   "A graph, or the folder of all that 'sam3trt export' wrote")
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
  add_list(*command, "--image", options->verifier.images,
           "Photographs for verification and calibration (default: those in "
           "test_images)");
  add_list(*command, "--text", options->verifier.texts, "What to look for in them");
  command->add_option("--gate", options->verifier.gate,
                      "Limits in place of the built-in ones (docs/verification.md)");
  command->footer(
      "Example:\n  sam3trt build --onnx models/sam3_vision_encoder.onnx --output "
      "engines/sam3_vision_encoder.engine --fp16");
  command->callback([options, &context]() { run_build(*options, context); });
}

}  // namespace sam3trt
