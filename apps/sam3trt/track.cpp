#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "arguments.hpp"
#include "base/error.hpp"
#include "base/output_check.hpp"
#include "commands.hpp"
#include "runtime/prompt.hpp"
#include "track_job.hpp"

namespace sam3trt {
namespace {

/// What the run reads, which no output may overwrite.
OutputCheck inputs_of(const TrackCommandOptions& options, const ModelFiles& files,
                      const FrameSource& video, const CommandContext& context) {
  OutputCheck check;
  for (const std::string& file : video.files()) check.reads(file, "--video " + file);
  add_model_inputs(check, files);
  if (!options.prompts.empty()) check.reads(options.prompts, "--prompts " + options.prompts);
  for (const std::string& text : options.object_masks) {
    check.reads(text.substr(text.find(':') + 1), "--object-mask " + text);
  }
  if (!context.config.empty()) check.reads(context.config, "--config " + context.config);
  return check;
}

void check_concepts(const TrackPlan& plan, const ModelFiles& files) {
  if (plan.concepts.empty()) return;
  const Tokenizer tokenizer = Tokenizer::load(files.tokenizer);
  for (const PlacedConcept& wanted : plan.concepts) {
    check_prompt(wanted.prompt, tokenizer, files.config, files.semantics);
  }
}

void run_track(const TrackCommandOptions& options, CommandContext& context) {
  const TrackPlan plan = make_track_plan(options);
  static_cast<void>(make_track_options(options, std::nullopt));
  TrackExports exports = parse_exports(options.exports);
  if (options.video.empty()) {
    throw_bad_input("no video: give --video FILE, FOLDER, PATTERN, - or what ffmpeg opens");
  }
  const ModelFiles files = find_model(options.model);
  check_concepts(plan, files);
  const TrackPasses passes = plan_passes(plan);
  if (passes.second && !is_repeatable(options.video)) {
    throw_bad_input("--direction both: --video " + options.video +
                    " can be read only once; save the stream to a file first, or track it "
                    "forwards");
  }
  std::unique_ptr<FrameSource> video = open_video(options.video, "--video", passes.first);
  OutputCheck check = inputs_of(options, files, *video, context);
  TrackOutput output(options.output, std::move(exports), check);
  TrackOverlay overlay(options.overlay, plan.direction == TrackDirection::kForward, check);
  const RunHeader header{files.form == ModelForm::kEngines ? "tensorrt" : "openvino",
                         files.semantics, find_unverified(files)};
  run_track_job({options, files, header, plan, output, overlay}, std::move(video), context);
}

void add_model_options(CLI::App& command, TrackCommandOptions& options) {
  command.add_option("--model", options.model.model, "Folder of graphs or engines");
  add_running_options(command, options.model, options.load);
  command
      .add_option("--device", options.load.device,
                  "GPU that engines run on, counted from 0 (nvidia-smi)")
      ->check(CLI::Range(0, 1023))
      ->capture_default_str();
}

void add_prompt_options(CLI::App& command, TrackCommandOptions& options) {
  command.add_option("--video", options.video,
                     "Video file, folder of images, pattern such as 'a/*.png' or 'a/%05d.png', - "
                     "for standard input, or whatever the program ffmpeg opens (URL, camera)");
  add_list(command, "--text", options.texts,
           "What to find and follow; several texts are several concepts");
  add_list(command, "--box", options.boxes,
           "x0,y0,x1,y1 in pixels of the first frame around an example of what to follow; goes "
           "with every text");
  add_list(command, "--negative-box", options.negative_boxes,
           "The same around an example of what not to follow");
  add_list(command, "--point", options.points,
           "FRAME:x,y: a point on the object to follow; all of these options describe one object, "
           "on one frame or several; without FRAME: it is frame 0");
  add_list(command, "--negative-point", options.negative_points,
           "FRAME:x,y: a point that is not on it");
  add_list(command, "--object-box", options.object_boxes, "FRAME:x0,y0,x1,y1: a box around it");
  add_list(command, "--object-mask", options.object_masks,
           "FRAME:FILE: a grey or 1-bit image that is its mask");
  command.add_option("--prompts", options.prompts,
                     "JSON file of several objects and concepts (docs/track.md)");
}

void add_track_options(CLI::App& command, TrackCommandOptions& options) {
  command
      .add_option(
          "--direction", options.direction,
          "forward; backward, from the last prompted frame (with a text: the last frame of "
          "the video); both, from the first prompted frame to the end, then from there back")
      ->check(CLI::IsMember({"forward", "backward", "both"}))
      ->capture_default_str();
  CLI::Option* hot_start =
      command
          .add_option("--hot-start", options.hot_start,
                      "Frames for which a new object of a text is on trial, and results are "
                      "late; default: the model's (15)")
          ->check(CLI::Range(0, 1000));
  command.add_flag("--live", options.live, "Each frame at once; nothing is removed later")
      ->excludes(hot_start);
  command.add_option("--det-nms", options.det_nms,
                     "Overlap above which the weaker of two detections goes, or off; default: the "
                     "model's (0.1)");
  command
      .add_option("--fill-holes", options.fill_holes,
                  "Holes of masks up to so many pixels are filled, 0: none; default: the model's "
                  "(16)")
      ->check(CLI::Range(0, 1'000'000'000));
  command
      .add_option("--max-objects", options.max_objects,
                  "Objects at once at most; default: the model's")
      ->check(CLI::Range(1, 1'000'000));
}

void add_result_options(CLI::App& command, TrackCommandOptions& options) {
  command.add_option("--output", options.output,
                     "File for JSON Lines: one for the video, then one for each frame as it "
                     "becomes final; - or none: standard output");
  command.add_option("--overlay", options.overlay,
                     "Video with the objects drawn (.mp4, .mkv, .mov, .webm, .avi), or a "
                     "folder for a PNG of each frame");
  add_list(command, "--export", options.exports,
           "coco-vis:FILE, davis:FOLDER, mot:FILE, mots:FILE: the result in these forms as well");
  command
      .add_option("--fps", options.fps,
                  "Frames a second of the overlay's video; default: the video's, 25 for images")
      ->check(CLI::Range(0.01, 1000.0));
}

}  // namespace

void add_track_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<TrackCommandOptions>();
  CLI::App* command =
      app.add_subcommand("track", "Follow what a text, click, box or mask names through a video");
  add_model_options(*command, *options);
  add_prompt_options(*command, *options);
  add_track_options(*command, *options);
  add_result_options(*command, *options);
  command->footer(
      "Example:\n  sam3trt track --model models/sam3_onnx --video street.mp4 --text dog --output "
      "tracks.jsonl --overlay out.mp4\n  sam3trt track --model models/sam3_onnx --video "
      "street.mp4 --point 0:320,200 --output tracks.jsonl");
  command->callback([options, &context]() { run_track(*options, context); });
}

}  // namespace sam3trt
