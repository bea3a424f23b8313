#include "segmenter/engines.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "cuda/cublaslt.hpp"
#include "cuda/operators.hpp"
#include "openvino/openvino_engine.hpp"
#include "runtime/float32_engine.hpp"
#include "trt/tensorrt_engine.hpp"

namespace sam3trt {
namespace {

SessionLimits limits_of(const ModelFiles& files) {
  const auto largest = [](const std::filesystem::path& engine, const char* input, size_t axis) {
    const auto size = EngineManifest::load(engine).largest(input, axis);
    return static_cast<size_t>(std::max<int64_t>(size.value_or(1), 1));
  };
  SessionLimits limits;
  limits.prompts = std::min(largest(files.at(Component::kTextEncoder), "input_ids", 0),
                            largest(files.at(Component::kDetector), "text_features", 0));
  limits.masks = largest(files.at(Component::kMaskHead), "query_index", 1);
  return limits;
}

}  // namespace

EngineHost TensorRtHost::describe() const {
  return {std::string(name_of(api->flavour())), api->version(), device.info().name,
          device.info().compute_capability(), operator_kernels_sha256()};
}

std::unique_ptr<TensorRtHost> open_tensorrt(bool parser, std::optional<TensorRtFlavour> wanted,
                                            int device) {
  static_cast<void>(cuda_driver());  // without a GPU, TensorRT itself says nothing useful
  // Its library takes as long to load as the GPU's context takes to be made.
  auto library = std::async(std::launch::async, [&] { return load_tensorrt(parser, wanted); });
  CudaDevice started(device);
  return std::make_unique<TensorRtHost>(library.get(), std::move(started));
}

std::unique_ptr<TensorRtHost> open_tensorrt_for(const std::filesystem::path& engine, int device) {
  const auto wanted = flavour_named(EngineManifest::load(engine).flavour);
  // This program builds engines for TensorRT-RTX, but does not run them: they are refused.
  return open_tensorrt(false, wanted == TensorRtFlavour::kTensorRtRtx ? std::nullopt : wanted,
                       device);
}

std::vector<EngineManifest> load_manifests(const ModelFiles& files) {
  std::vector<EngineManifest> manifests;
  for (const auto& [component, path] : files.components) {
    manifests.push_back(EngineManifest::load(path));
  }
  return manifests;
}

std::map<std::string, std::string> unverified_components(const ModelFiles& files) {
  std::map<std::string, std::string> unverified;
  if (files.form == ModelForm::kGraphs) return unverified;
  const std::vector<EngineManifest> manifests = load_manifests(files);
  const std::string set = set_sha256_of(manifests);
  auto manifest = manifests.begin();
  for (const auto& [component, path] : files.components) {
    const std::string name(name_of(component));
    if (manifest->verification != VerificationState::kPassed) {
      unverified[name] = name_of(manifest->verification);
    } else if (manifest->set_sha256 != set) {
      unverified[name] = "passed with other engines";
    }
    ++manifest;
  }
  return unverified;
}

bool all_verified(const ModelFiles& files) { return unverified_components(files).empty(); }

void check_set(const ModelFiles& files, const LoadOptions& options) {
  if (options.allow_unverified) return;
  const std::vector<EngineManifest> manifests = load_manifests(files);
  // An engine that is refused by itself has a reason of its own.
  const bool all_passed = std::ranges::all_of(manifests, [](const EngineManifest& manifest) {
    return manifest.verification == VerificationState::kPassed;
  });
  if (!all_passed) return;
  const std::string reason = set_refusal(manifests);
  if (!reason.empty()) {
    throw_bad_input(files.at(Component::kVisionEncoder).string() + ": " + reason);
  }
}

EngineFile::EngineFile(const std::filesystem::path& path)
    : manifest_(EngineManifest::load(path)),
      file_(path),
      intact_(std::async(std::launch::async, [manifest = manifest_, bytes = file_.bytes()] {
                return manifest.describes(bytes);
              }).share()) {}

void EngineFile::check_content() {
  // A plan is machine code: it is loaded only when it is the one that was verified.
  if (!intact_.get()) {
    throw_bad_input(file_.path().string() +
                    ": is not the engine that its manifest describes; build it again");
  }
}

std::shared_ptr<const LoadedPlan> EngineFile::load(TensorRtHost& host, const LoadOptions& options) {
  const std::string path = file_.path().string();
  const EngineHost here = host.describe();
  const std::string reason = refusal(manifest_, here, options.allow_unverified);
  if (!reason.empty()) throw_bad_input(path + ": " + reason);
  std::future<void> started;  // so that the plan's first run need not wait for it
  if (!manifest_.cublaslt_version.empty()) {
    const CublasLtInfo library = find_cublaslt();
    const std::string missing = missing_library(manifest_, library.version, library.problem);
    if (!missing.empty()) throw Error(ErrorCode::kUnavailable, path + ": " + missing);
    started = std::async(std::launch::async, [&host] {
      host.device.make_current();
      static_cast<void>(cublaslt_library().handle());
    });
  }
  check_content();
  log(LogLevel::kInfo,
      "loading " + path + " in " + here.flavour + " " + here.tensorrt_version + " on " + here.gpu);
  auto plan = host.api->load(file_.bytes());
  if (started.valid()) started.get();
  return plan;
}

EngineFiles open_engines(const ModelFiles& files) {
  EngineFiles engines;
  for (const auto& [component, path] : files.components) {
    if (serves(component, Task::kDetect)) engines.try_emplace(component, path);
  }
  return engines;
}

LatePlans late_plans(TensorRtHost& host, const ModelFiles& files, const LoadOptions& options) {
  LatePlans plans;
  for (const auto& [component, path] : files.components) {
    if (serves(component, Task::kDetect)) continue;
    const EngineManifest manifest = EngineManifest::load(path);
    const auto counting = input_counting(component, "O");
    const int64_t objects = counting ? manifest.largest(std::string(*counting), 0).value_or(1) : 0;
    const auto load = [&host, path = path, options, plan = manifest.plan_sha256] {
      host.device.make_current();
      EngineFile file(path);
      if (file.manifest().plan_sha256 != plan && !options.allow_unverified) {
        throw_bad_input(path.string() +
                        ": is another engine than when the model was loaded; load the model again");
      }
      return file.load(host, options);
    };
    plans[component] = {load, objects};
  }
  return plans;
}

GpuPlans load_plans(TensorRtHost& host, EngineFiles files, const LoadOptions& options) {
  std::map<Component, std::future<std::shared_ptr<const LoadedPlan>>> loading;
  for (auto& [component, engine] : files) {
    EngineFile& file = engine;
    loading[component] = std::async(std::launch::async, [&host, &options, &file] {
      host.device.make_current();
      return file.load(host, options);
    });
  }
  GpuPlans plans;
  for (auto& [component, plan] : loading) plans[component] = plan.get();
  return plans;
}

std::unique_ptr<Engine> load_engine_file(TensorRtHost& host, const std::filesystem::path& path,
                                         const LoadOptions& options) {
  return with_float32_tensors(
      make_tensorrt_engine(*EngineFile(path).load(host, options), path.string(), host.device));
}

HostModel load_model(const ModelFiles& files, const LoadOptions& options) {
  HostModel model;
  if (files.form == ModelForm::kGraphs) {
    model.backend = "openvino";
    model.engines = load_engines(files, [options](const std::filesystem::path& path) {
      log(LogLevel::kInfo, "loading " + path.string() + " in OpenVINO " + openvino_version());
      return with_float32_tensors(load_openvino_engine(path, {.threads = options.threads}));
    });
    return model;
  }
  model.backend = "tensorrt";
  check_set(files, options);
  model.host = open_tensorrt_for(files.components.at(Component::kVisionEncoder), options.device);
  TensorRtHost* host = model.host.get();  // outlives the engines, as HostModel says
  model.engines = load_engines(files, [host, options](const std::filesystem::path& path) {
    return load_engine_file(*host, path, options);
  });
  model.limits = limits_of(files);
  model.verified = all_verified(files);
  return model;
}

}  // namespace sam3trt
