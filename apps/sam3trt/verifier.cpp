#include "verifier.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/temporary.hpp"
#include "cache_folder.hpp"
#include "image/resize.hpp"
#include "onnx/graph_info.hpp"
#include "openvino/openvino_engine.hpp"
#include "runtime/float32_engine.hpp"
#include "segmenter/segmenter.hpp"
#include "verify/cached_engine.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> default_photographs() {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator entry("test_images", error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string extension = entry->path().extension().string();
    if (extension == ".jpg" || extension == ".png") paths.push_back(entry->path());
  }
  std::ranges::sort(paths);
  return paths;
}

}  // namespace

Verifier::Verifier(ModelFiles graphs, const VerifierOptions& options)
    : graphs_(std::move(graphs)),
      gate_(options.gate.empty() ? Gate::builtin() : Gate::load(options.gate)),
      texts_(options.texts),
      threads_(options.threads),
      limits_(options.limits) {
  require_openvino("the float32 reference that engines are verified with");
  std::vector<fs::path> paths(options.images.begin(), options.images.end());
  if (paths.empty()) paths = default_photographs();
  for (const fs::path& path : paths) photographs_.push_back(read_image(path));
  if (texts_.empty()) texts_ = {"circle", "cat", "cup"};
}

std::unique_ptr<Engine> Verifier::load_on_cpu(const fs::path& path) const {
  return with_float32_tensors(load_openvino_engine(path, {.threads = threads_}));
}

std::unique_ptr<Engine> Verifier::load_reference(const fs::path& path) const {
  const fs::path folder = user_cache_folder();
  if (folder.empty()) return load_on_cpu(path);
  const GraphInfo graph = read_graph_info(path);
  return std::make_unique<CachedEngine>(
      CachedEngine::Source{graph.inputs, graph.outputs,
                           [path] { return hash_graph(path) + " OpenVINO " + openvino_version(); },
                           [this, path] { return load_on_cpu(path); }},
      folder / "reference");
}

const ReferenceRun& Verifier::reference() {
  if (!reference_) {
    std::vector<Image> images = built_in_pictures();
    images.insert(images.begin(), photographs_.begin(), photographs_.end());
    log(LogLevel::kInfo, "running the float32 reference on " + std::to_string(images.size()) +
                             " pictures on the CPU");
    reference_ = record_reference(
        graphs_, [this](const fs::path& path) { return load_reference(path); }, std::move(images),
        texts_, limits_);
  }
  return *reference_;
}

std::vector<OutputReport> Verifier::verify_calls(const std::string& component,
                                                 std::span<const RecordedCall> calls,
                                                 Engine& engine, Precision precision,
                                                 const std::optional<fs::path>& typed) const {
  MeasureYardstick yardstick;
  if (typed && precision != Precision::kFp32) {
    yardstick = [&]() -> std::map<std::string, OutputDifference> {
      try {
        return measure_stage(calls, *load_on_cpu(*typed));
      } catch (const Error& error) {
        log(LogLevel::kInfo, std::string("no yardstick: ") + error.what());
        return {};
      }
    };
  }
  return verify_stage(component, calls, engine, precision, gate_, yardstick);
}

std::vector<OutputReport> Verifier::verify(const std::string& component, Engine& engine,
                                           Precision precision,
                                           const std::optional<fs::path>& typed) {
  const auto& calls = reference().calls.at(component);
  auto reports = verify_calls(component, calls, engine, precision, typed);
  if (component != "vision_encoder" || limits_.images == 1) return reports;
  // Other kernels may run for several pictures than for one.
  const auto batch = std::min(static_cast<size_t>(limits_.images), calls.size());
  const std::vector<RecordedCall> together = {stack_calls(std::span(calls).first(batch))};
  for (auto& report : verify_calls(component, together, engine, precision, typed)) {
    report.output += " of " + std::to_string(batch);
    reports.push_back(std::move(report));
  }
  return reports;
}

ResultReport Verifier::verify_results(const ModelFiles& files, const LoadOptions& options,
                                      Precision precision) {
  try {
    Segmenter segmenter(files, options);
    const auto find = [&](std::span<const ImageRequest> requests) {
      return segmenter.run(requests, {});
    };
    return sam3trt::verify_results(reference(), find, precision, gate_);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInternal) throw;
    ResultReport report;
    report.problems.emplace_back(error.what());
    return report;
  }
}

ResultReport Verifier::verify_rounded(const std::map<std::string, Recipe>& recipes,
                                      Precision precision) {
  fs::path parent = user_cache_folder();
  if (parent.empty()) parent = fs::temp_directory_path();
  std::error_code error;
  fs::create_directories(parent, error);
  if (error) throw_bad_input(parent.string() + ": cannot be made (" + error.message() + ")");
  const TemporaryFolder scratch(parent);
  const fs::path& folder = scratch.path();
  for (const auto& [component, path] : graphs_.components) {
    const Recipe recipe = recipes.at(std::string(name_of(component))).with_standard_operators();
    std::optional<Calibration> calibration;
    if (recipe.quantises(std::string(name_of(component))))
      calibration = Calibration::load(Calibration::path_beside(path));
    static_cast<void>(write_typed_graph(path, folder / path.filename(), recipe,
                                        calibration ? &*calibration : nullptr));
  }
  fs::copy_file(graphs_.tokenizer, folder / graphs_.tokenizer.filename());
  return verify_results(find_model_files(folder, ModelForm::kGraphs),
                        {.threads = threads_, .allow_unverified = false}, precision);
}

Calibration Verifier::calibrate(const fs::path& onnx, const Recipe& recipe) {
  const fs::path beside = fs::absolute(onnx).parent_path();
  const TemporaryFolder folder(beside);
  const fs::path graph = folder.path() / onnx.filename();
  const fs::path weights = onnx.filename().string() + ".data";
  std::error_code error;
  if (fs::exists(beside / weights, error)) {
    fs::create_symlink(beside / weights, folder.path() / weights);
  }
  Calibration calibration = write_calibration_graph(onnx, graph, recipe);
  const auto engine = load_openvino_engine(graph, {.threads = threads_});
  std::vector<Image> images = built_in_pictures();
  images.insert(images.end(), photographs_.begin(), photographs_.end());
  for (const Image& image : images) {
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
    return find_model_files(folder, ModelForm::kGraphs);
  } catch (const Error& error) {
    throw_bad_input(std::string("an engine is verified with the whole exported model, which is "
                                "looked for in the folder of --onnx (export it there, or pass "
                                "--skip-verification): ") +
                    error.what());
  }
}

}  // namespace sam3trt
