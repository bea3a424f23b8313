#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/tensor.hpp"

namespace sam3trt {

/// Where an engine stands with the verification of its build (docs/verification.md).
enum class VerificationState {
  kNone,    ///< Nothing was compared.
  kStages,  ///< Passed by itself; the model that it belongs to was not run as a whole, yet.
  kPassed,  ///< Passed by itself and, as one of a set, end to end.
  kFailed,  ///< Differs from the reference, by itself or as one of a set.
};

/// "none", "stages", "passed", "failed".
[[nodiscard]] std::string_view name_of(VerificationState state);

/// Shapes that an engine was built for, of one input.
struct ManifestShapes {
  Shape min;
  Shape opt;
  Shape max;
};

/// What an engine file is and what it may be used for; lies beside it as FILE.engine.json. The
/// engine file itself is what TensorRT wrote, so that other tools load it too, where they know the
/// plugins of base/own_operators.hpp or the recipe names no fused attentions.
struct EngineManifest {
  std::string component;                        ///< As in the graph's metadata; empty: foreign.
  std::map<std::string, std::string> metadata;  ///< Of the graph (docs/graphs.md).
  std::string graph_sha256;                     ///< Of the exported graph and its weights.
  std::string precision;
  std::string recipe;
  std::string recipe_sha256;
  std::string flavour;  ///< "TensorRT 10", "TensorRT 11" or "TensorRT-RTX".
  std::string tensorrt_version;
  std::string gpu;
  std::string compute_capability;                               ///< "9.0"
  std::vector<std::map<std::string, ManifestShapes>> profiles;  ///< In the engine's order.
  std::string kernels_sha256;      ///< Of the operator kernels that it calls; empty: it calls none.
  std::string cublaslt_version;    ///< Of cuBLASLt, "13.1.0"; empty: it is not called.
  std::string calibration_sha256;  ///< Of the FP8 scales; empty: nothing is quantised.
  int64_t attentions = 0;          ///< Those that may be one kernel each.
  std::optional<int64_t> fused_attentions;  ///< Of these, those that are; unknown without a GPU.
  uint64_t plan_bytes = 0;
  std::string plan_sha256;
  std::string plan_pieces_sha256;  ///< sha256_of_pieces; empty: of a program that did not write it.
  VerificationState verification = VerificationState::kNone;
  std::string verification_report;  ///< JSON text; empty without a verification.
  std::string set_sha256;           ///< Of the set that passed end to end; empty but for kPassed.
  std::string end_to_end;  ///< What came out of that: "passed", "undecidable", "nothing compared".
  /// Of what that check was given, where `build` did it; empty: not known.
  std::string set_request_sha256;
  /// Of all that decides what the build gives (compile/up_to_date.hpp); empty: not known.
  std::string request_sha256;
  std::vector<std::string> refused;      ///< Recipes whose engines failed, with the reason.
  double deviation = 0;                  ///< The largest of any output; 0 without a verification.
  std::optional<double> milliseconds{};  ///< Of one call with one image or prompt, when built.

  /// Largest size of an input's axis over all profiles; nothing when the engine has none such.
  [[nodiscard]] std::optional<int64_t> largest(const std::string& input, size_t axis) const;

  /// Whether these bytes are the engine file's.
  [[nodiscard]] bool describes(std::span<const std::byte> plan) const;

  /// FILE.engine.json
  static std::filesystem::path path_beside(const std::filesystem::path& engine);

  /// Reads the manifest beside an engine. Throws Error(kBadInput) when it is missing, too large or
  /// not a manifest.
  static EngineManifest load(const std::filesystem::path& engine);

  /// Writes the manifest beside an engine.
  void save(const std::filesystem::path& engine) const;

  /// JSON.
  [[nodiscard]] std::string to_json() const;
  static EngineManifest parse(std::string_view text, const std::string& where);
};

/// What this machine would run an engine with.
struct EngineHost {
  std::string flavour;
  std::string tensorrt_version;
  std::string gpu;
  std::string compute_capability;
  std::string kernels_sha256;
};

/// What tells a set of engines from any other, whatever their order: the hash of their plans'
/// hashes.
[[nodiscard]] std::string set_sha256_of(std::span<const EngineManifest> engines);

/// Why engines must not run together: not all of them passed end to end as exactly this set. Empty
/// when they may.
[[nodiscard]] std::string set_refusal(std::span<const EngineManifest> engines);

/// What an engine lacks here, with what to do: the cuBLASLt that it was built with. Empty where
/// it lacks nothing. `version` is what is here, `problem` why it cannot be used at all.
[[nodiscard]] std::string missing_library(const EngineManifest& manifest,
                                          const std::string& version, const std::string& problem);

/// Why an engine must not run here: the first of another library version, another GPU, other
/// operator kernels than it was built with, a verification that failed, is missing or was not
/// finished (not asked with `allow_unverified`). Empty when it may.
[[nodiscard]] std::string refusal(const EngineManifest& manifest, const EngineHost& host,
                                  bool allow_unverified);

}  // namespace sam3trt
