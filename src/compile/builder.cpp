#include "compile/builder.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/mapped_file.hpp"
#include "base/output_check.hpp"
#include "base/sha256.hpp"
#include "base/stop.hpp"
#include "base/temporary.hpp"
#include "compile/compile_apart.hpp"
#include "compile/file_hashes.hpp"
#include "compile/part_builds.hpp"
#include "compile/product_algorithms.hpp"
#include "compile/work_ahead.hpp"
#include "cuda/operators.hpp"
#include "onnx/graph_info.hpp"
#include "runtime/float32_engine.hpp"
#include "segmenter/batched_inputs.hpp"
#include "trt/layers.hpp"
#include "trt/plan_timer.hpp"
#include "trt/tensorrt_engine.hpp"
#include "verify/verify_model.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

/// `sam3trt.component` of a graph; empty for one of another program.
std::string component_of(const fs::path& onnx) {
  const GraphInfo info = read_graph_info(onnx);
  const auto found = info.metadata.find("sam3trt.component");
  return found == info.metadata.end() ? "" : found->second;
}

/// A detector brings the components that lie beside it (docs/graphs.md).
void add_detector(BuildPlan& plan, const fs::path& onnx, const fs::path& engine) {
  plan.jobs.push_back({onnx, engine});
  for (const Component component : components_beside(Component::kDetector)) {
    const fs::path graph = path_beside(onnx, component);
    if (component_of(graph) != name_of(component)) {
      throw_bad_input(graph.string() + ": expected the " + std::string(name_of(component)) +
                      " of " + onnx.string() + "; export the detector again");
    }
    plan.jobs.push_back({graph, path_beside(engine, component)});
  }
  plan.tokenizer = tokenizer_beside(onnx);
  plan.tokenizer_output = tokenizer_beside(engine);
}

/// The engines of clicks and videos in a plan of a whole model.
std::map<Component, fs::path> tracker_engines(const BuildPlan& plan) {
  std::map<Component, fs::path> engines;
  for (const BuildJob& job : plan.jobs) {
    const auto component = component_named(component_of(job.onnx));
    if (component && !serves(*component, Task::kDetect)) engines[*component] = job.engine;
  }
  return engines;
}

fs::path folder_of(const BuildRequest& request, const BuildPlan& plan) {
  if (plan.is_model) return request.output;
  return request.output.has_parent_path() ? request.output.parent_path() : ".";
}

/// Graphs and engines may share a folder, and so the tokenizer.
bool shares_tokenizer(const BuildPlan& plan) {
  std::error_code error;
  return plan.tokenizer.empty() || fs::equivalent(plan.tokenizer, plan.tokenizer_output, error);
}

/// No output is one of the inputs, and all can be written.
void check_outputs(const BuildRequest& request, const BuildPlan& plan) {
  OutputCheck check;
  for (const BuildJob& job : plan.jobs) {
    for (const char* suffix : {"", ".data"}) {
      check.reads(job.onnx.string() + suffix, "graph " + job.onnx.string() + suffix);
    }
  }
  if (!plan.tokenizer.empty()) check.reads(plan.tokenizer, "tokenizer " + plan.tokenizer.string());
  for (const fs::path& image : request.verifier.images) {
    check.reads(image, "--image " + image.string());
  }
  for (const fs::path& file : request.also_read) check.reads(file, file.string());
  const std::string option = "--output " + request.output.string();
  const fs::path folder = folder_of(request, plan);
  check_output_folder(folder, option);
  std::error_code error;
  const auto write = [&](const fs::path& path) {
    const std::string what = path == request.output ? option : option + ": " + path.string();
    if (fs::exists(folder, error)) {
      check.writes(path, what);
    } else {
      check.writes_later(path, what);
    }
  };
  for (const BuildJob& job : plan.jobs) {
    write(job.engine);
    write(EngineManifest::path_beside(job.engine));
    if (request.precision == Precision::kFp8) {
      const fs::path calibration = Calibration::path_beside(job.onnx);
      check.writes_later(calibration, "calibration " + calibration.string());
    }
  }
  if (!shares_tokenizer(plan)) write(plan.tokenizer_output);
}

void copy_tokenizer(const BuildPlan& plan) {
  if (shares_tokenizer(plan)) return;
  const MappedFile file(plan.tokenizer);
  AtomicFile copy(plan.tokenizer_output);
  copy.write(file.bytes());
  copy.commit();
}

