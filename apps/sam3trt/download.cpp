#include "hub/download.hpp"

#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "commands.hpp"
#include "progress.hpp"

namespace sam3trt {
namespace {

struct DownloadOptions {
  DownloadRequest request;
  std::string output = "models/sam3";
  std::string weights = "safetensors";
};

const char* name_of(FileState state) {
  switch (state) {
    case FileState::kPresent:
      return "present";
    case FileState::kResumed:
      return "resumed";
    case FileState::kDownloaded:
      return "downloaded";
  }
  return "";
}

void print_json(const DownloadRequest& request, const DownloadResult& result) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (const DownloadedFile& file : result.files) {
    nlohmann::ordered_json entry = {{"path", (request.output / file.name).string()},
                                    {"bytes", file.size}};
    if (file.digest.kind == DigestKind::kNone) {
      entry["checked"] = "size only";
    } else {
      entry[name_of(file.digest.kind)] = file.digest.hex;
    }
    entry["state"] = name_of(file.state);
    files.push_back(std::move(entry));
  }
  const nlohmann::ordered_json document = {{"repo", request.repo},
                                           {"revision", request.revision},
                                           {"commit", result.commit},
                                           {"folder", request.output.string()},
                                           {"files", files}};
  std::cout << document.dump(2) << "\n";
}

void print_table(const DownloadRequest& request, const DownloadResult& result) {
  for (const DownloadedFile& file : result.files) {
    std::cout << std::left << std::setw(12) << name_of(file.state) << std::right << std::setw(14)
              << file.size << "  " << (request.output / file.name).string()
              << (file.digest.kind == DigestKind::kNone ? "  (only the size was checked)" : "")
              << "\n";
  }
  std::cout << request.repo << " at " << request.revision << " (" << result.commit << ")\n";
}

void run_download(DownloadOptions options, const CommandContext& context) {
  DownloadRequest& request = options.request;
  static const std::map<std::string, WeightFormat> kFormats = {
      {"safetensors", WeightFormat::kSafetensors},
      {"pt", WeightFormat::kTorch},
      {"both", WeightFormat::kBoth}};
  request.weights = kFormats.at(options.weights);
  request.output = options.output;
  std::optional<ProgressBar> bar;
  std::string current;
  request.progress = [&](const std::string& file, uint64_t done, uint64_t total) {
    if (file != current) bar.emplace(file, total, ProgressUnit::kBytes);
    current = file;
    bar->set(done);
  };
  const DownloadResult result = download_checkpoint(request);
  bar.reset();
  if (context.json) {
    print_json(request, result);
  } else {
    print_table(request, result);
  }
}

}  // namespace

void add_download_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<DownloadOptions>();
  DownloadRequest& request = options->request;
  CLI::App* command =
      app.add_subcommand("download", "Fetch checkpoint, configuration and tokenizer from the hub");
  command->add_option("--repo", request.repo, "Repository on the hub")->capture_default_str();
  command->add_option("--revision", request.revision, "Branch, tag or commit")
      ->capture_default_str();
  command->add_option("--output", options->output, "Folder to fill")->capture_default_str();
  command
      ->add_option("--weights", options->weights,
                   "safetensors (Hugging Face's format), pt (Meta's sam3.pt) or both")
      ->check(CLI::IsMember({"safetensors", "pt", "both"}))
      ->capture_default_str();
  command->add_option(
      "--token", request.token,
      "Access token (default: HF_TOKEN, then the file that 'hf auth login' writes)");
  command
      ->add_option("--timeout", request.stall_timeout_s,
                   "Seconds without a byte after which a transfer is given up")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  command->add_flag("--refresh", request.refresh,
                    "Ask the hub whether the revision has moved, although the folder is complete");
  command->footer(
      "Interrupted downloads go on where they ended. HF_ENDPOINT names a mirror.\n"
      "Example:\n  sam3trt download --output models/sam3");
  command->callback([options, &context]() { run_download(*options, context); });
}

}  // namespace sam3trt
