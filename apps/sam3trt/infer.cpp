#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arguments.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/output_check.hpp"
#include "commands.hpp"
#include "cuda/driver.hpp"
#include "image/image.hpp"
#include "infer_job.hpp"
#include "infer_options.hpp"
#include "infer_prompts.hpp"
#include "jobs/image_list.hpp"
#include "jobs/job_output.hpp"
#include "model_choice.hpp"
#include "model_runners.hpp"
#include "overlay_writer.hpp"
#include "runtime/request.hpp"
#include "worker_process.hpp"

namespace sam3trt {
namespace {

/// Where the results of a run go.
struct Outputs {
  /// Throws Error(kBadInput) for what cannot be written and for what is an input of the run.
  Outputs(const InferOptions& options, const std::vector<ListedImage>& images,
          const ModelFiles& files, const std::string& config, const JobOutput& output)
      : check_(inputs_of(images, files, config)),
        overlays(options.overlay, images, check_),
        to_file(!options.output.empty() && options.output != "-") {
    const std::string option = "--output " + options.output;
    if (to_file && output.format() != ResultFormat::kParquet) {
      check_.writes(options.output, option);
    }
    if (!output.partial().empty()) check_.writes(output.partial(), option);
    if (overlays.is_standard_output() && !to_file) {
      throw_bad_input("--overlay -: standard output gets the result; name a file with --output");
    }
  }

 private:
  static OutputCheck inputs_of(const std::vector<ListedImage>& images, const ModelFiles& files,
                               const std::string& config) {
    OutputCheck check;
    std::string archive;
    for (const ListedImage& image : images) {
      if (image.archive.empty()) check.reads(image.path, "--image " + image.path);
      if (image.archive == archive) continue;
      archive = image.archive;
      check.reads(archive, "--image " + archive);
    }
    add_model_inputs(check, files);
    if (!config.empty()) check.reads(config, "--config " + config);
    return check;
  }

  OutputCheck check_;

