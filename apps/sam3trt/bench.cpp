#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "arguments.hpp"
#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/output_check.hpp"
#include "bench_clicks.hpp"
#include "bench_files.hpp"
#include "bench_times.hpp"
#include "bench_video.hpp"
#include "commands.hpp"
#include "model_runners.hpp"
#include "segmenter/batched_inputs.hpp"
#include "segmenter/engines.hpp"
#include "segmenter/segmenter.hpp"
#include "trt/layers.hpp"
#include "trt/plan_timer.hpp"
#include "verify/built_in_images.hpp"
#include "verify/reference.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct BenchOptions {
  std::string model;
  std::vector<std::string> engines;
  std::vector<std::string> images;
  std::vector<std::string> texts = {"circle"};
  int warm_up = 5;
  int iterations = 30;
  Thresholds thresholds;
  std::vector<std::string> files;
  bool clicks = false;
  bool video = false;
  int64_t frames = 60;
  std::vector<size_t> objects = {1, 5};
  std::vector<std::string> prompts = kVideoPrompts;
  bool live = false;
  std::string devices = "0";
  size_t batch = 0;
  size_t io_threads = 0;
  std::vector<std::string> runs;  ///< None: kRuns, as far as the model takes them.
  std::string layers;
  LoadOptions load;
};

/// One engine file, loaded to be timed.
class StageBench {
 public:
  StageBench(TensorRtHost& host, const fs::path& path, const LoadOptions& options)
      : device_(host.device), before_(device_.used_memory()) {
    EngineFile file(path);
    manifest_ = file.manifest();
    plan_ = file.load(host, options);
    timer_.emplace(host.device, *plan_, batched_inputs_of(manifest_.component));
  }

  /// Device memory that loading and the calls so far took: weights, kernels, activations of the
  /// profiles that were used, tensors.
  [[nodiscard]] uint64_t memory() const {
    const uint64_t used = device_.used_memory();
    return used - std::min(before_, used);
  }
  [[nodiscard]] const LoadedPlan& plan() const { return *plan_; }
  [[nodiscard]] const EngineManifest& manifest() const { return manifest_; }
  [[nodiscard]] PlanTimer& timer() { return *timer_; }

 private:
  const CudaDevice& device_;
  uint64_t before_;
  EngineManifest manifest_;
  std::shared_ptr<const LoadedPlan> plan_;
  std::optional<PlanTimer> timer_;
};

PlanTimer::Calls calls_of(const BenchOptions& options) {
  return {options.warm_up, options.iterations};
}

/// A list of TensorRT's layers and, per batch, what each takes; with a plan of its own, because
/// timing layers slows a plan down for good.
void write_layers(TensorRtHost& host, const fs::path& path, const BenchOptions& options) {
  StageBench bench(host, path, options.load);
  const auto write = [&](const std::string& name, const std::string& text) {
    AtomicFile file(fs::path(options.layers) / (bench.manifest().component + name));
    file.write(text);
    file.commit();
  };
  ResultFolder folder(options.layers, "--layers " + options.layers);
  write(".layers.json", bench.plan().layers_json());
  for (const int64_t batch : {1, 8}) {
    if (batch > bench.timer().largest_batch()) break;
    Json list = Json::array();
    for (const LayerTime& layer : bench.timer().time_layers(batch, calls_of(options))) {
      list.push_back({{"layer", layer.layer}, {"median_ms", layer.milliseconds}});
    }
    write(".times." + std::to_string(batch) + ".json", list.dump(1));
  }
  folder.keep();
}

