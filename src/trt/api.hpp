#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/engine.hpp"

namespace sam3trt {

/// Which of NVIDIA's libraries: their headers differ, so each has its own translation unit.
enum class TensorRtFlavour { kTensorRt10, kTensorRt11, kTensorRtRtx };

/// "TensorRT 10", "TensorRT 11", "TensorRT-RTX".
[[nodiscard]] std::string_view name_of(TensorRtFlavour flavour);

/// The flavour of that name; nothing for any other text.
[[nodiscard]] std::optional<TensorRtFlavour> flavour_named(std::string_view name);

/// Shapes of one input that a plan is built for.
struct ProfileShape {
  Shape min;
  Shape opt;
  Shape max;
};

/// One optimisation profile: the shapes of each input that TensorRT chooses kernels and sizes
/// memory for together.
using Profile = std::map<std::string, ProfileShape>;

/// Called with the phase, the step that is done and the number of steps, from any thread; returning
/// false cancels the build.
using BuildProgress = std::function<bool(std::string_view phase, int step, int steps)>;

struct PlanSettings {
  /// A call runs in the first that holds its shapes; the last holds those of all others. Inputs of
  /// fixed shape may be left out.
  std::vector<Profile> profiles;
  bool strongly_typed = true;           ///< False: the library may use float16 (TensorRT 10 only).
  bool allow_tf32 = false;              ///< Of float32 products: tensor cores with rounded factors.
  int optimization_level = 3;           ///< 0 to 5.
  uint64_t workspace_bytes = 0;         ///< 0: the library's own limit.
  std::vector<std::byte> timing_cache;  ///< Of an earlier build; may be empty or of other versions.
  int compute_capability = 0;           ///< TensorRT-RTX: 89 for 8.9; 0: the GPU of this machine.
  BuildProgress progress;
};

struct Plan {
  std::vector<std::byte> bytes;
  std::vector<std::byte> timing_cache;
};

/// What one layer of a plan took in one run.
struct LayerTime {
  std::string layer;
  double milliseconds = 0;
};

/// Whose device memory a context uses for activations.
enum class ActivationMemory { kOwn, kCallers };

class PlanContext;

/// A plan on the GPU that is current in the calling thread: weights and kernels, which any number
/// of contexts share. Usable from several threads.
class LoadedPlan {
 public:
  LoadedPlan() = default;
  virtual ~LoadedPlan() = default;
  LoadedPlan(const LoadedPlan&) = delete;
  LoadedPlan& operator=(const LoadedPlan&) = delete;

  [[nodiscard]] virtual const std::vector<TensorInfo>& inputs() const = 0;
  [[nodiscard]] virtual const std::vector<TensorInfo>& outputs() const = 0;

  /// What all profiles together take: the smallest min, the largest max, and the opt of the last.
  [[nodiscard]] virtual ProfileShape profile(const std::string& input) const = 0;

  /// Bytes of device memory for activations at the largest shapes.
  [[nodiscard]] virtual uint64_t activation_bytes() const = 0;

  /// The layers as the library describes them, JSON.
  [[nodiscard]] virtual std::string layers_json() const = 0;

  /// A context, which keeps the plan alive.
  [[nodiscard]] virtual std::unique_ptr<PlanContext> make_context(
      ActivationMemory memory) const = 0;
};

/// Runs a plan, with one of the library's execution contexts per profile, made when a call first
/// needs it: all tensors are device addresses. One call at a time.
class PlanContext {
 public:
  PlanContext() = default;
  virtual ~PlanContext() = default;
  PlanContext(const PlanContext&) = delete;
  PlanContext& operator=(const PlanContext&) = delete;

  [[nodiscard]] virtual const LoadedPlan& plan() const = 0;

  /// LoadedPlan::activation_bytes for the shapes that are set: of all inputs. Only for
  /// ActivationMemory::kCallers.
  [[nodiscard]] virtual uint64_t shaped_activation_bytes() = 0;

