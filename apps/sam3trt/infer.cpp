#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/output_check.hpp"
#include "base/temporary.hpp"
#include "commands.hpp"
#include "device_option.hpp"
#include "image/image.hpp"
#include "image_list.hpp"
#include "overlay_writer.hpp"
#include "progress.hpp"
#include "runtime/run_each.hpp"
#include "segmenter/engines.hpp"
#include "segmenter/segmenter.hpp"

namespace sam3trt {
namespace {

struct InferOptions {
  std::string model;
  std::string encoder_engine;
  std::string detector_engine;
  std::string backend = "auto";
  LoadOptions load;
  std::vector<std::string> images;
  std::vector<std::string> texts;
  std::vector<std::string> boxes;
  std::vector<std::string> negative_boxes;
  Thresholds thresholds;
  std::string output;
  std::string overlay;
  std::string semantics;
};

/// One prompt per text, each with all boxes; boxes alone are one prompt.
std::vector<Prompt> make_prompts(const InferOptions& options) {
  std::vector<PromptBox> boxes;
  for (const std::string& text : options.boxes) boxes.push_back({parse_box(text, "--box"), true});
  for (const std::string& text : options.negative_boxes) {
    boxes.push_back({parse_box(text, "--negative-box"), false});
  }
  std::vector<Prompt> prompts;
  for (const std::string& text : options.texts) prompts.push_back({text, boxes});
  if (prompts.empty() && !boxes.empty()) prompts.push_back({std::nullopt, boxes});
  if (prompts.empty()) throw_bad_input("nothing to look for: give --text or --box");
  return prompts;
}

ModelFiles find_files(const InferOptions& options) {
  if (!options.model.empty()) {
    sweep_temporaries(options.model);
    std::optional<ModelForm> form;
    if (options.backend == "openvino") form = ModelForm::kGraphs;
    if (options.backend == "tensorrt") form = ModelForm::kEngines;
    return find_model_files(options.model, form,
                            {"--model", "name one with --encoder-engine and --detector-engine"});
  }
  if (options.encoder_engine.empty() || options.detector_engine.empty()) {
    throw_bad_input("no model: give --model DIR, or --encoder-engine and --detector-engine");
  }
  return find_model_files(options.encoder_engine, options.detector_engine);
}

/// The files that the model is loaded from.
void add_inputs(OutputCheck& check, const ModelFiles& files) {
  for (const auto& [component, path] : files.components) {
    for (const char* suffix : {"", ".data", ".json", ".calibration.json"}) {
      check.reads(path.string() + suffix, "model file " + path.string() + suffix);
    }
  }
  check.reads(files.tokenizer, "tokenizer " + files.tokenizer.string());
}

/// Where the results of a run go.
struct Outputs {
  /// Throws Error(kBadInput) for what cannot be written and for what is an input of the run.
  Outputs(const InferOptions& options, const std::vector<ListedImage>& images,
          const ModelFiles& files, const std::string& config)
      : check_(inputs_of(images, files, config)),
        overlays(options.overlay, images, check_),
        to_file(!options.output.empty() && options.output != "-") {
    if (to_file) check_.writes(options.output, "--output " + options.output);
    if (overlays.is_standard_output() && !to_file) {
      throw_bad_input("--overlay -: standard output gets the result; name a file with --output");
    }
  }

 private:
  static OutputCheck inputs_of(const std::vector<ListedImage>& images, const ModelFiles& files,
                               const std::string& config) {
    OutputCheck check;
    for (const ListedImage& image : images) check.reads(image.path, "--image " + image.path);
    add_inputs(check, files);
    if (!config.empty()) check.reads(config, "--config " + config);
    return check;
  }

  OutputCheck check_;