Json bench_stages(TensorRtHost& host, const std::vector<fs::path>& engines,
                  const BenchOptions& options) {
  Json stages = Json::array();
  for (const fs::path& path : engines) {
    if (!options.layers.empty()) write_layers(host, path, options);
    StageBench bench(host, path, options.load);
    for (const int64_t batch : {1, 4, 8, 16}) {
      if (batch > bench.timer().largest_batch()) break;
      const auto [graph, plain] = bench.timer().time(batch, calls_of(options));
      stages.push_back({{"engine", path.string()},
                        {"component", bench.manifest().component},
                        {"precision", bench.manifest().precision},
                        {"recipe", bench.manifest().recipe},
                        {"batch", batch},
                        {"cuda_graph", to_json(graph)},
                        {"plain", to_json(plain)},
                        {"fused_attentions", count_fused_attentions(bench.plan().layers_json())},
                        {"activation_bytes", bench.plan().activation_bytes()},
                        {"memory_bytes", bench.memory()},
                        {"engine_bytes", bench.manifest().plan_bytes}});
    }
  }
  return stages;
}

/// Whole runs of the same requests.
Json time_runs(Segmenter& segmenter, std::span<const ImageRequest> requests,
               const Thresholds& thresholds, const BenchOptions& options) {
  for (int i = 0; i < options.warm_up; ++i) {
    static_cast<void>(segmenter.run(requests, thresholds));
  }
  std::vector<double> total;
  std::map<std::string, std::vector<double>> stages;
  size_t instances = 0;
  for (int i = 0; i < options.iterations; ++i) {
    const auto start = BenchClock::now();
    const auto results = segmenter.run(requests, thresholds);
    total.push_back(milliseconds(BenchClock::now() - start));
    Timings sum;
    instances = 0;
    for (const ImageResult& result : results) {
      throw_if_failed(result);
      sum.preprocess += result.timings_ms.preprocess;
      sum.vision_encoder += result.timings_ms.vision_encoder;
      sum.detector += result.timings_ms.detector;
      sum.postprocess += result.timings_ms.postprocess;
      for (const PromptResult& prompt : result.prompts) instances += prompt.instances.size();
    }
    stages["preprocess"].push_back(sum.preprocess);
    stages["vision_encoder"].push_back(sum.vision_encoder);
    stages["detector"].push_back(sum.detector);
    stages["postprocess"].push_back(sum.postprocess);
  }
  const Statistics all = statistics_of(std::move(total));
  const auto images = static_cast<double>(requests.size());
  Json json = {{"instances", instances},
               {"total", to_json(all)},
               {"images_per_s", std::round(1e4 * images / all.median) / 10.0}};
  for (const auto& [name, times] : stages) json[name] = to_json(statistics_of(times));
  return json;
}

/// Different texts, from those asked for.
std::vector<Prompt> make_prompts(size_t count, const BenchOptions& options) {
  std::vector<Prompt> prompts;
  for (size_t i = 0; i < count; ++i) {
    const std::string& text = options.texts[i % options.texts.size()];
    const size_t round = i / options.texts.size();
    prompts.push_back({round == 0 ? text : text + " " + std::to_string(round), {}});
  }
  return prompts;
}

/// Whole runs: `images` pictures at once, each with `prompts` texts. Also with a threshold that
/// nothing passes, because masks are part of the work only where something is found.
Json bench_runs(Segmenter& segmenter, std::span<const Image> pictures, size_t images,
                size_t prompts, const BenchOptions& options) {
  const std::vector<Prompt> texts = make_prompts(prompts, options);
  std::vector<ImageRequest> requests;
  for (size_t i = 0; i < images; ++i)
    requests.push_back({view_of(pictures[i % pictures.size()]), texts});
  Json json = {{"images", images}, {"prompts", prompts}};
  json.update(time_runs(segmenter, requests, options.thresholds, options));
  json["nothing_found"] = time_runs(segmenter, requests, {1.0, 0.5}, options);
  return json;
}

/// Pictures at once and prompts of each.
using Run = std::array<size_t, 2>;
constexpr std::array<Run, 7> kRuns = {{{1, 1}, {1, 2}, {1, 4}, {1, 16}, {2, 1}, {4, 1}, {8, 1}}};