  /// Device memory of at least shaped_activation_bytes(), which may be shared with other plans
  /// whose work runs on the same stream. Only for ActivationMemory::kCallers.
  virtual void set_activation_memory(uint64_t address, uint64_t bytes) = 0;

  /// The shapes of all inputs, which choose the profile: the first that holds them. Its execution
  /// context is then the one in use, so addresses and activation memory must be given again.
  /// `stream` (CUstream) is that of the work to come; a new context is set up on it. Throws
  /// Error(kBadInput) that names an input whose shape no profile holds.
  virtual void set_input_shapes(const std::map<std::string, Shape>& shapes, void* stream) = 0;

  /// Valid when the shapes are set.
  [[nodiscard]] virtual Shape output_shape(const std::string& name) const = 0;

  /// `address` points to device memory for the tensor in its shape; it must stay valid while
  /// enqueued work uses it.
  virtual void bind(const std::string& name, uint64_t address) = 0;

  /// Starts the work on a CUDA stream (CUstream).
  virtual void enqueue(void* stream) = 0;

  /// The same, waiting for every layer, in the order of their run. From then on enqueue() in this
  /// profile is slow too and cannot be recorded into a CUDA graph.
  [[nodiscard]] virtual std::vector<LayerTime> time_layers(void* stream) = 0;
};

/// One of the libraries, loaded. Messages of warning level go to the log, errors into exceptions.
class TensorRtApi {
 public:
  virtual ~TensorRtApi() = default;

  [[nodiscard]] virtual TensorRtFlavour flavour() const = 0;

  /// "10.6.0".
  [[nodiscard]] virtual std::string version() const = 0;

  /// Compiles an ONNX file. Throws Error(kBadInput) naming the node when the parser refuses it,
  /// Error(kUnavailable) when there is no GPU and the library needs one, Error(kInternal) when the
  /// build fails or was cancelled.
  [[nodiscard]] virtual Plan build(const std::filesystem::path& onnx,
                                   const PlanSettings& settings) = 0;

  /// Throws Error(kBadInput) when the library refuses the plan. Plans run code: load only what this
  /// program has built. Several threads may load at once.
  [[nodiscard]] virtual std::shared_ptr<const LoadedPlan> load(std::span<const std::byte> plan) = 0;
};

/// A library that this machine has. Where the environment variable SAM3TRT_TENSORRT_DIR names a
/// folder, all of them come from that folder and from nowhere else; else from the system's folders,
/// and what these do not have from those that SAM3TRT_TENSORRT_PACKAGES lists (with ":" between).
struct TensorRtLibraryInfo {
  TensorRtFlavour flavour = TensorRtFlavour::kTensorRt10;
  std::string library;         ///< The file.
  std::string version;         ///< "10.6.0"; empty where it cannot be asked.
  std::string problem;         ///< Why it is not used, to follow the file's name; empty: it is.
  std::string parser_problem;  ///< Why it cannot build engines; empty: it can, or was not asked.
  std::string fix;             ///< What to do about either problem.
};

/// All of them, TensorRT 11 first, TensorRT-RTX last, each with what it lacks.
[[nodiscard]] std::vector<TensorRtLibraryInfo> find_tensorrt_libraries();

/// The library that load_tensorrt would load. Throws as that does.
[[nodiscard]] TensorRtLibraryInfo choose_tensorrt(
    bool parser, std::optional<TensorRtFlavour> wanted = std::nullopt);

/// Loads the flavour that is wanted, else TensorRT 11 or 10, the first that can be used. `parser`
/// asks for what building needs. Throws Error(kUnavailable) that says what to install when the
/// library or its ONNX parser is missing or too old, or when this program was built without the
/// headers of that flavour; nothing but its version is asked of a library before that is known.
[[nodiscard]] std::shared_ptr<TensorRtApi> load_tensorrt(
    bool parser, std::optional<TensorRtFlavour> wanted = std::nullopt);

}  // namespace sam3trt
