#pragma once

#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mapped_file.hpp"
#include "cuda/device.hpp"
#include "gpu/gpu_model.hpp"
#include "manifest/manifest.hpp"
#include "runtime/cpu_session.hpp"
#include "runtime/model_files.hpp"
#include "sam3trt/model.hpp"
#include "trt/api.hpp"

namespace sam3trt {

/// The GPU and the TensorRT that engines run with.
struct TensorRtHost {
  TensorRtHost(std::shared_ptr<TensorRtApi> library, CudaDevice gpu)
      : api(std::move(library)), device(std::move(gpu)) {}

  std::shared_ptr<TensorRtApi> api;
  CudaDevice device;

  [[nodiscard]] EngineHost describe() const;
};

/// TensorRT on a GPU of this machine. Throws Error(kUnavailable) when the GPU, its driver or the
/// library is missing.
[[nodiscard]] std::unique_ptr<TensorRtHost> open_tensorrt(
    bool parser, std::optional<TensorRtFlavour> wanted = std::nullopt, int device = 0);

/// The TensorRT that the engine's manifest names, whichever others there are.
[[nodiscard]] std::unique_ptr<TensorRtHost> open_tensorrt_for(const std::filesystem::path& engine,
                                                              int device = 0);

/// Engines of a model that take and give tensors in host memory, and what they need to live. `host`
/// is null on the CPU.
struct HostModel {
  std::unique_ptr<TensorRtHost> host;
  SessionEngines engines;
  SessionLimits limits;
  std::string backend;   ///< "tensorrt" or "openvino"
  bool verified = true;  ///< False when an engine runs only because of --allow-unverified.
};

/// Loads graphs in OpenVINO or engines in TensorRT, by the form of the files. Engines that are not
/// what their manifests say, were built for another machine or did not pass their verification are
/// Error(kBadInput), except what `allow_unverified` allows.
[[nodiscard]] HostModel load_model(const ModelFiles& files, const LoadOptions& options);

/// An engine file with its manifest. Threads hash the bytes from the construction on, while CUDA
/// and TensorRT are started, which therefore comes after.
class EngineFile {
 public:
  /// Throws Error(kBadInput) when the file or its manifest is missing or the latter is none.
  explicit EngineFile(const std::filesystem::path& path);
  EngineFile(EngineFile&&) = default;
  EngineFile& operator=(EngineFile&&) = delete;
  EngineFile(const EngineFile&) = delete;
  EngineFile& operator=(const EngineFile&) = delete;
  ~EngineFile() = default;

  [[nodiscard]] const EngineManifest& manifest() const { return manifest_; }

  /// Throws Error(kBadInput) when the bytes are not those that the manifest describes.
  void check_content();

  /// Whether it is verified or allowed, and unchanged since; then the plan. Throws as load_model
  /// does.
  [[nodiscard]] std::shared_ptr<const LoadedPlan> load(TensorRtHost& host,
                                                       const LoadOptions& options);

 private:
  EngineManifest manifest_;
  MappedFile file_;
  std::shared_future<bool> intact_;  ///< Its end waits for the thread, so it goes before the file.
};

using EngineFiles = std::map<Component, EngineFile>;

/// Those that detection needs.
[[nodiscard]] EngineFiles open_engines(const ModelFiles& files);

/// The others, which are opened and loaded at their first use, each as EngineFile::load does. One
/// that is no longer the file that was there now is Error(kBadInput), unless `options` allow
/// unverified ones. `host` must outlive them.
[[nodiscard]] LatePlans late_plans(TensorRtHost& host, const ModelFiles& files,
                                   const LoadOptions& options);

/// All of them at once, each in a thread of its own.
[[nodiscard]] GpuPlans load_plans(TensorRtHost& host, EngineFiles files,
                                  const LoadOptions& options);

/// The manifests of the engines of a model, in the order of its components.
[[nodiscard]] std::vector<EngineManifest> load_manifests(const ModelFiles& files);

/// Components of a model whose engines run only where unverified ones are allowed, each with the
/// state of its verification, or "passed with other engines"; empty for graphs.
[[nodiscard]] std::map<std::string, std::string> unverified_components(const ModelFiles& files);

/// Whether all engines of the model passed their verification, and did so together.
[[nodiscard]] bool all_verified(const ModelFiles& files);

/// Throws Error(kBadInput) for engines that did not pass end to end as a set, unless `options`
/// allow it. What refuses an engine by itself comes first, when it is loaded.
void check_set(const ModelFiles& files, const LoadOptions& options);

/// The same behind the interface of all backends.
[[nodiscard]] std::unique_ptr<Engine> load_engine_file(TensorRtHost& host,
                                                       const std::filesystem::path& path,
                                                       const LoadOptions& options);

}  // namespace sam3trt
