#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "base/tensor_cast.hpp"
#include "commands.hpp"
#include "cuda/buffer.hpp"
#include "segmenter/segmenter.hpp"
#include "trt/layers.hpp"
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
  double threshold = 0.5;
  std::string layers;
  LoadOptions load;
};

struct Statistics {
  double median = 0;
  double p95 = 0;
};

Statistics statistics_of(std::vector<double> values) {
  std::ranges::sort(values);
  const auto at = [&](double part) {
    const long index = std::lround(part * static_cast<double>(values.size() - 1));
    return values[static_cast<size_t>(index)];
  };
  return {at(0.5), at(0.95)};
}

Json to_json(const Statistics& statistics) {
  const auto rounded = [](double value) { return std::round(value * 1e4) / 1e4; };
  return {{"median_ms", rounded(statistics.median)}, {"p95_ms", rounded(statistics.p95)}};
}

/// One engine with inputs that stay on the GPU, so that only the engine is timed.
class StageBench {
 public:
  StageBench(TensorRtHost& host, const fs::path& path)
      : device_(host.device), manifest_(EngineManifest::load(path)), stream_(host.device) {
    const MappedFile file(path);
    const uint64_t before = device_.used_memory();
    plan_ = host.api->load(file.bytes(), ActivationMemory::kOwn);
    memory_ = device_.used_memory() - std::min(before, device_.used_memory());
  }

  /// Device memory that loading took: weights, activations at the largest shapes, kernels.
  [[nodiscard]] uint64_t memory() const { return memory_; }

  [[nodiscard]] int64_t fused_attentions() const {
    return count_fused_attentions(plan_->layers_json());
  }

  [[nodiscard]] std::string layers() const { return plan_->layers_json(); }

  /// Median milliseconds of every layer, in the order of their run.
  [[nodiscard]] Json layer_times(int64_t batch, const BenchOptions& options) {
    prepare(batch);
    std::vector<std::string> names;
    std::vector<std::vector<double>> times;
    for (int i = 0; i < options.warm_up + options.iterations; ++i) {
      const auto layers = plan_->time_layers(stream_.handle());
      if (names.empty()) {
        for (const LayerTime& layer : layers) names.push_back(layer.layer);
        times.resize(names.size());
      }
      if (i < options.warm_up || layers.size() != names.size()) continue;
      for (size_t n = 0; n < layers.size(); ++n) times[n].push_back(layers[n].milliseconds);
    }
    Json list = Json::array();
    for (size_t n = 0; n < names.size(); ++n) {
      list.push_back({{"layer", names[n]}, {"median_ms", statistics_of(times[n]).median}});
    }
    return {{"component", manifest_.component}, {"batch", batch}, {"layers", list}};
  }

  [[nodiscard]] uint64_t activation_bytes() const { return plan_->activation_bytes(); }
  [[nodiscard]] const EngineManifest& manifest() const { return manifest_; }

  /// Largest images or prompts that the engine takes: the first axis of its first dynamic input.
  [[nodiscard]] int64_t largest_batch() const {
    int64_t largest = 1;
    for (const auto& [name, shapes] : manifest_.profile) {
      if (is_batched(name)) largest = std::max(largest, shapes.max.at(0));
    }
    return largest;
  }

  /// Milliseconds per call with `batch` images (vision encoder) or prompts, as a CUDA graph and by
  /// plain calls.
  [[nodiscard]] std::pair<Statistics, Statistics> time(int64_t batch, const BenchOptions& options) {
    prepare(batch);
    const auto enqueue = [&] { plan_->enqueue(stream_.handle()); };
    for (int i = 0; i < options.warm_up; ++i) enqueue();
    stream_.synchronize();
    const Statistics plain = measure(options.iterations, enqueue);
    const CudaGraph graph(stream_, enqueue);
    for (int i = 0; i < options.warm_up; ++i) graph.launch(stream_);
    stream_.synchronize();
    return {measure(options.iterations, [&] { graph.launch(stream_); }), plain};
  }

 private:
  /// Inputs whose first axis counts images or prompts of the stage: not the features that prompts
  /// share.
  [[nodiscard]] bool is_batched(const std::string& input) const {
    if (manifest_.component.empty()) {  // of another program: what is dynamic
      return plan_->profile(input).min != plan_->profile(input).max;
    }
    return manifest_.component == "vision_encoder" || !input.starts_with("fpn_feat");
  }

  void prepare(int64_t batch) {
    for (const TensorInfo& info : plan_->inputs()) {
      const ProfileShape profile = plan_->profile(info.name);
      Shape shape = profile.opt;
      if (is_batched(info.name)) shape[0] = std::clamp(batch, profile.min[0], profile.max[0]);
      const Tensor tensor = make_input(info, shape);
      DeviceBuffer& buffer = buffer_of(info.name);
      buffer.reserve(tensor.bytes().size());
      copy_to_device(stream_, buffer.data(), tensor.bytes());
      stream_.synchronize();
      plan_->set_input_shape(info.name, shape);
      plan_->bind(info.name, buffer.data());
    }
    for (const TensorInfo& info : plan_->outputs()) {
      const int64_t count = element_count(plan_->output_shape(info.name));
      DeviceBuffer& buffer = buffer_of(info.name);
      buffer.reserve(static_cast<size_t>(count) * size_of(info.dtype));
      plan_->bind(info.name, buffer.data());
    }
  }

