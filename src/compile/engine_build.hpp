#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "base/engine.hpp"
#include "compile/profile.hpp"
#include "manifest/manifest.hpp"
#include "precision/precision.hpp"
#include "trt/api.hpp"

namespace sam3trt {

/// What came out of comparing an engine with the reference.
struct BuildVerdict {
  bool passed = false;
  std::string summary;  ///< One line: what was compared, or what differs.
  std::string report;   ///< JSON.
  std::optional<int64_t> fused_attentions{};
  double deviation = 0;                  ///< The largest of any output (docs/verification.md).
  std::optional<double> milliseconds{};  ///< Median of one call with one image or prompt.
};

/// One graph to one engine.
struct EngineBuildRequest {
  std::filesystem::path onnx;    ///< Written by `export` (float32).
  std::filesystem::path output;  ///< FILE.engine; its folder must exist.
  Precision precision = Precision::kFp16;
  RecipeBook recipes = RecipeBook::builtin();
  std::string after;  ///< Recipe whose successors alone are tried; empty: all.
  EngineLimits limits;
  int optimization_level = 3;
  uint64_t workspace_bytes = 0;
  int compute_capability = 0;          ///< TensorRT-RTX only; 0: this machine's GPU.
  std::string gpu;                     ///< Of this machine; goes into the manifest.
  std::string gpu_compute_capability;  ///< Likewise, "9.0".
  std::string kernels_sha256;          ///< Likewise, attention_kernels_sha256().
  std::string cublaslt_version;        ///< Likewise; empty: there is none.
  std::string cublaslt_problem;        ///< Why there is none that can be used, with what to do.
  std::filesystem::path cache;         ///< Folder of timing caches; empty: none.
  BuildProgress progress;

  /// hash_graph of `onnx` where the caller knows it; empty: it is computed.
  std::string graph_sha256;

  /// Whether the file at `output` is the one that its manifest describes, where the caller began to
  /// hash it; not valid: it is hashed where that is needed.
  std::shared_future<bool> output_intact;

  /// All recipes are tried in their order, whatever is remembered of earlier builds.
  bool force = false;

  /// Called before each time that TensorRT compiles; may be empty.
  std::function<void()> compiling;

  /// Calibrates the graph for FP8: the products that `recipe` quantises. Called when a recipe
  /// quantises the graph and no calibration with the same graph and images lies beside it.
  std::function<Calibration(const std::filesystem::path& onnx, const Recipe& recipe)> calibrate;

  /// What `calibrate` runs the graph on (CalibrationInputs::images). Without `calibrate`, a
  /// calibration of any images is taken.
  std::vector<std::string> calibration_images;

  /// Chooses the algorithms of products that cuBLASLt computes, for so many rows; empty: they are
  /// left to it.
  std::function<std::vector<std::array<uint64_t, 8>>(const OwnProduct& product, int64_t rows)>
      choose_algorithms;

  /// Compares the engine whose plan is given with the reference; empty: the engine stays
  /// unverified.
  std::function<BuildVerdict(const Plan& plan, const Recipe& recipe,
                             const std::filesystem::path& typed_onnx)>
      verify;

  /// What tells the verification of `verify` from others: hashes of all it is given.
  std::string verification;

  /// Told about each variant that was refused, and why.
  std::function<void(const std::string& message)> report;
};

struct EngineBuildResult {
  EngineManifest manifest;
  std::vector<std::string> refused;    ///< Recipes whose engines failed, with the reason.
  double deviation = 0;                ///< Of the engine that passed.
  std::optional<double> milliseconds;  ///< Likewise; as in BuildVerdict.
  bool up_to_date = false;             ///< It was there already (compile/up_to_date.hpp).
};

/// Types the graph by the first recipe of the precision, compiles it, verifies it, and goes on to
/// the next safer recipe while the verification fails. Writes FILE.engine and its manifest only for
/// an engine that passed (or when nothing verifies it). Variants that would give the same graph are
/// tried once. Where an earlier build of a graph of the same shapes had to go on to a safer recipe,
/// that one is tried first, and those before it last (compile/recipe_memory.hpp). After a recipe
/// whose products cuBLASLt computes, the next one without them is built, too, and the faster engine
/// kept, unless the recipe or an earlier build knows which that is on this GPU. Throws
/// Error(kVerificationFailed) when no recipe passes, and what write_typed_graph and
/// TensorRtApi::build throw.
///
/// A graph of another program is built as it is, with float16 wherever TensorRT likes (TensorRT 10)
/// or in its own types; it stays unverified.
[[nodiscard]] EngineBuildResult build_engine(TensorRtApi& api, const EngineBuildRequest& request);

}  // namespace sam3trt
