#include "verify/verifier.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/sha256.hpp"
#include "base/stop.hpp"
#include "base/temporary.hpp"
#include "image/resize.hpp"
#include "onnx/graph_info.hpp"
#include "openvino/openvino_engine.hpp"
#include "precision/precision.hpp"
#include "runtime/float32_engine.hpp"
#include "sam3trt/session.hpp"
#include "segmenter/shared_model.hpp"
#include "verify/built_in_images.hpp"
#include "verify/cached_engine.hpp"
#include "verify/engine_times.hpp"
#include "verify/photographs.hpp"
#include "verify/repeated_calls.hpp"
#include "verify/tracker_reference.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

std::vector<Image> read_images(const std::vector<fs::path>& paths) {
  std::vector<Image> images;
  images.reserve(paths.size());
  for (const fs::path& path : paths) images.push_back(read_image(path));
  if (images.empty()) images = default_photographs();
  std::ranges::move(built_in_images(), std::back_inserter(images));
  return images;
}

/// Passes calls on until the end is asked for.
class StoppableEngine : public Engine {
 public:
  StoppableEngine(Engine& engine, std::stop_token stop) : engine_(engine), stop_(std::move(stop)) {}
  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return engine_.inputs(); }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override {
    return engine_.outputs();
  }
  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override {
    throw_if_stopped(stop_, "the verification");
    return engine_.run(inputs);
  }

 private:
  Engine& engine_;
  std::stop_token stop_;
};

}  // namespace

Verifier::Verifier(ModelFiles graphs, VerifierOptions options)
    : graphs_(std::move(graphs)),
      options_(std::move(options)),
      images_(read_images(options_.images)) {
  require_openvino("the float32 reference that engines are verified with");
  if (options_.texts.empty()) options_.texts = {"circle", "cat", "cup"};
}

void Verifier::check_stop() const { throw_if_stopped(options_.stop, "the verification"); }

std::unique_ptr<Engine> Verifier::load_on_cpu(const fs::path& path) const {
  return with_float32_tensors(
      load_openvino_engine(path, {.threads = options_.threads, .stop = options_.stop}));
}

std::unique_ptr<Engine> Verifier::load_reference(const fs::path& path) const {
  if (options_.cache.empty()) return load_on_cpu(path);
  const GraphInfo graph = read_graph_info(path);
  return std::make_unique<CachedEngine>(
      CachedEngine::Source{graph.inputs, graph.outputs,
                           [path] { return hash_graph(path) + " " + openvino_identity(); },
                           [this, path] { return load_on_cpu(path); }},
      options_.cache / "reference");
}

const ReferenceRun& Verifier::reference() {
  return reference_.get([this] { return run_reference(); });
}

template <typename Run>
auto Verifier::run_timed(const std::string& what, const std::string& on, const Run& run) const {
  const std::lock_guard lock(running_);
  check_stop();
  log(LogLevel::kInfo, "running " + what + on + " on the CPU");
  EngineTimes times;
  auto result = run([&](const fs::path& path) {
    return times.watch(path.stem().string(), load_reference(path));
  });
  log(LogLevel::kInfo, what + " took " + times.text());
  return result;
}

ReferenceRun Verifier::run_reference() const {
  const std::string on = " on " + std::to_string(images_.size()) + " images";
  return run_timed("the float32 reference", on, [this](const EngineLoader& load) {
    return record_reference(graphs_, load, images_, options_.texts, options_.limits,
                            [this](int64_t done) {
                              check_stop();
                              if (options_.progress)
                                options_.progress(done, static_cast<int64_t>(images_.size()));
                            });
  });
}

std::span<const RecordedCall> Verifier::calls(const std::string& component) {
  const ReferenceRun& run = reference();
  const auto found = run.calls.find(component);
  if (found != run.calls.end()) return found->second;
  const auto id = component_named(component);
  if (!id || !graphs_.has(*id)) {
    throw_bad_input(graphs_.at(Component::kVisionEncoder).parent_path().string() + ": has no " +
                    component +
                    ", so an engine of one cannot be verified; export the whole checkpoint again");
  }
  const auto& tracker = tracker_.get([&] {
    return run_timed(
        "the float32 reference of clicks and videos", "", [&](const EngineLoader& load) {
          return record_tracker(graphs_, load, run.calls.at("vision_encoder"), options_.limits);
        });
  });
  return tracker.at(component);
}