/// Builds engines with one library and verifies them.
class Builder {
 public:
  /// Opens the library, while large files of the plan are hashed. The model that its graphs belong
  /// to is the reference.
  Builder(const BuildRequest& request, const BuildEvents& events, const BuildPlan& plan)
      : request_(request),
        events_(events),
        forward_(request.verifier.stop, [this] { cancel_.request_stop(); }) {
    if (request.compute_capability != 0 && request.target != BuildTarget::kTensorRtRtx) {
      throw_bad_input(
          "--compute-capability: TensorRT builds for the GPU of this machine; it goes with "
          "--target rtx");
    }
    begin_hashes(plan);
    if (request.target == BuildTarget::kTensorRtRtx) {
      api_ = load_tensorrt(true, TensorRtFlavour::kTensorRtRtx);
    } else {
      host_ = open_tensorrt(true);
      api_ = host_->api;
      products_ = std::make_unique<ProductChooser>(host_->device, timing_caches(), request.force);
      // On a small GPU one engine at a time is verified.
      for (std::ptrdiff_t i = 1; i < kVerifiedTogether; ++i) {
        if (host_->device.info().memory_bytes < kMemoryForSeveral) verifying_.acquire();
      }
    }
    compiler_ = api_;
    if (request.jobs > 1 && !request.program.empty()) {
      compiler_ = compile_apart(api_, request.program, request.jobs);
    }
    const bool calibrates = request.precision == Precision::kFp8;
    const fs::path& first = plan.jobs.front().onnx;
    if (component_of(first).empty() || !(verifies() || calibrates)) return;
    VerifierOptions options = request.verifier;
    options.stop = cancel_.get_token();
    options.limits.images = request.limits.images;
    options.limits.prompts = request.limits.prompts;
    options.limits.boxes = request.limits.boxes;
    options.limits.mask_prompts = mask_prompts(request.limits);
    if (request.limits.masks > 0) options.limits.masks = request.limits.masks;
    options.limits.objects = request.limits.objects;
    limits_ = options.limits;
    verifier_.emplace(find_exported_model(first), std::move(options));
  }

  /// Whether engines can be verified: not when asked not to, and not without a GPU that runs them.
  [[nodiscard]] bool verifies() const { return host_ && request_.verify; }

  /// Of all graphs of the plan, with what tells their verification from others.
  [[nodiscard]] std::vector<EngineBuildRequest> requests_for(const BuildPlan& plan) {
    begin_hashes();
    std::vector<EngineBuildRequest> requests;
    requests.reserve(plan.jobs.size());
    for (const BuildJob& job : plan.jobs) requests.push_back(request_for(job));
    return requests;
  }

  /// Engines that are up to date stay as they are.
  [[nodiscard]] std::vector<ModelPart> build_all(const BuildPlan& plan) {
    PartBuilds how;
    how.force = request_.force;
    // Where compilers are processes, they take turns themselves: an engine that is compiled and
    // waits for the reference keeps no other from being compiled.
    how.jobs = compiler_ == api_ ? request_.jobs : plan.jobs.size();
    how.failed = [this] { failed_ = true; };
    how.build = [this](const EngineBuildRequest& request) { return build(request); };
    how.changed = [&](const std::vector<const EngineBuildRequest*>& changed) {
      plan_ahead(changed, plan.is_model);
    };
    how.kept = [this](const ModelPart& part) {
      if (events_.built) events_.built(part);
    };
    return build_parts(*api_, requests_for(plan), how);
  }

