#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "arguments.hpp"
#include "base/cache_folder.hpp"
#include "base/error.hpp"
#include "commands.hpp"
#include "device_option.hpp"
#include "hub_access.hpp"
#include "progress.hpp"
#include "track_frames_option.hpp"
#include "verify/published_run.hpp"
#include "verify/verify_model.hpp"

namespace sam3trt {
namespace {

constexpr int kFailedExitCode = 4;

/// What the command line says.
struct VerifyOptions {
  std::vector<std::string> models;
  std::string encoder_engine;
  std::string detector_engine;
  std::string reference;
  VerifierOptions verifier;
  std::string gate;                      ///< Empty: the built-in one.
  std::string recipes;                   ///< Empty: the built-in ones.
  std::optional<std::string> published;  ///< File of published results; empty: the built-in ones.
  PublishedImageSource published_images;
};

constexpr const char* kChoose = "name one with --encoder-engine and --detector-engine";

std::string model_of(const VerifyOptions& options) {
  if (options.models.size() > 1) throw_bad_input("--model: several go with --published only");
  return options.models.empty() ? std::string() : options.models.front();
}

ModelFiles find_model(const VerifyOptions& options) {
  const std::string model = model_of(options);
  if (!model.empty()) return find_model_files(model, std::nullopt, {"--model", kChoose});
  if (options.encoder_engine.empty() || options.detector_engine.empty()) {
    throw_bad_input("no model: give --model DIR, or --encoder-engine and --detector-engine");
  }
  return find_model_files(options.encoder_engine, options.detector_engine);
}

VerifyRequest request_of(const VerifyOptions& options) {
  VerifyRequest request;
  if (!options.recipes.empty()) request.recipes = RecipeBook::load(options.recipes);
  request.verifier = options.verifier;
  if (!options.gate.empty()) request.verifier.gate = Gate::load(options.gate);
  request.verifier.cache = user_cache_folder();
  request.model = find_model(options);
  const std::string model = model_of(options);
  if (options.reference.empty() && (request.model.form == ModelForm::kGraphs || model.empty())) {
    throw_bad_input((model.empty()
                         ? options.detector_engine + ": name"
                         : "--model " + model + ": holds graphs; name the folder of engines, or") +
                    " with --reference the graphs to compare these with");
  }
  request.reference =
      find_model_files(options.reference.empty() ? model : options.reference, ModelForm::kGraphs,
                       {"--reference", "name a folder with one model"});
  return request;
}

void print_outcome(const VerifyOutcome& outcome) {
  std::cout << to_table(outcome.outputs) << "end to end: " << summary(outcome.result) << "\n";
  const InstanceDifference& found = outcome.result.difference;
  if (outcome.result.has_instances()) {
    std::cout << "instances: " << found.matched << " matched, " << found.lost << " lost, "
              << found.gained << " gained, " << found.borderline << " at the threshold\n";
  }
  if (outcome.undecidable) {
    std::cout << "end to end undecidable: rounding the weights alone changes the results of the "
                 "float32 reference\n";
  }
  if (outcome.marked) std::cout << "the engines are marked as a set that passed\n";
  if (!outcome.passed) {
    std::cout << "FAILED: " << (passed(outcome.outputs) ? "" : summary(outcome.outputs) + "; ")
              << (outcome.result.problems.empty() ? "" : summary(outcome.result)) << "\n";
  } else if (!outcome.undecidable && !outcome.result.has_instances()) {
    std::cout << "passed stage by stage, 0 instances compared\n";
  } else {
    std::cout << "passed\n";
  }
}

/// The models that the command line names; a folder may hold graphs and engines.
std::vector<ModelFiles> list_models(const VerifyOptions& options) {
  std::vector<ModelFiles> models;
  for (const std::string& folder : options.models) {
    models.push_back(find_model_files(folder, std::nullopt, {"--model", kChoose}));
    if (models.back().form == ModelForm::kGraphs) continue;
    try {
      models.push_back(find_model_files(folder, ModelForm::kGraphs));
      std::swap(models.back(), models[models.size() - 2]);
    } catch (const Error&) {
      continue;  // engines alone
    }
  }
  if (options.models.empty()) models.push_back(find_model(options));
  return models;
}

/// Published results against what the models give.
void run_verify_published(const VerifyOptions& options, CommandContext& context) {
  const PublishedTable table = options.published->empty()
                                   ? PublishedTable::builtin()
                                   : PublishedTable::load(*options.published);
  const std::vector<ModelFiles> models = list_models(options);
  PublishedOptions run;
  run.images = options.published_images;
  run.images.fetch = fetch_from_web;
  if (const auto cache = user_cache_folder(); !cache.empty()) {
    run.images.cache = cache / "published";
  }
  run.device = options.verifier.device;
  run.threads = options.verifier.threads;
  bool ok = true;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  if (!context.json) {
    std::cout << "published results of " << table.checkpoint << " (" << table.source << ")\n";
  }
  for (const ModelFiles& model : models) {
    const std::string name = model.at(Component::kDetector).string();
    const PublishedOutcome outcome = run_published(table, model, run);
    ok = ok && outcome.passed();
    if (context.json) {
      list.push_back({{"model", name},
                      {"backend", outcome.backend},
                      {"precision", name_of(outcome.precision)},
                      {"passed", outcome.passed()},
                      {"values", nlohmann::ordered_json::parse(to_json(outcome.values))}});
      continue;
    }
    const auto off = std::ranges::count_if(outcome.values, std::not_fn(&PublishedValue::ok));
    std::cout << "\n"
              << name << " (" << outcome.backend << ", " << name_of(outcome.precision) << ")\n"
              << to_table(outcome.values)
              << (off == 0 ? "passed: all " : "FAILED: " + std::to_string(off) + " of ")
              << outcome.values.size()
              << (off == 0 ? " values are as published\n" : " values are not as published\n");
  }
  if (context.json) {
    std::cout << nlohmann::ordered_json{{"passed", ok},
                                        {"checkpoint", table.checkpoint},
                                        {"source", table.source},
                                        {"models", list}}
                     .dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
              << "\n";
  }
  if (!ok) context.exit_code = kFailedExitCode;
}

void run_verify(const VerifyOptions& options, CommandContext& context) {
  if (options.published) return run_verify_published(options, context);
  VerifyRequest request = request_of(options);
  std::optional<ProgressBar> bar;
  request.verifier.progress = [&](int64_t done, int64_t all) {
    if (!bar) bar.emplace("reference", static_cast<uint64_t>(all));
    bar->set(static_cast<uint64_t>(done));
    if (done == all) bar.reset();
  };
  const VerifyOutcome outcome = verify_model(request);
  if (context.json) {
    std::cout << to_json(outcome) << "\n";
  } else {
    print_outcome(outcome);
  }
  if (!outcome.passed) context.exit_code = kFailedExitCode;
}

/// What engines are held against: the float32 graphs. All of these go without --published.
std::vector<CLI::Option*> add_reference_options(CLI::App& command, VerifyOptions& options) {
  return {command.add_option("--reference", options.reference,
                             "Folder of the exported graphs (default: the folder of --model)"),
          add_list(command, "--image", options.verifier.images,
                   "Images, besides three drawn ones (default: three photographs inside the "
                   "program)"),
          add_list(command, "--text", options.verifier.texts, "What to look for in them"),
          add_track_frames_option(command, options.verifier.track_frames),
          command.add_option("--recipes", options.recipes,
                             "Precision recipes that the engines were built with, unless built-in "
                             "ones"),
          command.add_option("--gate", options.gate,
                             "Limits in place of the built-in ones (docs/verification.md)")};
}

CLI::Option* add_published_options(CLI::App& command,
                                   const std::shared_ptr<VerifyOptions>& options) {
  CLI::Option* published =
      command
          .add_option_function<std::vector<std::string>>(
              "--published",
              [options](const std::vector<std::string>& values) {
                options->published = values.empty() ? "" : values.front();
              },
              "Hold the models against results that were published for facebook/sam3, value by "
              "value; FILE: a table in place of the built-in one (docs/verification.md)")
          ->expected(0, 1)
          ->type_name("[FILE]");
  command
      .add_option("--images", options->published_images.folder,
                  "With --published: folder that holds the images, which else are fetched once")
      ->needs(published);
  command
      .add_option("--images-url", options->published_images.url,
                  "With --published: where they are fetched from, in place of the table's")
      ->needs(published);
  return published;
}

}  // namespace

void add_verify_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App* command =
      app.add_subcommand("verify", "Hold engines against the float32 graphs on the CPU");
  add_device_option(*command, options->verifier.device);
  CLI::Option* model = add_list(*command, "--model", options->models,
                                "Folder of engines; with --published any number of "
                                "folders, of graphs too");
  CLI::Option* encoder = command->add_option("--encoder-engine", options->encoder_engine,
                                             "Vision encoder, in place of --model");
  CLI::Option* detector =
      command->add_option("--detector-engine", options->detector_engine,
                          "Detector with what lies beside it, in place of --model");
  model->excludes(encoder)->excludes(detector);
  const auto reference = add_reference_options(*command, *options);
  CLI::Option* published = add_published_options(*command, options);
  for (CLI::Option* option : reference) option->excludes(published);
  command
      ->add_option("--threads", options->verifier.threads,
                   "Processor threads of the CPU backend; 0 is OpenVINO's choice")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command->footer(
      "Example:\n  sam3trt verify --model engines --reference models/sam3_onnx --image "
      "street.jpg --text dog\n  sam3trt verify --published --model models/sam3_onnx engines");
  command->callback([options, &context]() { run_verify(*options, context); });
}

}  // namespace sam3trt