 public:
  const OverlayWriter overlays;
  const bool to_file;
};

void check_semantics(const InferOptions& options, const ModelFiles& files) {
  const std::string found(semantics_name(files.semantics));
  if (options.semantics.empty() || options.semantics == found) return;
  throw_bad_input("--semantics " + options.semantics + ": the graphs were exported with '" + found +
                  "'; export the checkpoint again with --semantics " + options.semantics);
}

void check_backend(const InferOptions& options, const ModelFiles& files) {
  const bool engines = files.form == ModelForm::kEngines;
  if (options.backend == "auto" || (options.backend == "tensorrt") == engines) return;
  throw_bad_input("--backend " + options.backend + ": " + files.at(Component::kDetector).string() +
                  " is " +
                  (engines ? "a TensorRT engine; name the ONNX graphs"
                           : "an ONNX graph; 'sam3trt build' makes an engine of it"));
}

/// An image that is read, or why it could not be.
struct ReadImage {
  Image image;
  ImageResult result;
};

ReadImage read(const ListedImage& listed, std::span<const Prompt> prompts) {
  ReadImage item;
  item.result.path = listed.path;
  const auto begin = std::chrono::steady_clock::now();
  keep_error(item.result, [&] {
    item.image = read_image(listed.path);
    for (const Prompt& prompt : prompts) check_boxes(prompt, item.image.width, item.image.height);
  });
  const std::chrono::duration<double, std::milli> decoding =
      std::chrono::steady_clock::now() - begin;
  item.result.timings_ms.decode = decoding.count();
  return item;
}

/// Runs the images that could be read, together.
void run_images(Segmenter& segmenter, std::vector<ReadImage>& items,
                std::span<const Prompt> prompts, const Thresholds& thresholds) {
  std::vector<ImageRequest> requests;
  for (const ReadImage& item : items) {
    if (!item.result.error) requests.push_back({view_of(item.image), prompts});
  }
  std::vector<ImageResult> results = run_each(requests, [&](std::span<const ImageRequest> some) {
    return segmenter.run(some, thresholds);
  });
  auto next = results.begin();
  for (ReadImage& item : items) {
    if (item.result.error) continue;
    next->path = item.result.path;
    next->timings_ms.decode = item.result.timings_ms.decode;
    item.result = std::move(*next++);
  }
}

void print_summary(const RunResult& result) {
  for (const ImageResult& image : result.images) {
    for (const PromptResult& prompt : image.prompts) {
      std::cout << image.path << ": "
                << (prompt.prompt.text ? "'" + *prompt.prompt.text + "'" : "boxes") << ": "
                << prompt.instances.size()
                << (prompt.instances.size() == 1 ? " instance\n" : " instances\n");
    }
  }
}

/// Whether a file is what standard output is, as /dev/stdout is.
bool is_standard_output(const std::string& path) {
  struct stat output {};
  struct stat file {};
  return ::fstat(STDOUT_FILENO, &output) == 0 && ::stat(path.c_str(), &file) == 0 &&
         output.st_dev == file.st_dev && output.st_ino == file.st_ino;
}

/// The document goes to the file, or without one to standard output; with a file, standard output
/// gets a summary, or the document too when --json asks for it, unless it has been given something
/// else.
void write_result(const InferOptions& options, const Outputs& outputs, const RunResult& result,
                  bool json) {
  const std::string document = to_json(result);
  const bool taken = outputs.overlays.is_standard_output() ||
                     (outputs.to_file && is_standard_output(options.output));
  if (outputs.to_file) {
    AtomicFile file(options.output);
    file.write(document);
    file.commit();
  }
  if (taken) return;
  if (!outputs.to_file || json) {
    std::cout << document;
  } else {
    print_summary(result);
  }
}

/// Says what failed, and makes that the program's exit code: 1 for what should not happen, else 2.
void report_errors(const RunResult& result, CommandContext& context) {
  for (const ImageResult& image : result.images) {
    if (!image.error) continue;
    std::cerr << "sam3trt: error: "
              << (image.error->starts_with(image.path) ? "" : image.path + ": ") << *image.error
              << "\n";
    if (context.exit_code != 1)
      context.exit_code = image.error_code == ErrorCode::kBadInput ? 2 : 1;
  }
}

/// Components that run only because the user allows it; says so.
std::map<std::string, std::string> find_unverified(const ModelFiles& files) {
  auto unverified = unverified_components(files);
  for (const auto& [component, state] : unverified) {
    log(LogLevel::kWarning, component + ": runs although its verification says '" + state +
                                "' (--allow-unverified); the result is marked");
  }
  return unverified;
}

RunResult run_all(Segmenter& segmenter, const ModelFiles& files,
                  const std::vector<ListedImage>& images, std::span<const Prompt> prompts,
                  const InferOptions& options, const OverlayWriter& overlays) {
  RunResult result{segmenter.backend(), files.semantics, {}, find_unverified(files)};
  ProgressBar progress("images", images.size());
  for (size_t first = 0; first < images.size(); first += segmenter.max_images()) {
    const size_t count = std::min(segmenter.max_images(), images.size() - first);
    std::vector<ReadImage> items;
    for (size_t i = first; i < first + count; ++i) items.push_back(read(images[i], prompts));
    run_images(segmenter, items, prompts, options.thresholds);
    for (size_t i = 0; i < count; ++i) {
      ReadImage& item = items[i];
      if (!item.result.error) {
        ImageResult drawing;
        keep_error(drawing, [&] { overlays.write(images[first + i], item.image, item.result); });
        item.result.error = drawing.error;
        item.result.error_code = drawing.error_code;
      }
      result.images.push_back(std::move(item.result));
      progress.advance();
    }
  }
  return result;
}

void run_infer(const InferOptions& options, CommandContext& context) {
  check_thresholds(options.thresholds);
  const std::vector<Prompt> prompts = make_prompts(options);
  if (options.backend == "tensorrt") static_cast<void>(cuda_driver());
  const ModelFiles files = find_files(options);
  check_backend(options, files);
  check_semantics(options, files);
  const std::vector<ListedImage> images = list_images(options.images);
  const Outputs outputs(options, images, files, context.config);
  const Tokenizer tokenizer = Tokenizer::load(files.tokenizer);
  for (const Prompt& prompt : prompts) {
    check_prompt(prompt, tokenizer, files.config, files.semantics);
  }
  Segmenter segmenter(files, options.load);
  static_cast<void>(segmenter.keep_only_texts(prompts));  // saves memory where it can
  const RunResult result = run_all(segmenter, files, images, prompts, options, outputs.overlays);
  report_errors(result, context);
  write_result(options, outputs, result, context.json);
}

void add_model_options(CLI::App& command, InferOptions& options) {
  CLI::Option* model = command.add_option("--model", options.model, "Folder of graphs or engines");
  CLI::Option* encoder = command.add_option("--encoder-engine", options.encoder_engine,
                                            "Vision encoder, in place of --model");
  CLI::Option* detector =
      command.add_option("--detector-engine", options.detector_engine,
                         "Detector with its parts beside it, in place of --model");
  model->excludes(encoder)->excludes(detector);
  command.add_option("--backend", options.backend, "What runs the graphs; auto goes by the files")
      ->check(CLI::IsMember({"auto", "tensorrt", "openvino"}))
      ->capture_default_str();
  command
      .add_option("--threads", options.load.threads, "Processor threads; 0 is OpenVINO's choice")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  add_device_option(command, options.load.device);
  command.add_flag("--allow-unverified", options.load.allow_unverified,
                   "Run engines that were not verified or failed it, and mark the result");
  command
      .add_option("--semantics", options.semantics,
                  "Whose behaviour the graphs must have been exported with")
      ->check(CLI::IsMember({"hf", "meta"}));
}

void add_prompt_options(CLI::App& command, InferOptions& options) {
  add_list(command, "--image", options.images,
           "Images, folders of images, or patterns such as 'a/*.jpg'")
      ->required();
  add_list(command, "--text", options.texts, "What to look for; each text is a prompt of its own");
  add_list(command, "--box", options.boxes,
           "x0,y0,x1,y1 in pixels around an example of what to look for; goes with every "
           "text and image");
  add_list(command, "--negative-box", options.negative_boxes,
           "The same around an example of what not to look for");
}

void add_result_options(CLI::App& command, InferOptions& options) {
  command
      .add_option("--threshold", options.thresholds.score, "Instances above this score are kept")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--mask-threshold", options.thresholds.mask,
                  "Pixels above this probability belong to the mask")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command.add_option("--output", options.output,
                     "File for the result as JSON; - or none: standard output");
  command.add_option(
      "--overlay", options.overlay,
      "Image with the masks drawn (.png, .jpg or .webp); a folder for several images");
}

}  // namespace

void add_infer_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<InferOptions>();
  CLI::App* command = app.add_subcommand("infer", "Find and mask what a text or box names");
  add_model_options(*command, *options);
  add_prompt_options(*command, *options);
  add_result_options(*command, *options);
  command->footer(
      "Example:\n  sam3trt infer --model models/sam3_onnx --image street.jpg --text dog "
      "--overlay out.png --output results.json");
  command->callback([options, &context]() { run_infer(*options, context); });
}

}  // namespace sam3trt