/// "4x2".
Run parse_run(const std::string& text) {
  Run run{};
  const size_t x = text.find('x');
  const auto number = [&](std::string_view digits, size_t& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size() && value >= 1 &&
           value <= 1024;
  };
  const std::string_view view = text;
  if (x == std::string::npos || !number(view.substr(0, x), run[0]) ||
      !number(view.substr(x + 1), run[1])) {
    throw_bad_input("--runs " + text + ": expected pictures x prompts, such as 1x4");
  }
  return run;
}

/// From loading to the first result, then whole runs from pixels in memory to run lengths.
Json bench_session(const ModelFiles& files, const BenchOptions& options,
                   std::span<const Run> chosen) {
  std::vector<Image> pictures;
  for (const std::string& path : options.images) pictures.push_back(read_image(path));
  if (pictures.empty()) pictures.push_back(built_in_images().front());
  const auto begin = BenchClock::now();
  Segmenter segmenter(files, options.load);
  const std::vector<Prompt> first = make_prompts(1, options);
  static_cast<void>(segmenter.run(pictures.front(), first, options.thresholds));
  Json json = {
      {"backend", segmenter.backend()},
      {"load_to_first_result_ms", std::round(milliseconds(BenchClock::now() - begin) * 10) / 10}};
  const std::span<const Run> runs = chosen.empty() ? std::span<const Run>(kRuns) : chosen;
  size_t most = 1;
  for (const auto& [images, prompts] : runs) most = std::max(most, prompts);
  json["device_memory_bytes_with_text_encoder"] = segmenter.device_memory();
  static_cast<void>(segmenter.keep_only_texts(make_prompts(most, options)));
  json["runs"] = Json::array();
  json["device_memory_bytes_one_image"] = nullptr;
  for (const auto& [images, prompts] : runs) {
    if (images > segmenter.max_images()) {
      if (chosen.empty()) continue;
      throw_bad_input("--runs " + std::to_string(images) + "x" + std::to_string(prompts) +
                      ": this model takes " + std::to_string(segmenter.max_images()) + " at once");
    }
    json["runs"].push_back(bench_runs(segmenter, pictures, images, prompts, options));
    if (images == 1 && prompts == 1) {
      json["device_memory_bytes_one_image"] = segmenter.device_memory();
    }
  }
  json["device_memory_bytes"] = segmenter.device_memory();
  return json;
}

std::string in_column(const Json& value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%10.3f", value.get<double>());
  return text.data();
}

void print_stages(const Json& stages) {
  std::cout << "stage               batch    median      p95   (ms, on the GPU)\n";
  for (const Json& stage : stages) {
    std::string name = stage.at("component").get<std::string>();
    if (name.empty()) name = fs::path(stage.at("engine").get<std::string>()).filename().string();
    name.resize(20, ' ');
    std::cout << name << stage.at("batch") << "    "
              << in_column(stage.at("cuda_graph").at("median_ms"))
              << in_column(stage.at("cuda_graph").at("p95_ms")) << "\n";
  }
}

void print_runs(const Json& session) {
  std::cout
      << "whole runs in " << session.at("backend").get<std::string>()
      << ", pixels in memory to run lengths\n"
      << "images prompts instances    median       p95 ms  images/s   median where nothing is "
         "found\n";
  for (const Json& run : session.at("runs")) {
    std::array<char, 128> line{};
    std::snprintf(line.data(), line.size(), "%6d %7d %9d", run.at("images").get<int>(),
                  run.at("prompts").get<int>(), run.at("instances").get<int>());
    const Json& total = run.at("total");
    std::cout << line.data() << in_column(total.at("median_ms")) << in_column(total.at("p95_ms"))
              << in_column(run.at("images_per_s"))
              << in_column(run.at("nothing_found").at("total").at("median_ms")) << "\n";
  }
}

