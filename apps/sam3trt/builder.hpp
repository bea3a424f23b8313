#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "build/model_build.hpp"
#include "segmenter/engines.hpp"
#include "verifier.hpp"

namespace sam3trt {

/// What 'sam3trt build' was asked for.
struct BuildOptions {
  std::string onnx;
  std::string output;
  bool fp32 = false;
  bool fp16 = false;
  bool bf16 = false;
  bool fp8 = false;
  std::string target = "tensorrt";
  std::string compute_capability;
  std::string recipes;
  EngineLimits limits;
  uint64_t workspace_megabytes = 0;
  int optimization_level = 3;
  bool verify = true;
  VerifierOptions verifier;
};

/// The one that was asked for; kFp16 by default. Throws Error(kBadInput) for more than one.
[[nodiscard]] Precision precision_of(const BuildOptions& options);

/// `sam3trt.component` of a graph; empty for one of another program.
[[nodiscard]] std::string component_of(const std::filesystem::path& onnx);

/// One graph of the work list.
struct Job {
  std::filesystem::path onnx;
  std::filesystem::path engine;
};

/// Builds engines with one library, verifies them, and says what came out.
class Builder {
 public:
  /// Opens the library. `first` is any graph of the work; the model it belongs to is the reference.
  /// Throws Error(kUnavailable) without the library or a GPU that it needs.
  Builder(const BuildOptions& options, const std::filesystem::path& first, bool json);

  /// Whether engines can be verified: not when asked not to, and not without a GPU.
  [[nodiscard]] bool verifies() const { return host_ && options_.verify; }

  [[nodiscard]] EngineBuildRequest request_for(const Job& job);

  [[nodiscard]] EngineBuildResult build(EngineBuildRequest request);

  /// Holds the whole model in the output folder against the reference (repair_model).
  ModelVerdict verify_model(std::vector<ModelPart>& parts);

 private:
  [[nodiscard]] std::string check_model();
  [[nodiscard]] std::string check_rounded(const std::vector<ModelPart>& parts);

  const BuildOptions& options_;
  bool json_;
  std::unique_ptr<TensorRtHost> host_;
  std::shared_ptr<TensorRtApi> api_;
  std::optional<Verifier> verifier_;
};

}  // namespace sam3trt
