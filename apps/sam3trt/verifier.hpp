#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "build/engine_build.hpp"
#include "segmenter/engines.hpp"
#include "verify/verification.hpp"

namespace sam3trt {

/// What engines are verified with.
struct VerifierOptions {
  std::vector<std::string> images;  ///< Photographs; empty: those of ./test_images, if any.
  std::vector<std::string> texts;   ///< Empty: "circle", "cat", "cup".
  std::string gate;                 ///< File of limits; empty: the built-in ones.
  int threads = 0;                  ///< Of the CPU reference.
  ReferenceLimits limits;           ///< Of the engines.
};

/// Runs the float32 graphs on the CPU once, and holds engines against them.
class Verifier {
 public:
  /// `graphs` are the exported graphs. Reads the photographs at once, so that a wrong name is
  /// reported before anything slow begins.
  Verifier(ModelFiles graphs, const VerifierOptions& options);

  [[nodiscard]] const Gate& gate() const { return gate_; }

  /// Computed at the first call; what the graphs gave is kept in the user's cache folder.
  [[nodiscard]] const ReferenceRun& reference();

  /// Holds one engine against its stage. `typed` is the graph that the engine was made from; run in
  /// float32, it gives the yardstick.
  [[nodiscard]] std::vector<OutputReport> verify(const std::string& component, Engine& engine,
                                                 Precision precision,
                                                 const std::optional<std::filesystem::path>& typed);

  /// The whole model in `files` against the reference's instances. One that gives numbers that are
  /// not finite has none to compare, which is a problem of the report.
  [[nodiscard]] ResultReport verify_results(const ModelFiles& files, const LoadOptions& options,
                                            Precision precision);

  /// The graphs with weights rounded by `recipes` (by component), run on the CPU, against the
  /// float32 ones: what rounding alone does to this checkpoint. The typed graphs lie in the user's
  /// cache folder for that time.
  [[nodiscard]] ResultReport verify_rounded(const std::map<std::string, Recipe>& recipes,
                                            Precision precision);

  /// Largest magnitudes in the vision encoder on the photographs and the built-in pictures.
  [[nodiscard]] Calibration calibrate(const std::filesystem::path& onnx, const Recipe& recipe);

  [[nodiscard]] const ModelFiles& graphs() const { return graphs_; }

 private:
  [[nodiscard]] std::vector<OutputReport> verify_calls(
      const std::string& component, std::span<const RecordedCall> calls, Engine& engine,
      Precision precision, const std::optional<std::filesystem::path>& typed) const;
  [[nodiscard]] std::unique_ptr<Engine> load_on_cpu(const std::filesystem::path& path) const;
  /// The same with its results kept in the user's cache folder.
  [[nodiscard]] std::unique_ptr<Engine> load_reference(const std::filesystem::path& path) const;

  ModelFiles graphs_;
  Gate gate_;
  std::vector<Image> photographs_;
  std::vector<std::string> texts_;
  int threads_ = 0;
  ReferenceLimits limits_;
  std::optional<ReferenceRun> reference_;
};

/// The exported model that `onnx` belongs to: its folder must hold the graphs of the same
/// checkpoint.
[[nodiscard]] ModelFiles find_exported_model(const std::filesystem::path& onnx);

}  // namespace sam3trt
