#pragma once

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "compile/model_build.hpp"
#include "verify/verifier.hpp"

namespace sam3trt {

/// Whose engines are built.
enum class BuildTarget { kTensorRt, kTensorRtRtx };

/// One graph and the engine that is made of it.
struct BuildJob {
  std::filesystem::path onnx;
  std::filesystem::path engine;
};

/// What is to be built, and with what it is verified.
struct BuildRequest {
  std::filesystem::path onnx;    ///< A graph, or a folder of all that `export` wrote.
  std::filesystem::path output;  ///< FILE.engine, or a folder for a folder; made when missing.
  Precision precision = Precision::kFp16;
  RecipeBook recipes = RecipeBook::builtin();
  BuildTarget target = BuildTarget::kTensorRt;
  int compute_capability = 0;  ///< TensorRT-RTX only: 89 for 8.9; 0: this machine's GPU.
  EngineLimits limits;
  uint64_t workspace_bytes = 0;  ///< Of GPU memory; 0: TensorRT's choice.
  int optimization_level = 3;    ///< 0 to 5.
  bool verify = true;            ///< False: the engines stay unverified.
  bool force = false;            ///< Builds and checks what is up to date, too.
  size_t jobs = 1;               ///< Engines that are built at the same time.
  /// The program that compiles in processes of its own where there are several jobs
  /// (compile/compile_apart.hpp); empty: this process does, TensorRT 10.6 one after the other.
  std::filesystem::path program;
  VerifierOptions verifier;  ///< `limits` are taken from the engines'.
  /// Files that the caller read, such as recipes: no output may be one of them.
  std::vector<std::filesystem::path> also_read;
};

/// The graphs of a request with their engines, in the order of the build, and the tokenizer that
/// goes with a detector.
struct BuildPlan {
  std::vector<BuildJob> jobs;
  bool is_model = false;            ///< All components of one, in one folder.
  std::filesystem::path tokenizer;  ///< Empty: none goes with it.
  std::filesystem::path tokenizer_output;
};

/// Looks at the files, changes nothing. Throws Error(kBadInput) for an output whose name does not
/// fit, and for graphs that are missing or belong to different models.
[[nodiscard]] BuildPlan plan_build(const BuildRequest& request);

/// What a caller may be told while engines are built; all may be empty.
struct BuildEvents {
  /// 0 to 1 for an engine in work; called by several threads.
  std::function<void(const std::filesystem::path& engine, double done)> progress;
  /// Each engine, also one built anew; by one thread at a time.
  std::function<void(const ModelPart& part)> built;
};

struct BuildOutcome {
  std::vector<ModelPart> parts;
  EndToEnd end_to_end;
};

/// The report of `sam3trt build --json`.
[[nodiscard]] std::string to_json(const BuildOutcome& outcome);

/// Builds engines, verifies each by itself and then all of one model together; engines that are
/// what this request would give stay as they are (compile/up_to_date.hpp), and so does their
/// verdict. What the float32 graphs give is computed while TensorRT compiles. Where a single
/// component is built and the others already lie in its folder, the check is of them all. An engine
/// says "stages" until that check has passed, so that one whose build ended in between is refused
/// by those who load it. Throws Error(kUnavailable) without the library or a GPU that it needs,
/// Error(kVerificationFailed), StoppedError, and what plan_build and build_engine throw.
[[nodiscard]] BuildOutcome build_engines(const BuildRequest& request,
                                         const BuildEvents& events = {});

}  // namespace sam3trt