/// Stages are timed on a GPU only.
void print_tables(const Json& document) {
  if (document.contains("clicks")) print_clicks_bench(document.at("clicks"));
  if (document.contains("video")) print_video_bench(document.at("video"));
  if (document.contains("files")) return print_files_bench(document.at("files"));
  const bool has_stages = !document.at("stages").empty();
  if (has_stages) print_stages(document.at("stages"));
  if (!document.contains("session")) return;
  if (has_stages) std::cout << "\n";
  print_runs(document.at("session"));
}

/// Before the GPU is asked for anything.
void check_engines(const std::vector<fs::path>& engines) {
  for (const fs::path& path : engines) EngineFile(path).check_content();
}

/// What --layers writes is none of what is read, and can be written.
void check_layers_folder(const BenchOptions& options, const std::vector<fs::path>& engines,
                         const std::optional<ModelFiles>& files, const std::string& config) {
  if (options.layers.empty()) return;
  const std::string option = "--layers " + options.layers;
  check_output_folder(options.layers, option);
  OutputCheck check;
  for (const std::string& image : options.images) check.reads(image, "--image " + image);
  for (const fs::path& engine : engines) {
    check.reads(engine, "engine " + engine.string());
    check.reads(EngineManifest::path_beside(engine), "manifest of " + engine.string());
  }
  if (files) check.reads(files->tokenizer, "tokenizer " + files->tokenizer.string());
  if (!config.empty()) check.reads(config, "--config " + config);
  std::set<std::string> components;
  for (const fs::path& engine : engines) components.insert(EngineManifest::load(engine).component);
  for (const std::string& component : components) {
    for (const char* name : {".layers.json", ".times.1.json", ".times.8.json"}) {
      const fs::path path = fs::path(options.layers) / (component + name);
      check.writes_later(path, option + ": " + path.string());
    }
  }
}

void run_bench(const BenchOptions& options, const CommandContext& context) {
  std::vector<Run> runs;
  std::ranges::transform(options.runs, std::back_inserter(runs), parse_run);
  std::optional<ModelFiles> files;
  std::vector<fs::path> engines(options.engines.begin(), options.engines.end());
  if (!options.model.empty()) files = find_model_files(options.model);
  if (files && files->form == ModelForm::kEngines) {
    for (const auto& [component, path] : files->components) engines.push_back(path);
  }
  check_layers_folder(options, engines, files, context.config);
  Json document = {{"stages", Json::array()}};
  if (!engines.empty()) check_engines(engines);
  const bool whole = options.files.empty() && !options.clicks && !options.video;
  if (!engines.empty() && whole) {
    const auto host = open_tensorrt_for(engines.front(), options.load.device);
    const EngineHost description = host->describe();
    document["gpu"] = description.gpu;
    document["tensorrt"] = description.tensorrt_version;
    document["context_memory_bytes"] = host->device.used_memory();
    document["stages"] = bench_stages(*host, engines, options);
  }
  document["warm_up"] = options.warm_up;
  document["iterations"] = options.iterations;
  if (files) {
    const auto unverified = unverified_components(*files);
    if (!unverified.empty()) {
      document["verified"] = false;
      document["unverified"] = unverified;
    }
  }
  if (files && whole) document["session"] = bench_session(*files, options, runs);
  if (files && options.clicks) {
    Image image =
        options.images.empty() ? built_in_images().front() : read_image(options.images.front());
    document["clicks"] = bench_clicks(*files, {.image = std::move(image),
                                               .load = options.load,
                                               .warm_up = options.warm_up,
                                               .iterations = options.iterations});
  }
  if (files && options.video) {
    document["video"] = bench_video(*files, {.text = options.texts.front(),
                                             .load = options.load,
                                             .frames = options.frames,
                                             .objects = options.objects,
                                             .prompts = options.prompts,
                                             .live = options.live});
  }
  if (files && !options.files.empty()) {
    document["files"] = bench_files(*files, {.files = options.files,
                                             .prompts = make_prompts(options.texts.size(), options),
                                             .thresholds = options.thresholds,
                                             .load = options.load,
                                             .devices = devices_for(*files, options.devices),
                                             .batch = options.batch,
                                             .io_threads = options.io_threads});
  }
  if (context.json) {
    std::cout << document.dump(1) << "\n";
  } else {
    print_tables(document);
  }
}

}  // namespace

