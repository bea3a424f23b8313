#include "triton/triton_repository.hpp"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "commands.hpp"
#include "segmenter/engines.hpp"

namespace sam3trt {
namespace {

struct Options {
  std::string model;
  std::string model_on_server;  ///< Empty: the model's own path.
  std::string backend = "python";
  TritonRepository repository;
};

/// Servers refuse engines that are not verified, each when it starts.
void check_verified(const Options& options, const ModelFiles& files) {
  if (options.repository.allow_unverified) return;
  for (const auto& [component, state] : unverified_components(files)) {
    throw_bad_input(options.model + ": the engine of " + component + ": its verification says '" +
                    state + "'; run 'sam3trt verify', or allow it with --allow-unverified");
  }
}

void run_triton_repository(Options options, const CommandContext& context) {
  const ModelFiles files =
      find_model_files(options.model, std::nullopt, {"--model", "keep one model in the folder"});
  check_verified(options, files);
  options.repository.model_folder =
      options.model_on_server.empty()
          ? std::filesystem::absolute(options.model).lexically_normal().string()
          : options.model_on_server;
  if (options.backend == "sam3trt") options.repository.backend = TritonBackend::kSam3trt;
  const auto written = write_triton_repository(files, options.repository);
  if (context.json) {
    nlohmann::json paths = nlohmann::json::array();
    for (const auto& path : written) paths.push_back({{"path", path.string()}});
    std::cout << nlohmann::json{{"files", paths}}.dump(2) << "\n";
    return;
  }
  for (const auto& path : written) std::cout << path.string() << "\n";
}

}  // namespace

void add_triton_repository_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("triton-repository",
                                         "Write a model repository for Triton Inference Server");
  command
      ->add_option("--model", options->model,
                   "Folder of engines, for servers with a GPU, or of graphs, for the CPU")
      ->required();
  command
      ->add_option("--output", options->repository.output,
                   "Folder of the repository; other models in it are left alone")
      ->required();
  command->add_option("--model-on-server", options->model_on_server,
                      "Where servers find the model's folder, such as in a container (default: "
                      "where it is here)");
  command
      ->add_option("--backend", options->backend,
                   "What answers in Triton: python, over the package sam3trt; or sam3trt, the "
                   "backend that is built with SAM3TRT_TRITON_BACKEND")
      ->check(CLI::IsMember({"python", "sam3trt"}))
      ->capture_default_str();
  command->add_flag("--allow-unverified", options->repository.allow_unverified,
                    "Let servers load engines that were not verified or failed it");
  command->footer(
      "Example:\n  sam3trt triton-repository --model models/engines --output repository\n"
      "  tritonserver --model-repository=repository");
  command->callback([options, &context]() { run_triton_repository(*options, context); });
}

}  // namespace sam3trt
