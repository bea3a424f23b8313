#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "commands.hpp"
#include "image/image.hpp"
#include "overlay_writer.hpp"
#include "progress.hpp"
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
  for (const auto& text : options.boxes) boxes.push_back({parse_box(text, "--box"), true});
  for (const auto& text : options.negative_boxes) {
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
    std::optional<ModelForm> form;
    if (options.backend == "openvino") form = ModelForm::kGraphs;
    if (options.backend == "tensorrt") form = ModelForm::kEngines;
    return find_model_files(options.model, form);
  }
  if (options.encoder_engine.empty() || options.detector_engine.empty()) {
    throw_bad_input("no model: give --model DIR, or --encoder-engine and --detector-engine");
  }
  return find_model_files(options.encoder_engine, options.detector_engine);
}

/// What can be checked before any graph is loaded, which takes long.
void check_options(const InferOptions& options) {
  for (const double threshold : {options.thresholds.score, options.thresholds.mask}) {
    if (!std::isfinite(threshold)) throw_bad_input("a threshold must be a number from 0 to 1");
  }
  if (options.output.empty()) return;
  const auto folder = std::filesystem::absolute(options.output).parent_path();
  std::error_code ignored;
  if (std::filesystem::is_directory(options.output, ignored)) {
    throw_bad_input("--output " + options.output + ": expected a file name, found a folder");
  }
  if (!std::filesystem::is_directory(folder, ignored)) {
    throw_bad_input("--output " + options.output + ": there is no folder " + folder.string() +
                    "; make it first");
  }
}

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

/// A picture that is read, or why it could not be.
struct Picture {
  Image image;
  ImageResult result;
};

Picture read_picture(const std::string& path, std::span<const Prompt> prompts) {
  Picture picture;
  picture.result.path = path;
  const auto begin = std::chrono::steady_clock::now();
  try {
    picture.image = read_image(path);
    for (const Prompt& prompt : prompts) {
      check_boxes(prompt, picture.image.width, picture.image.height);
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kBadInput) throw;
    picture.result.error = error.what();
  }
  const std::chrono::duration<double, std::milli> decoding =
      std::chrono::steady_clock::now() - begin;
  picture.result.timings_ms.decode = decoding.count();
  return picture;
}

/// Runs the pictures that could be read, together.
void run_pictures(Segmenter& segmenter, std::vector<Picture>& pictures,
                  std::span<const Prompt> prompts, const Thresholds& thresholds) {
  std::vector<ImageRequest> requests;
  for (const Picture& picture : pictures) {
    if (!picture.result.error) requests.push_back({&picture.image, prompts});
  }
  std::vector<ImageResult> results = segmenter.run(requests, thresholds);
  auto next = results.begin();
  for (Picture& picture : pictures) {
    if (picture.result.error) continue;
    next->path = picture.result.path;
    next->timings_ms.decode = picture.result.timings_ms.decode;
    picture.result = std::move(*next++);
  }
}

void print_summary(const RunResult& result) {
  for (const ImageResult& image : result.images) {
    if (image.error) continue;
    for (const PromptResult& prompt : image.prompts) {
      std::cout << image.path << ": "
                << (prompt.prompt.text ? "'" + *prompt.prompt.text + "'" : "boxes") << ": "
                << prompt.instances.size()
                << (prompt.instances.size() == 1 ? " instance\n" : " instances\n");
    }
  }
}

/// The document goes to the file, or without one to standard output; with a file, standard output
/// gets a summary, or the document too when --json asks for it.
void write_result(const InferOptions& options, const RunResult& result, bool json) {
  const std::string document = to_json(result);
  if (!options.output.empty()) {
    AtomicFile file(options.output);
    file.write(document);
    file.commit();
  }
  if (options.output.empty() || json) {
    std::cout << document;
  } else {
    print_summary(result);
  }
}

void run_infer(const InferOptions& options, CommandContext& context) {
  check_options(options);
  const std::vector<Prompt> prompts = make_prompts(options);
  if (options.backend == "tensorrt") static_cast<void>(cuda_driver());
  const ModelFiles files = find_files(options);
  check_backend(options, files);
  check_semantics(options, files);
  const OverlayWriter overlays(options.overlay, options.images);
  const Tokenizer tokenizer = Tokenizer::load(files.tokenizer);
  for (const Prompt& prompt : prompts) check_prompt(prompt, tokenizer);
  Segmenter segmenter(files, options.load);
  static_cast<void>(segmenter.keep_only_texts(prompts));  // saves memory where it can
  RunResult result{segmenter.backend(), files.semantics, {}, segmenter.verified()};
  ProgressBar progress("images", options.images.size());
  for (size_t first = 0; first < options.images.size(); first += segmenter.max_images()) {
    const size_t count = std::min(segmenter.max_images(), options.images.size() - first);
    std::vector<Picture> pictures;
    for (size_t i = first; i < first + count; ++i) {
      pictures.push_back(read_picture(options.images[i], prompts));
    }
    run_pictures(segmenter, pictures, prompts, options.thresholds);
    for (Picture& picture : pictures) {
      if (!picture.result.error) overlays.write(picture.result.path, picture.image, picture.result);
      result.images.push_back(std::move(picture.result));
      progress.advance();
    }
  }
  for (const ImageResult& image : result.images) {
    if (!image.error) continue;
    std::cerr << "sam3trt: error: "
              << (image.error->starts_with(image.path) ? "" : image.path + ": ") << *image.error
              << "\n";
    context.exit_code = 2;
  }
  write_result(options, result, context.json);
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
  command.add_flag("--allow-unverified", options.load.allow_unverified,
                   "Run engines that were not verified or failed it, and mark the result");
  command
      .add_option("--semantics", options.semantics,
                  "Whose behaviour the graphs must have been exported with")
      ->check(CLI::IsMember({"hf", "meta"}));
}

void add_prompt_options(CLI::App& command, InferOptions& options) {
  command.add_option("--image", options.images, "Pictures: JPEG, PNG, WebP or BMP")->required();
  command.add_option("--text", options.texts, "What to look for; each text is a prompt of its own");
  command.add_option("--box", options.boxes,
                     "x0,y0,x1,y1 in pixels around an example of what to look for; goes with every "
                     "text and image");
  command.add_option("--negative-box", options.negative_boxes,
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
                     "File for the result as JSON (default: standard output)");
  command.add_option("--overlay", options.overlay,
                     "Picture with the masks drawn, as PNG; a folder for several images");
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