  /// Normal numbers; indices and token numbers are 0, masks 1.
  static Tensor make_input(const TensorInfo& info, const Shape& shape) {
    if (info.dtype != DType::kF32 && !is_16_bit_float(info.dtype)) return {info.dtype, shape};
    Tensor tensor(DType::kF32, shape);
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    const bool is_mask = info.name.ends_with("mask");
    for (float& value : tensor.f32()) value = is_mask ? 1.0F : normal(random);
    return info.dtype == DType::kF32 ? std::move(tensor) : cast_tensor(tensor, info.dtype);
  }

  template <typename Start>
  Statistics measure(int iterations, Start start) {
    std::vector<double> times;
    const Event begin(device_);
    const Event end(device_);
    for (int i = 0; i < iterations; ++i) {
      stream_.record(begin);
      start();
      stream_.record(end);
      end.synchronize();
      times.push_back(static_cast<double>(end.milliseconds_since(begin)));
    }
    return statistics_of(std::move(times));
  }

  DeviceBuffer& buffer_of(const std::string& name) {
    return buffers_.try_emplace(name, device_).first->second;
  }

  const CudaDevice& device_;
  EngineManifest manifest_;
  Stream stream_;
  std::map<std::string, DeviceBuffer> buffers_;
  std::unique_ptr<LoadedPlan> plan_;
  uint64_t memory_ = 0;
};

/// A list of TensorRT's layers and, per batch, what each takes; with a plan of its own, because
/// timing layers slows a plan down for good.
void write_layers(TensorRtHost& host, const fs::path& path, const BenchOptions& options) {
  StageBench bench(host, path);
  const auto write = [&](const std::string& name, const std::string& text) {
    AtomicFile file(fs::path(options.layers) / (bench.manifest().component + name));
    file.write(text);
    file.commit();
  };
  write(".layers.json", bench.layers());
  for (const int64_t batch : {1, 8}) {
    if (batch > bench.largest_batch()) break;
    write(".times." + std::to_string(batch) + ".json", bench.layer_times(batch, options).dump(1));
  }
}

Json bench_stages(const std::vector<fs::path>& engines, const BenchOptions& options) {
  const auto host = open_tensorrt(false);
  Json stages = Json::array();
  for (const fs::path& path : engines) {
    if (!options.layers.empty()) write_layers(*host, path, options);
    StageBench bench(*host, path);
    for (const int64_t batch : {1, 4, 8, 16}) {
      if (batch > bench.largest_batch()) break;
      const auto [graph, plain] = bench.time(batch, options);
      stages.push_back({{"engine", path.string()},
                        {"component", bench.manifest().component},
                        {"precision", bench.manifest().precision},
                        {"recipe", bench.manifest().recipe},
                        {"batch", batch},
                        {"cuda_graph", to_json(graph)},
                        {"plain", to_json(plain)},
                        {"fused_attentions", bench.fused_attentions()},
                        {"activation_bytes", bench.activation_bytes()},
                        {"memory_bytes", bench.memory()},
                        {"engine_bytes", bench.manifest().plan_bytes}});
    }
  }
  return stages;
}

using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

