#include "model_choice.hpp"

#include <CLI/CLI.hpp>
#include <optional>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/temporary.hpp"
#include "segmenter/engines.hpp"

namespace sam3trt {
namespace {

ModelFiles find_files(const ModelChoice& choice) {
  if (!choice.model.empty()) {
    sweep_temporaries(choice.model);
    std::optional<ModelForm> form;
    if (choice.backend == "openvino") form = ModelForm::kGraphs;
    if (choice.backend == "tensorrt") form = ModelForm::kEngines;
    return find_model_files(choice.model, form,
                            {"--model", "name one with --encoder-engine and --detector-engine"});
  }
  if (choice.encoder_engine.empty() || choice.detector_engine.empty()) {
    throw_bad_input("no model: give --model DIR, or --encoder-engine and --detector-engine");
  }
  return find_model_files(choice.encoder_engine, choice.detector_engine);
}

void check_semantics(const ModelChoice& choice, const ModelFiles& files) {
  const std::string found(semantics_name(files.semantics));
  if (choice.semantics.empty() || choice.semantics == found) return;
  throw_bad_input("--semantics " + choice.semantics + ": the graphs were exported with '" + found +
                  "'; export the checkpoint again with --semantics " + choice.semantics);
}

void check_backend(const ModelChoice& choice, const ModelFiles& files) {
  const bool engines = files.form == ModelForm::kEngines;
  if (choice.backend == "auto" || (choice.backend == "tensorrt") == engines) return;
  throw_bad_input("--backend " + choice.backend + ": " + files.at(Component::kDetector).string() +
                  " is " +
                  (engines ? "a TensorRT engine; name the ONNX graphs"
                           : "an ONNX graph; 'sam3trt build' makes an engine of it"));
}

}  // namespace

void add_running_options(CLI::App& command, ModelChoice& choice, LoadOptions& load) {
  command.add_option("--backend", choice.backend, "What runs the graphs; auto goes by the files")
      ->check(CLI::IsMember({"auto", "tensorrt", "openvino"}))
      ->capture_default_str();
  command.add_option("--threads", load.threads, "Processor threads; 0 is OpenVINO's choice")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command
      .add_option("--semantics", choice.semantics,
                  "Whose behaviour the graphs must have been exported with")
      ->check(CLI::IsMember({"hf", "meta"}));
  command.add_flag("--allow-unverified", load.allow_unverified,
                   "Run engines that were not verified or failed it, and mark the result");
}

ModelFiles find_model(const ModelChoice& choice) {
  ModelFiles files = find_files(choice);
  check_backend(choice, files);
  check_semantics(choice, files);
  return files;
}

void add_model_inputs(OutputCheck& check, const ModelFiles& files) {
  for (const auto& [component, path] : files.components) {
    for (const char* suffix : {"", ".data", ".json", ".calibration.json"}) {
      check.reads(path.string() + suffix, "model file " + path.string() + suffix);
    }
  }
  check.reads(files.tokenizer, "tokenizer " + files.tokenizer.string());
}

std::map<std::string, std::string> find_unverified(const ModelFiles& files) {
  auto unverified = unverified_components(files);
  for (const auto& [component, state] : unverified) {
    log(LogLevel::kWarning, component + ": runs although its verification says '" + state +
                                "' (--allow-unverified); the result is marked");
  }
  return unverified;
}

}  // namespace sam3trt