 public:
  const OverlayWriter overlays;
  const bool to_file;
};

/// Whether a file is what standard output is, as /dev/stdout is.
bool is_standard_output(const std::string& path) {
  struct stat output {};
  struct stat file {};
  return ::fstat(STDOUT_FILENO, &output) == 0 && ::stat(path.c_str(), &file) == 0 &&
         output.st_dev == file.st_dev && output.st_ino == file.st_ino;
}

/// i and n of "i/n".
std::pair<size_t, size_t> parse_shard(const std::string& text) {
  size_t index = 0;
  size_t count = 0;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, index);
  const bool has_slash = first.ec == std::errc() && first.ptr != end && *first.ptr == '/';
  const auto second = has_slash ? std::from_chars(first.ptr + 1, end, count) : first;
  if (!has_slash || second.ec != std::errc() || second.ptr != end || index >= count) {
    throw_bad_input("--shard " + text +
                    ": expected i/n, the i-th of n parts counted from 0, such as 0/4 to 3/4");
  }
  return {index, count};
}

std::vector<ListedImage> find_images(const InferOptions& options) {
  if (options.images.empty() && options.images_from.empty()) {
    throw_bad_input("no image: give --image or --images-from");
  }
  std::vector<ListedImage> images;
  if (!options.images.empty()) images = list_images(options.images);
  if (!options.images_from.empty()) {
    std::ranges::move(read_image_list(options.images_from), std::back_inserter(images));
  }
  if (options.shard.empty()) return images;
  const auto [index, count] = parse_shard(options.shard);
  return take_shard(std::move(images), index, count);
}

/// Without those that an earlier run has done.
std::vector<ListedImage> without_done(std::vector<ListedImage> images,
                                      const std::vector<bool>& done) {
  std::vector<ListedImage> rest;
  for (size_t i = 0; i < images.size(); ++i) {
    if (!done[i]) rest.push_back(std::move(images[i]));
  }
  log(LogLevel::kInfo, std::to_string(images.size() - rest.size()) + " of " +
                           std::to_string(images.size()) + " images have their result");
  return rest;
}

/// Throws Error(kBadInput) for a model that only detects.
void require_interaction(const ModelFiles& files) {
  for (const ComponentInfo& info : components()) {
    if (!serves(info.id, Task::kInteract) || files.has(info.id)) continue;
    throw_bad_input("the model has no " + std::string(info.name) +
                    ", which objects that are pointed at need; export the whole checkpoint with "
                    "'sam3trt export --component all' and name the folder with --model");
  }
}

/// A line as this run writes it.
std::string sample_line(const RunHeader& header, std::span<const Prompt> prompts) {
  ImageResult sample;
  for (const Prompt& prompt : prompts) sample.prompts.push_back({prompt, 0, {}});
  return to_json_line(header, sample, std::nullopt);
}

void run_infer(const InferOptions& options, CommandContext& context) {
  check_thresholds(options.thresholds);
  InferPrompts prompts(options);
  if (!options.shard.empty()) static_cast<void>(parse_shard(options.shard));
  if (options.devices != "all") static_cast<void>(parse_devices(options.devices));
  if (options.model.backend == "tensorrt") check_apart([] { static_cast<void>(cuda_driver()); });
  const ModelFiles files = find_model(options.model);
  std::vector<ListedImage> images = find_images(options);
  prompts.place(options, images);
  if (prompts.has_objects()) require_interaction(files);
  JobOutput output(options.output, result_format(options.format, options.output));
  const Outputs outputs(options, images, files, context.config, output);
  const Tokenizer tokenizer = Tokenizer::load(files.tokenizer);
  for (const Prompt& prompt : prompts.all()) {
    check_prompt(prompt, tokenizer, files.config, files.semantics);
  }
  const RunHeader header{files.form == ModelForm::kEngines ? "tensorrt" : "openvino",
                         files.semantics, find_unverified(files)};
  if (options.resume) {
    if (!options.prompts.empty()) {
      throw_bad_input("--resume: results of --prompts " + options.prompts +
                      " cannot be told from those of another file; run it from the beginning");
    }
    const std::vector<bool> done = output.take_up(images, sample_line(header, prompts.all()));
    images = without_done(std::move(images), done);
  } else {
    output.refuse_earlier();
  }
  const bool taken = outputs.overlays.is_standard_output() ||
                     (outputs.to_file && is_standard_output(options.output));
  InferJob job{options,
               files,
               header,
               prompts,
               std::move(images),
               output,
               outputs.overlays,
               outputs.to_file && !taken && !context.json,
               outputs.to_file && !taken && context.json};
  run_infer_job(job, context);
}

void add_model_options(CLI::App& command, InferOptions& options) {
  CLI::Option* model =
      command.add_option("--model", options.model.model, "Folder of graphs or engines");
  CLI::Option* encoder = command.add_option("--encoder-engine", options.model.encoder_engine,
                                            "Vision encoder, in place of --model");
  CLI::Option* detector =
      command.add_option("--detector-engine", options.model.detector_engine,
                         "Detector with its parts beside it, in place of --model");
  model->excludes(encoder)->excludes(detector);
  add_running_options(command, options.model, options.load);
  command
      .add_option(
          "--device", options.devices,
          "GPU that engines run on, counted from 0 (nvidia-smi); several such as 0,1, or all")
      ->capture_default_str();
  command
      .add_option("--batch", options.batch, "Images at once at most; 0: as many as the model takes")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command
      .add_option(
          "--io-threads", options.io_threads,
          "Threads that decode images and draw overlays; 0: one for each processor, up to 16, "
          "with several GPUs up to 16 for each")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
}

void add_prompt_options(CLI::App& command, InferOptions& options) {
  add_list(command, "--image", options.images,
           "Images, folders of images, patterns such as 'a/*.jpg', or tar files of images");
  command.add_option("--images-from", options.images_from,
                     "File that names images, one a line or with NUL between them; - reads "
                     "standard input");
  command.add_option("--shard", options.shard,
                     "i/n: only the i-th of n parts of the images, counted from 0");
  add_list(command, "--text", options.texts, "What to look for; each text is a prompt of its own");
  add_list(command, "--box", options.boxes,
           "x0,y0,x1,y1 in pixels around an example of what to look for; goes with every "
           "text and image");
  add_list(command, "--negative-box", options.negative_boxes,
           "The same around an example of what not to look for");
  add_list(command, "--point", options.points, "x,y in pixels: a click on one object");
  add_list(command, "--negative-point", options.negative_points,
           "x,y in pixels: a click on what is not part of that object");
  command.add_option("--object-box", options.object_box,
                     "x0,y0,x1,y1 in pixels around that object");
  command.add_option(
      "--object-mask", options.object_mask,
      "Image of the image's size with a mask of that object: grey or of two colours");
  command.add_option("--prompts", options.prompts,
                     "JSON file with several objects and concepts, also for single images");
  command.add_flag("--multimask", options.multimask,
                   "Several masks for each object that is pointed at; the best is its mask");
  command.add_flag(
      "--everything", options.everything,
      "Masks of everything: those of a grid of clicks, without doubtful and double ones");
  const auto share = CLI::Range(0.0, 1.0);
  command
      .add_option("--points-per-side", options.grid.points_per_side,
                  "With --everything: clicks in a row and in a column of the grid")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command
      .add_option("--min-iou", options.grid.score_threshold,
                  "With --everything: masks with a higher predicted IoU are kept")
      ->check(share)
      ->capture_default_str();
  command
      .add_option("--min-stability", options.grid.stability_threshold,
                  "With --everything: masks that keep this share of their pixels are kept")
      ->check(share)
      ->capture_default_str();
  command
      .add_option("--box-nms", options.grid.nms_threshold,
                  "With --everything: IoU of boxes above which the worse mask goes")
      ->check(share)
      ->capture_default_str();
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
                     "File for the result, or folder for Parquet; - or none: standard output");
  command
      .add_option(
          "--format", options.format,
          "json: one document; jsonl: a line for each image as it is done; coco: a COCO data "
          "set; parquet: a folder of files. Default: by the ending of --output, else json")
      ->check(CLI::IsMember({"json", "jsonl", "coco", "parquet"}));
  command.add_flag("--resume", options.resume,
                   "Go on with a job that was interrupted: images that have their result are left "
                   "out");
  command.add_option(
      "--overlay", options.overlay,
      "Image with the masks drawn (.png, .jpg or .webp); a folder for several images");
}

}  // namespace

void add_infer_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<InferOptions>();
  CLI::App* command =
      app.add_subcommand("infer", "Find and mask what texts, boxes and clicks name");
  add_model_options(*command, *options);
  add_prompt_options(*command, *options);
  add_result_options(*command, *options);
  command->footer(
      "Example:\n  sam3trt infer --model models/sam3_onnx --image street.jpg --text dog "
      "--overlay out.png --output results.json\n"
      "  sam3trt infer --model models/sam3_onnx --image street.jpg --point 320,200 "
      "--negative-point 400,210");
  command->callback([options, &context]() { run_infer(*options, context); });
}

}  // namespace sam3trt
