#include "model/export.hpp"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "components/components.hpp"

namespace sam3trt {
namespace {

struct ExportOptions {
  std::string checkpoint;
  std::string component;
  std::string output;
  std::string tokenizer;
  std::string semantics;
};

ExportRequest to_request(const ExportOptions& options) {
  ExportRequest request{options.checkpoint, options.component, options.output, {}, {}};
  if (options.semantics == "hf") request.semantics = Semantics::kHf;
  if (options.semantics == "meta") request.semantics = Semantics::kMeta;
  if (!options.tokenizer.empty()) request.tokenizer = options.tokenizer;
  return request;
}

void run_export(const ExportOptions& options, const CommandContext& context) {
  const auto written = export_component(to_request(options));
  if (context.json) {
    nlohmann::json files = nlohmann::json::array();
    for (const auto& path : written) {
      files.push_back({{"path", path.string()}, {"bytes", std::filesystem::file_size(path)}});
    }
    std::cout << nlohmann::json{{"files", files}}.dump(2) << "\n";
    return;
  }
  for (const auto& path : written) std::cout << path.string() << "\n";
}

}  // namespace

void add_export_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* command = app.add_subcommand("export", "Turn a checkpoint into ONNX graphs");
  command->add_option("--checkpoint", options->checkpoint, "Hugging Face folder or Meta's sam3.pt")
      ->required();
  command
      ->add_option("--component", options->component,
                   component_names() + ", or all; a detector brings its parts")
      ->required();
  command->add_option("--output", options->output, "FILE.onnx, or a folder for 'all'")->required();
  command->add_option("--tokenizer", options->tokenizer,
                      "Folder with tokenizer.json, with vocab.json and merges.txt, or with "
                      "bpe_simple_vocab_16e6.txt.gz; or such a file (default: the checkpoint's "
                      "folder)");
  command
      ->add_option("--semantics", options->semantics,
                   "Whose behaviour to reproduce (default: what the checkpoint's format says)")
      ->check(CLI::IsMember({"hf", "meta"}));
  command->footer(
      "Example:\n  sam3trt export --checkpoint models/sam3 --component vision_encoder "
      "--output models/sam3_vision_encoder.onnx");
  command->callback([options, &context]() { run_export(*options, context); });
}

}  // namespace sam3trt