void add_bench_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand("bench", "Time every stage and whole runs");
  auto* model = command->add_option("--model", options->model, "Folder of engines or graphs");
  auto* engines =
      add_list(*command, "--engine", options->engines, "Single engines, of any program's graphs");
  command->callback([options, &context, model, engines]() {
    if (model->count() + engines->count() == 0) throw_bad_input("bench needs --model or --engine");
    if (!options->files.empty() && model->count() == 0) throw_bad_input("--files needs --model");
    if (options->clicks && model->count() == 0) throw_bad_input("--clicks needs --model");
    if (options->video && model->count() == 0) throw_bad_input("--video needs --model");
    if (options->devices != "all") options->load.device = parse_devices(options->devices).front();
    run_bench(*options, context);
  });
  add_list(*command, "--image", options->images, "Pictures (default: a built-in one)");
  add_list(*command, "--text", options->texts, "Prompts of every picture")->capture_default_str();
  command->add_option("--warm-up", options->warm_up, "Calls before the measured ones")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--iterations", options->iterations, "Measured calls")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command
      ->add_option("--threshold", options->thresholds.score, "Instances above this score are kept")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command
      ->add_option("--mask-threshold", options->thresholds.mask,
                   "Pixels above this probability belong to the mask")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  add_list(*command, "--runs", options->runs,
           "Whole runs to time, pictures at once x prompts of each; default: 1x1 1x2 1x4 "
           "1x16 2x1 4x1 8x1, as far as the model takes them");
  command->add_option("--layers", options->layers,
                      "Folder for TensorRT's own lists of layers, COMPONENT.layers.json, and what "
                      "each takes, COMPONENT.times.BATCH.json");
  add_list(*command, "--files", options->files,
           "Files, folders or patterns: images per second of `infer` from pixels in memory, from "
           "these files, and with overlays, in place of everything else");
  command->add_flag("--clicks", options->clicks,
                    "Objects that are pointed at in an encoded image, in place of everything else");
  command->add_flag("--video", options->video,
                    "Frames of a drawn clip, with clicked objects, with those of the first text, "
                    "and with ones that come and go, in place of everything else");
  command->add_option("--frames", options->frames, "With --video: frames of each run")
      ->check(CLI::Range(1, 10000000))
      ->capture_default_str();
  command
      ->add_option("--objects", options->objects,
                   "With --video: how many objects are followed, one run for each number")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command
      ->add_option("--prompts", options->prompts,
                   "With --video: clicked objects (clicks), those of the first text (text), both "
                   "side by side (both), clicked ones that come and go (changing)")
      ->check(CLI::IsMember(kVideoPrompts))
      ->capture_default_str();
  command->add_flag("--live", options->live,
                    "With --video: results at once, and nothing is removed, as `track --live`");
  command
      ->add_option("--batch", options->batch,
                   "With --files: images at once at most; 0: as many as the model takes")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command
      ->add_option("--io-threads", options->io_threads,
                   "With --files: threads that decode and draw; 0: by the processors")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  command
      ->add_option(
          "--device", options->devices,
          "GPU that engines run on, counted from 0 (nvidia-smi); with --files several such "
          "as 0,1, or all")
      ->capture_default_str();
  command->add_flag("--allow-unverified", options->load.allow_unverified,
                    "Time engines that were not verified or failed it");
  command->footer("Example:\n  sam3trt bench --model engines --text dog cat --json");
}

}  // namespace sam3trt