  [[nodiscard]] EngineBuildRequest request_for(const BuildJob& job) {
    EngineBuildRequest request;
    request.onnx = job.onnx;
    request.output = job.engine;
    request.precision = request_.precision;
    request.recipes = request_.recipes;
    request.limits = request_.limits;
    request.optimization_level = request_.optimization_level;
    request.workspace_bytes = request_.workspace_bytes;
    request.compute_capability = request_.compute_capability;
    request.force = request_.force;
    request.graph_sha256 = hashes_.graph(job.onnx);
    request.output_intact = outputs_.at(job.engine);
    request.cache = timing_caches();
    request.report = [](const std::string& message) { log(LogLevel::kWarning, message); };
    if (host_) {
      request.gpu = host_->device.info().name;
      request.gpu_compute_capability = host_->device.info().compute_capability();
      request.kernels_sha256 = operator_kernels_sha256();
      const CublasLtInfo library = find_cublaslt();
      request.cublaslt_problem = library.problem;
      if (library.problem.empty()) request.cublaslt_version = library.version;
      request.choose_algorithms = [this](const OwnProduct& product, int64_t rows) {
        return products_->choose(product, rows);
      };
    }
    if (!verifier_) return request;
    request.calibration_images = verifier_->calibration_images();
    request.calibrate = [this](const fs::path& onnx, const Recipe& recipe) {
      const std::lock_guard turn(timing_);
      return verifier_->calibrate(onnx, recipe);
    };
    if (verifies()) {
      request.verification = verification_sha256();
      request.compiling = [this] { start_ahead(); };
      request.verify = [this, name = job.engine.string()](const Plan& plan, const Recipe& recipe,
                                                          const fs::path& typed) {
        return verify(plan, recipe, typed, name);
      };
    }
    return request;
  }

  [[nodiscard]] EngineBuildResult build(EngineBuildRequest request) {
    check_stop();
    if (host_) host_->device.make_current();
    log(LogLevel::kInfo, "building " + request.output.string() + " in " +
                             std::string(name_of(request.precision)) + " with " +
                             std::string(name_of(api_->flavour())) + " " + api_->version());
    request.progress = [&](std::string_view phase, int step, int steps) {
      // The outer phases have the longest names; tactics are where the time goes.
      if (events_.progress && steps > 0 && phase.find("Tactic") == std::string_view::npos) {
        events_.progress(request.output, static_cast<double>(step) / steps);
      }
      return !request_.verifier.stop.stop_requested() && !failed_ && !ahead_failed();
    };
    try {
      EngineBuildResult result = build_engine(*compiler_, request);
      const std::lock_guard turn(telling_);
      if (events_.built) events_.built({request, result});
      return result;
    } catch (const Error&) {
      check_stop();  // whatever the library made of it
      const std::lock_guard turn(starting_);
      if (ahead_) ahead_->check();
      throw;
    }
  }

  /// The model whose engines all lie in the folder, those of `parts` among them; nothing, and why,
  /// when there is none that was built and passed stage by stage.
  [[nodiscard]] std::optional<ModelFiles> find_set(const BuildPlan& plan,
                                                   std::string& reason) const {
    try {
      ModelFiles files =
          plan.is_model
              ? find_model_files(plan.jobs[0].engine, plan.jobs[1].engine, tracker_engines(plan))
              : find_model_files(folder_of(request_, plan), ModelForm::kEngines);
      for (const EngineManifest& manifest : load_manifests(files)) {
        if (manifest.verification == VerificationState::kStages ||
            manifest.verification == VerificationState::kPassed) {
          continue;
        }
        reason = "the " + manifest.component + " did not pass its verification";
        return std::nullopt;
      }
      return files;
    } catch (const Error& error) {
      if (plan.is_model) throw;
      reason = error.what();
      return std::nullopt;
    }
  }

  /// Holds the whole model against the reference (repair_model), and marks its engines.
  [[nodiscard]] EndToEnd verify_together(const ModelFiles& files, std::vector<ModelPart>& parts) {
    use_limits(reference_limits(files));
    const Precision precision = precision_of(files);
    const std::string wanted = set_sha256();
    if (!request_.force) {
      if (auto checked = find_checked_set(files, parts, wanted)) return std::move(*checked);
    }
    const auto check = [&] {
      return verifier_->verify_results(files, {.threads = 0, .allow_unverified = true}, precision);
    };
    return verify_set(files, parts, check,
                      {{},
                       [&] { return check_rounded(files, precision); },
                       [this](const EngineBuildRequest& request) { return build(request); },
                       [](const std::string& message) { log(LogLevel::kWarning, message); }},
                      wanted);
  }

 private:
  void check_stop() const { throw_if_stopped(request_.verifier.stop, "the build"); }

  /// The folder of what builds measured; empty where nothing is kept.
  [[nodiscard]] fs::path timing_caches() const {
    const fs::path& cache = request_.verifier.cache;
    return cache.empty() ? fs::path() : cache / "timing";
  }

  /// Of the plan's graphs, and of the engines that may stay as they are.
  void begin_hashes(const BuildPlan& plan) {
    for (const BuildJob& job : plan.jobs) {
      hashes_.begin_graph(job.onnx);
      auto& output = outputs_[job.engine];
      if (!request_.force) output = FileHashes::begin_engine(job.engine);
    }
  }

