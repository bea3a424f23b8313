#include "build/engine_build.hpp"

#include <unistd.h>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/mapped_file.hpp"
#include "base/sha256.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

/// A folder beside the output for the typed graph, removed at the end.
class WorkFolder {
 public:
  explicit WorkFolder(const fs::path& output)
      : path_(output.string() + ".building." + std::to_string(::getpid())) {
    std::error_code error;
    fs::create_directory(path_, error);
    if (error) {
      throw_bad_input(path_.string() + ": cannot be made (" + error.message() +
                      "); --output needs a folder that can be written");
    }
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

void hash_file(Sha256& hash, const fs::path& path) { hash.update(MappedFile(path).bytes()); }

/// Hash of the graph and of its weights, if they lie beside it.
std::string hash_graph(const fs::path& onnx) {
  Sha256 hash;
  hash_file(hash, onnx);
  const fs::path data = onnx.string() + ".data";
  std::error_code ignored;
  if (fs::is_regular_file(data, ignored)) hash_file(hash, data);
  return hash.hex_digest();
}

std::string hash_bytes(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex_digest();
}

/// "NVIDIA_H200-TensorRT_10-10.6.0.timing": measured kernel times hold for one GPU and version.
fs::path timing_cache_path(const TensorRtApi& api, const EngineBuildRequest& request) {
  if (request.cache.empty()) return {};
  std::string name =
      request.gpu + "-" + std::string(name_of(api.flavour())) + "-" + api.version() + ".timing";
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-') c = '_';
  }
  return request.cache / name;
}

std::vector<std::byte> read_if_there(const fs::path& path) {
  std::error_code ignored;
  if (path.empty() || !fs::is_regular_file(path, ignored)) return {};
  const MappedFile file(path);
  return {file.bytes().begin(), file.bytes().end()};
}

void save(const fs::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

/// A timing cache only saves time: a folder that cannot be written must not fail a build.
void save_timing_cache(const fs::path& path, std::span<const std::byte> bytes) {
  if (path.empty() || bytes.empty()) return;
  try {
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    save(path, bytes);
  } catch (const Error& error) {
    log(LogLevel::kWarning, std::string("the timing cache was not kept: ") + error.what());
  }
}

std::optional<Calibration> calibration_for(const EngineBuildRequest& request,
                                           const GraphInfo& graph, const Recipe& recipe) {
  const std::string component = graph.metadata.at("sam3trt.component");
  if (!recipe.quantises(component)) return std::nullopt;
  const fs::path beside = Calibration::path_beside(request.onnx);
  std::error_code ignored;
  if (fs::is_regular_file(beside, ignored)) {
    Calibration calibration = Calibration::load(beside);
    if (calibration.checkpoint_sha256 == graph.metadata.at("sam3trt.checkpoint_sha256")) {
      return calibration;
    }
  }
  if (!request.calibrate) {
    throw_bad_input(request.onnx.string() + ": FP8 needs a calibration; there is no " +
                    beside.string());
  }
  Calibration calibration = request.calibrate(request.onnx, recipe);
  calibration.save(beside);
  return calibration;
}

EngineManifest describe(const TensorRtApi& api, const EngineBuildRequest& request,
                        const GraphInfo& graph, const Recipe& recipe,
                        const std::map<std::string, ProfileShape>& profile) {
  EngineManifest manifest;
  manifest.component = graph.metadata.at("sam3trt.component");
  manifest.metadata = graph.metadata;
  const auto softmax = graph.operator_counts.find("Softmax");
  if (softmax != graph.operator_counts.end()) manifest.attentions = softmax->second;
  manifest.graph_sha256 = hash_graph(request.onnx);
  manifest.precision = name_of(recipe.precision);
  manifest.recipe = recipe.name;
  manifest.recipe_sha256 = recipe.sha256();
  manifest.flavour = name_of(api.flavour());
  manifest.tensorrt_version = api.version();
  if (request.compute_capability == 0) {
    manifest.gpu = request.gpu;
    manifest.compute_capability = request.gpu_compute_capability;
  } else {
    manifest.compute_capability = std::to_string(request.compute_capability / 10) + "." +
                                  std::to_string(request.compute_capability % 10);
  }
  for (const auto& [name, shape] : profile) {
    manifest.profile[name] = {shape.min, shape.opt, shape.max};
  }
  return manifest;
}

/// The manifest first: an engine without one is refused, a manifest without its engine harms
/// nothing.
void write_engine(const fs::path& output, const Plan& plan, EngineManifest& manifest) {
  manifest.plan_bytes = plan.bytes.size();
  manifest.plan_sha256 = hash_bytes(plan.bytes);
  AtomicFile engine(output);
  engine.write(plan.bytes);
  AtomicFile text(EngineManifest::path_beside(output));
  text.write(manifest.to_json());
  text.commit();
  engine.commit();
}

void check_request(const EngineBuildRequest& request, const GraphInfo& graph) {
  if (!graph.metadata.contains("sam3trt.component")) {
    throw_bad_input(request.onnx.string() +
                    ": expected a graph that 'sam3trt export' wrote, found one without "
                    "sam3trt.component in its metadata");
  }
  const fs::path folder = fs::absolute(request.output).parent_path();
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    throw_bad_input("--output " + request.output.string() + ": there is no folder " +
                    folder.string() + "; make it first");
  }
}

}  // namespace

EngineBuildResult build_engine(TensorRtApi& api, const EngineBuildRequest& request) {
  const GraphInfo graph = read_graph_info(request.onnx);
  check_request(request, graph);
  const auto profile = make_profile(graph, request.limits);
  const fs::path cache = timing_cache_path(api, request);
  EngineBuildResult result;
  for (const Recipe& recipe : request.recipes.variants(request.precision)) {
    const WorkFolder folder(request.output);
    const fs::path typed = folder.path() / "typed.onnx";
    const auto calibration = calibration_for(request, graph, recipe);
    static_cast<void>(
        write_typed_graph(request.onnx, typed, recipe, calibration ? &*calibration : nullptr));
    PlanSettings settings;
    settings.profile = profile;
    settings.optimization_level = request.optimization_level;
    settings.workspace_bytes = request.workspace_bytes;
    settings.compute_capability = request.compute_capability;
    settings.timing_cache = read_if_there(cache);
    settings.progress = request.progress;
    const Plan plan = api.build(typed, settings);
    save_timing_cache(cache, plan.timing_cache);
    EngineManifest manifest = describe(api, request, graph, recipe, profile);
    if (request.verify) {
      const BuildVerdict verdict = request.verify(plan, recipe, typed);
      manifest.fused_attentions = verdict.fused_attentions;
      manifest.verification_report = verdict.report;
      manifest.verification =
          verdict.passed ? VerificationState::kPassed : VerificationState::kFailed;
      if (!verdict.passed) {
        result.refused.push_back(recipe.name + ": " + verdict.summary);
        if (request.report) request.report("refused " + result.refused.back());
        continue;
      }
    }
    write_engine(request.output, plan, manifest);
    result.manifest = std::move(manifest);
    return result;
  }
  std::string message = request.onnx.string() + ": no engine in " +
                        std::string(name_of(request.precision)) +
                        " gives the results of the float32 reference; try --fp32:";
  for (const std::string& reason : result.refused) message += "\n  " + reason;
  throw Error(ErrorCode::kVerificationFailed, message);
}

}  // namespace sam3trt