std::vector<OutputReport> Verifier::verify_calls(const std::string& component,
                                                 std::span<const RecordedCall> calls,
                                                 Engine& engine, Precision precision,
                                                 const std::optional<fs::path>& typed) const {
  MeasureYardstick yardstick;
  if (typed && precision != Precision::kFp32) {
    yardstick = [&]() -> std::map<std::string, OutputDifference> {
      const std::lock_guard lock(running_);
      try {
        return measure_stage(calls, *load_on_cpu(*typed));
      } catch (const StoppedError&) {
        throw;
      } catch (const Error& error) {
        log(LogLevel::kInfo, std::string("no yardstick: ") + error.what());
        return {};
      }
    };
  }
  StoppableEngine stoppable(engine, options_.stop);
  return verify_stage(component, calls, stoppable, precision, options_.gate, yardstick);
}

std::vector<OutputReport> Verifier::verify(const std::string& component, Engine& engine,
                                           Precision precision,
                                           const std::optional<fs::path>& typed) {
  const std::span<const RecordedCall> calls = this->calls(component);
  auto reports = verify_calls(component, calls, engine, precision, typed);
  const auto id = component_named(component);
  const bool counts_images = id && info_of(*id).profiles == ProfileChoice::kOne;
  if (!counts_images || options_.limits.images == 1) return reports;
  // Other kernels may run for several images than for one.
  const auto batch = std::min(static_cast<size_t>(options_.limits.images), calls.size());
  const std::vector<RecordedCall> together = {stack_calls(calls.first(batch))};
  for (auto& report : verify_calls(component, together, engine, precision, typed)) {
    report.output += " of " + std::to_string(batch);
    reports.push_back(std::move(report));
  }
  return reports;
}

Model Verifier::load(const ModelFiles& files, const LoadOptions& options) const {
  if (files.form == ModelForm::kEngines) return Model(files, options);
  return load_graphs(files, [this](const fs::path& path) { return load_on_cpu(path); });
}

Model Verifier::load_graphs(const ModelFiles& graphs, const EngineLoader& load) {
  SessionEngines engines = load_engines(graphs, load);
  for (const Component id : {Component::kVisionEncoder, Component::kDetector}) {
    engines.set(id, std::make_unique<RepeatedCalls>(engines.take(id), kClipImages));
  }
  return Model(std::make_shared<const SharedModel>(
      std::make_shared<SharedEngines>(std::move(engines)), Tokenizer::load(graphs.tokenizer),
      graphs.config, graphs.semantics));
}

ObjectRun Verifier::run_objects(const Model& model) const {
  return sam3trt::run_objects(
      model, images_,
      {.text = options_.texts.front(), .frames = options_.track_frames, .stop = options_.stop});
}

const ObjectRun& Verifier::reference_objects() {
  return reference_objects_.get([this] { return run_reference_objects(); });
}

ObjectRun Verifier::run_reference_objects() const {
  const std::lock_guard lock(running_);
  check_stop();
  log(LogLevel::kInfo, "running the float32 reference of objects on the CPU: clicks on " +
                           std::to_string(images_.size()) + " images, and a clip of " +
                           std::to_string(options_.track_frames) + " frames");
  // The stages have encoded the images already.
  const Model model = load_graphs(graphs_, [this](const fs::path& path) {
    const bool encodes = path == graphs_.at(Component::kVisionEncoder);
    return encodes ? load_reference(path) : load_on_cpu(path);
  });
  if (!model.loaded()->can_interact()) {
    throw_bad_input(graphs_.at(Component::kVisionEncoder).parent_path().string() +
                    ": has no components of clicks, so a model that has cannot be verified; export "
                    "the whole checkpoint again");
  }
  return run_objects(model);
}

void Verifier::prepare_results() {
  static_cast<void>(reference());
  if (graphs_.config.tracker && graphs_.has_all_of(Task::kInteract)) {
    static_cast<void>(reference_objects());
  }
}