  /// The graphs that those of the plan are verified with.
  void begin_hashes() {
    if (!verifier_ || !verifies()) return;
    for (const auto& [component, path] : verifier_->graphs().components) hashes_.begin_graph(path);
  }

  /// What stages are verified with: the graphs of the whole model, because each stage's inputs are
  /// another's outputs.
  [[nodiscard]] std::string verification_sha256() const {
    std::string text = verifier_->sha256() + "\n";
    for (const auto& [component, path] : verifier_->graphs().components) {
      text += std::string(name_of(component)) + " " + hashes_.graph(path) + "\n";
    }
    text += sha256_hex(MappedFile(verifier_->graphs().tokenizer).bytes());
    return sha256_hex(std::as_bytes(std::span(text)));
  }

  /// What the engines are verified with together.
  [[nodiscard]] std::string set_sha256() const {
    const std::string text =
        verification_sha256() + " frames " + std::to_string(request_.verifier.track_frames);
    return sha256_hex(std::as_bytes(std::span(text)));
  }

  /// What the verification of these engines needs of the float32 graphs, for start_ahead.
  void plan_ahead(const std::vector<const EngineBuildRequest*>& changed, bool is_model) {
    if (!verifier_ || !verifies()) return;
    for (const EngineBuildRequest* request : changed) {
      pieces_.emplace_back([this, component = component_of(request->onnx)] {
        static_cast<void>(verifier_->calls(component));
      });
    }
    if (is_model) pieces_.emplace_back([this] { verifier_->prepare_results(); });
  }

  /// The first time, runs the reference on the CPU beside TensorRT, whose compiler is one thread.
  void start_ahead() {
    const std::lock_guard turn(starting_);
    if (ahead_ || pieces_.empty()) return;
    ahead_.emplace(std::move(pieces_), [this] { cancel_.request_stop(); });
  }

  [[nodiscard]] bool ahead_failed() {
    const std::lock_guard turn(starting_);
    return ahead_ && ahead_->failed();
  }

  /// Engines that were built before may take less than those of this request.
  void use_limits(const ReferenceLimits& limits) {
    if (limits == limits_) return;
    if (ahead_) ahead_->finish();
    VerifierOptions options = request_.verifier;
    options.stop = cancel_.get_token();
    options.limits = limits_ = limits;
    const ModelFiles graphs = verifier_->graphs();
    verifier_.emplace(graphs, std::move(options));
  }

  /// Holds one engine against its stage. Some engines at a time, for most of that is comparing on
  /// one core, but only so many, for each takes memory of the GPU. What others run on it while one
  /// is timed takes a few calls of many, of which the median counts.
  [[nodiscard]] BuildVerdict verify(const Plan& plan, const Recipe& recipe, const fs::path& typed,
                                    const std::string& name) {
    const std::string component = component_of(typed);
    // The reference comes first: an engine that waits for it does not keep others from their turn.
    static_cast<void>(verifier_->calls(component));
    verifying_.acquire();
    struct Turn {
      std::counting_semaphore<kVerifiedTogether>& turns;
      ~Turn() { turns.release(); }
    } const turn{verifying_};
    if (failed_) throw StoppedError("the build of " + name + " was cancelled");
    std::unique_lock alone(timing_);
    const auto loaded = host_->api->load(plan.bytes);
    const int64_t fused = count_fused_attentions(loaded->layers_json());
    const double milliseconds =
        PlanTimer(host_->device, *loaded, batched_inputs_of(component)).time_plain(1, {}).median;
    const auto engine = with_float32_tensors(make_tensorrt_engine(*loaded, name, host_->device));
    alone.unlock();
    const auto reports = verifier_->verify(component, *engine, recipe.precision, typed);
    log(LogLevel::kInfo, recipe.name + ": " + summary(reports) + "\n" + to_table(reports));
    double deviation = 0;
    for (const OutputReport& report : reports) {
      deviation = std::max(deviation, report.difference.deviation);
    }
    return BuildVerdict{passed(reports), summary(reports), to_json(reports),
                        fused,           deviation,        milliseconds};
  }