/// Whole runs: `images` pictures at once, each with `prompts` texts.
Json bench_runs(Segmenter& segmenter, std::span<const Image> pictures, size_t images,
                size_t prompts, const BenchOptions& options) {
  std::vector<Prompt> texts;
  for (size_t i = 0; i < prompts; ++i) {
    const std::string& text = options.texts[i % options.texts.size()];
    const size_t round = i / options.texts.size();
    texts.push_back({round == 0 ? text : text + " " + std::to_string(round), {}});
  }
  std::vector<ImageRequest> requests;
  for (size_t i = 0; i < images; ++i) requests.push_back({&pictures[i % pictures.size()], texts});
  const Thresholds thresholds{options.threshold, 0.5};
  for (int i = 0; i < options.warm_up; ++i) {
    static_cast<void>(segmenter.run(requests, thresholds));
  }
  std::vector<double> total;
  std::map<std::string, std::vector<double>> stages;
  size_t instances = 0;
  for (int i = 0; i < options.iterations; ++i) {
    const auto start = Clock::now();
    const auto results = segmenter.run(requests, thresholds);
    total.push_back(milliseconds(Clock::now() - start));
    Timings sum;
    instances = 0;
    for (const ImageResult& result : results) {
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
  Json json = {{"images", images},
               {"prompts", prompts},
               {"instances", instances},
               {"total", to_json(all)},
               {"images_per_s", std::round(1e4 * static_cast<double>(images) / all.median) / 10.0}};
  for (const auto& [name, times] : stages) json[name] = to_json(statistics_of(times));
  return json;
}

/// From loading to the first result, then whole runs from pixels in memory to run lengths.
Json bench_session(const ModelFiles& files, const BenchOptions& options) {
  std::vector<Image> pictures;
  for (const std::string& path : options.images) pictures.push_back(read_image(path));
  if (pictures.empty()) pictures.push_back(built_in_pictures().front());
  const auto begin = Clock::now();
  Segmenter segmenter(files, options.load);
  const std::vector<Prompt> first = {{options.texts.front(), {}}};
  static_cast<void>(segmenter.run(pictures.front(), first, {options.threshold, 0.5}));
  Json json = {
      {"backend", segmenter.backend()},
      {"load_to_first_result_ms", std::round(milliseconds(Clock::now() - begin) * 10) / 10}};
  json["runs"] = Json::array();
  json["runs"].push_back(bench_runs(segmenter, pictures, 1, 1, options));
  json["device_memory_bytes_one_image"] = segmenter.device_memory();
  constexpr std::array<std::array<size_t, 2>, 6> kRuns = {
      {{1, 2}, {1, 4}, {1, 16}, {2, 1}, {4, 1}, {8, 1}}};
  for (const auto& [images, prompts] : kRuns) {
    if (images > segmenter.max_images()) continue;
    json["runs"].push_back(bench_runs(segmenter, pictures, images, prompts, options));
  }
  json["device_memory_bytes"] = segmenter.device_memory();
  return json;
}

void print_table(const Json& document) {
  const auto number = [](const Json& value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%10.3f", value.get<double>());
    return std::string(text.data());
  };
  std::cout << "stage               batch    median      p95   (ms, on the GPU)\n";
  for (const Json& stage : document.at("stages")) {
    std::string name = stage.at("component").get<std::string>();
    if (name.empty()) name = fs::path(stage.at("engine").get<std::string>()).filename().string();
    name.resize(20, ' ');
    std::cout << name << stage.at("batch") << "    " << number(stage["cuda_graph"]["median_ms"])
              << number(stage["cuda_graph"]["p95_ms"]) << "\n";
  }
  if (!document.contains("session")) return;
  const Json& session = document.at("session");
  std::cout << "\nwhole runs in " << session.at("backend").get<std::string>()
            << ", pixels in memory to run lengths\n"
            << "images prompts instances    median       p95 ms  images/s\n";
  for (const Json& run : session.at("runs")) {
    std::array<char, 128> line{};
    std::snprintf(line.data(), line.size(), "%6d %7d %9d", run.at("images").get<int>(),
                  run.at("prompts").get<int>(), run.at("instances").get<int>());
    std::cout << line.data() << number(run["total"]["median_ms"]) << number(run["total"]["p95_ms"])
              << number(run["images_per_s"]) << "\n";
  }
}

void run_bench(const BenchOptions& options, const CommandContext& context) {
  std::optional<ModelFiles> files;
  std::vector<fs::path> engines(options.engines.begin(), options.engines.end());
  if (!options.model.empty()) files = find_model_files(options.model);
  if (files && files->form == ModelForm::kEngines) {
    for (const auto& [component, path] : files->parts()) engines.push_back(path);
  }
  Json document = {{"stages", Json::array()}};
  if (!engines.empty()) {
    const auto host = open_tensorrt(false);
    const EngineHost description = host->describe();
    document["gpu"] = description.gpu;
    document["tensorrt"] = description.tensorrt_version;
    document["context_memory_bytes"] = host->device.used_memory();
    document["stages"] = bench_stages(engines, options);
  }
  document["warm_up"] = options.warm_up;
  document["iterations"] = options.iterations;
  if (files) document["session"] = bench_session(*files, options);
  if (context.json) {
    std::cout << document.dump(1) << "\n";
  } else {
    print_table(document);
  }
}

}  // namespace

void add_bench_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand("bench", "Time every stage and whole runs");
  auto* model = command->add_option("--model", options->model, "Folder of engines or graphs");
  auto* engines =
      command->add_option("--engine", options->engines, "Single engines, of any program's graphs");
  command->callback([options, &context, model, engines]() {
    if (model->count() + engines->count() == 0) throw_bad_input("bench needs --model or --engine");
    run_bench(*options, context);
  });
  command->add_option("--image", options->images, "Pictures (default: a built-in one)");
  command->add_option("--text", options->texts, "Prompts of every picture")->capture_default_str();
  command->add_option("--warm-up", options->warm_up, "Calls before the measured ones")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--iterations", options->iterations, "Measured calls")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("--threshold", options->threshold, "Instances above this score are kept")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--layers", options->layers,
                      "Folder for TensorRT's own lists of layers, COMPONENT.layers.json, and what "
                      "each takes, COMPONENT.times.BATCH.json");
  command->add_flag("--allow-unverified", options->load.allow_unverified,
                    "Time engines that were not verified or failed it");
  command->footer("Example:\n  sam3trt bench --model engines --text dog cat --json");
}

}  // namespace sam3trt