ResultReport Verifier::verify_results(const ModelFiles& files, const LoadOptions& options,
                                      Precision precision) {
  const ReferenceRun& expected = reference();
  try {
    check_stop();
    const Model model = load(files, options);
    Session session(model);
    const auto find = [&](std::span<const ImageRequest> requests) {
      std::vector<ImageResult> results;
      const size_t together = std::max<size_t>(model.max_images(), 1);
      for (size_t first = 0; first < requests.size(); first += together) {
        check_stop();
        const size_t count = std::min(together, requests.size() - first);
        std::ranges::move(session.run(requests.subspan(first, count)), std::back_inserter(results));
      }
      return results;
    };
    ResultReport report = sam3trt::verify_results(expected, find, precision, options_.gate);
    if (model.loaded()->can_interact()) {
      verify_objects(reference_objects(), run_objects(model), precision, options_.gate, report);
    }
    return report;
  } catch (const StoppedError&) {
    throw;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInternal) throw;
    ResultReport report;
    report.problems.emplace_back(error.what());
    return report;
  }
}

fs::path Verifier::scratch_parent() const {
  std::error_code error;
  if (options_.cache.empty()) {
    fs::path folder = fs::temp_directory_path(error);
    if (error) throw_bad_input("there is no folder for temporary files (" + error.message() + ")");
    return folder;
  }
  fs::create_directories(options_.cache, error);
  if (error) {
    throw_bad_input(options_.cache.string() + ": cannot be made (" + error.message() + ")");
  }
  return options_.cache;
}

ResultReport Verifier::verify_rounded(const std::map<std::string, Recipe>& recipes,
                                      Precision precision) {
  const TemporaryFolder folder(scratch_parent());
  for (const auto& [id, path] : graphs_.components) {
    check_stop();
    const std::string component(name_of(id));
    const auto known = recipes.find(component);
    if (known == recipes.end()) continue;  // the engines are those of detection alone
    const Recipe recipe = known->second.with_standard_operators();
    std::optional<Calibration> calibration;
    if (recipe.quantises(component))
      calibration = Calibration::load(Calibration::path_beside(path));
    static_cast<void>(write_typed_graph(path, folder.path() / path.filename(), recipe,
                                        calibration ? &*calibration : nullptr));
  }
  std::error_code error;
  fs::copy_file(graphs_.tokenizer, folder.path() / graphs_.tokenizer.filename(), error);
  if (error) {
    throw_bad_input(graphs_.tokenizer.string() + ": cannot be copied (" + error.message() + ")");
  }
  return verify_results(find_model_files(folder.path(), ModelForm::kGraphs),
                        {.threads = options_.threads, .allow_unverified = false}, precision);
}

std::string Verifier::sha256() const {
  const ReferenceLimits& limits = options_.limits;
  const nlohmann::ordered_json json = {{"images", hash_images(images_)},
                                       {"texts", options_.texts},
                                       {"gate", options_.gate.sha256()},
                                       {"openvino", openvino_version()},
                                       {"limits",
                                        {limits.images, limits.prompts, limits.boxes,
                                         limits.mask_prompts, limits.masks, limits.objects}}};
  const std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return sha256_hex(std::as_bytes(std::span(text)));
}

std::vector<std::string> Verifier::calibration_images() const { return hash_images(images_); }

Calibration Verifier::calibrate(const fs::path& onnx, const Recipe& recipe) {
  // Beside the graph, where the calibration will lie, too: on the file system of its weights.
  const TemporaryFolder folder(onnx.has_parent_path() ? onnx.parent_path() : ".");
  const fs::path graph = folder.path() / "calibration.onnx";
  Calibration calibration = write_calibration_graph(onnx, graph, recipe);
  const auto engine =
      load_openvino_engine(graph, {.threads = options_.threads, .stop = options_.stop});
  for (const Image& image : images_) {
    const auto& config = graphs_.config;
    const Tensor pixels =
        to_pixel_values(resize_antialias(image, config.image_size, config.image_size),
                        config.rescale_factor, config.image_mean, config.image_std);
    calibration.add_run(engine->run({{"pixel_values", &pixels}}));
  }
  return calibration;
}

ModelFiles find_exported_model(const fs::path& onnx) {
  const fs::path folder = onnx.parent_path().empty() ? "." : onnx.parent_path();
  try {
    return find_model_files(folder, ModelForm::kGraphs, {"--onnx", "keep one model there"});
  } catch (const Error& error) {
    throw_bad_input(std::string("an engine is verified with the whole exported model, which is "
                                "looked for in the folder of its graph; export it into a folder of "
                                "its own, or leave the engine unverified: ") +
                    error.what());
  }
}

}  // namespace sam3trt