  /// The reference with its weights rounded as in the engines, against itself.
  [[nodiscard]] std::string check_rounded(const ModelFiles& files, Precision precision) {
    if (precision == Precision::kFp32) return {};
    log(LogLevel::kInfo, "running the reference with rounded weights on the CPU");
    std::map<std::string, Recipe> recipes;
    for (const EngineManifest& manifest : load_manifests(files)) {
      recipes[manifest.component] = request_.recipes.find(manifest.recipe);
    }
    const ResultReport report = verifier_->verify_rounded(recipes, precision);
    return report.problems.empty() ? std::string() : summary(report);
  }

  static constexpr std::ptrdiff_t kVerifiedTogether = 3;
  /// Of the GPU; an engine of the published size takes up to 1.2 GB, and compilers take some.
  static constexpr uint64_t kMemoryForSeveral = uint64_t{20} << 30;

  const BuildRequest& request_;
  const BuildEvents& events_;
  std::stop_source cancel_;  ///< Of the verifier.
  std::stop_callback<std::function<void()>> forward_;
  std::unique_ptr<TensorRtHost> host_;
  std::unique_ptr<ProductChooser> products_;  ///< Where there is a host.
  std::shared_ptr<TensorRtApi> api_;
  std::shared_ptr<TensorRtApi> compiler_;  ///< The same, or in processes of its own.
  std::optional<Verifier> verifier_;
  ReferenceLimits limits_;                                ///< Of the verifier.
  FileHashes hashes_;                                     ///< Of the graphs.
  std::map<fs::path, std::shared_future<bool>> outputs_;  ///< Intact? Of engines that are there.
  std::atomic<bool> failed_ = false;                      ///< An engine, while others are built.
  std::counting_semaphore<kVerifiedTogether> verifying_{kVerifiedTogether};
  std::mutex timing_;    ///< Held by the thread that loads and times an engine, or calibrates.
  std::mutex telling_;   ///< By the one that tells of an engine.
  std::mutex starting_;  ///< By the one that uses `pieces_` and `ahead_`.
  std::vector<WorkAhead::Piece> pieces_;
  std::optional<WorkAhead> ahead_;  ///< Uses the verifier.
};

}  // namespace

BuildPlan plan_build(const BuildRequest& request) {
  BuildPlan plan;
  const fs::path& output = request.output;
  std::error_code error;
  if (fs::is_directory(request.onnx, error)) {
    const ModelFiles files = find_model_files(
        request.onnx, ModelForm::kGraphs,
        {"--onnx", "name a folder with one model, or build the graphs one by one"});
    const auto engine_of = [&](const fs::path& graph) {
      return output / (graph.stem().string() + ".engine");
    };
    const fs::path& encoder = files.at(Component::kVisionEncoder);
    plan.jobs.push_back({encoder, engine_of(encoder)});
    const fs::path& detector = files.at(Component::kDetector);
    add_detector(plan, detector, engine_of(detector));
    for (const auto& [component, path] : files.components) {
      if (!serves(component, Task::kDetect)) plan.jobs.push_back({path, engine_of(path)});
    }
    plan.is_model = true;
    return plan;
  }
  if (output.extension() != ".engine") {
    throw_bad_input("--output " + output.string() + ": expected a name that ends in .engine");
  }
  const auto component = component_named(component_of(request.onnx));
  if (component == Component::kDetector) {
    add_detector(plan, request.onnx, output);
  } else {
    plan.jobs.push_back({request.onnx, output});
  }
  return plan;
}

BuildOutcome build_engines(const BuildRequest& request, const BuildEvents& events) {
  const BuildPlan plan = plan_build(request);
  check_outputs(request, plan);
  Builder builder(request, events, plan);
  ResultFolder folder(folder_of(request, plan), "--output " + request.output.string());
  BuildOutcome outcome;
  outcome.parts = builder.build_all(plan);
  copy_tokenizer(plan);
  folder.keep();
  const bool is_foreign = outcome.parts.front().result.manifest.component.empty();
  if (!builder.verifies() || is_foreign) {
    outcome.end_to_end.text = "the engines were not verified";
    return outcome;
  }
  std::string reason;
  const auto files = builder.find_set(plan, reason);
  if (files) {
    outcome.end_to_end = builder.verify_together(*files, outcome.parts);
  } else {
    outcome.end_to_end.text =
        "not checked, because there is not one complete model beside it (" + reason +
        "); build the other components into the same folder, or run 'sam3trt verify' with all of "
        "them";
  }
  return outcome;
}

}  // namespace sam3trt
