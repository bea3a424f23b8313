#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "precision/calibration.hpp"
#include "segmenter/engines.hpp"
#include "verify/shared_result.hpp"
#include "verify/verification.hpp"

namespace sam3trt {

/// What engines are verified with.
struct VerifierOptions {
  std::vector<std::filesystem::path> images;  ///< Empty: default_photographs().
  std::vector<std::string> texts;             ///< Empty: "circle", "cat", "cup".
  Gate gate = Gate::builtin();
  int threads = 0;              ///< Of the CPU reference; 0: OpenVINO's choice.
  int device = 0;               ///< GPU that verify_model runs engines on.
  ReferenceLimits limits;       ///< Of the engines.
  int64_t track_frames = 40;    ///< Of the drawn clip, for models that track; 0: none.
  std::filesystem::path cache;  ///< Folder of the user; keeps what the reference gave. Empty: none.
  std::stop_token stop;         ///< Ends whatever runs, which then throws StoppedError.
  /// Told how many images the reference has done; may be empty.
  std::function<void(int64_t done, int64_t all)> progress;
};

/// Runs the float32 graphs on the CPU once, and holds engines against them. What the graphs give
/// may be asked for by several threads: whoever is first computes it, the others wait. One such run
/// is in memory at a time, and one that failed fails again.
class Verifier {
 public:
  /// `graphs` are the exported graphs. Reads the images at once, so that a wrong name is reported
  /// before anything slow begins.
  Verifier(ModelFiles graphs, VerifierOptions options);

  [[nodiscard]] const Gate& gate() const { return options_.gate; }

  /// Computed at the first call; what the graphs gave is kept in the cache folder.
  [[nodiscard]] const ReferenceRun& reference();

  /// What went through the float32 graph of a component. Those of clicks and videos run at the
  /// first call that asks for one of them. Throws Error(kBadInput) when the graphs have no such
  /// component.
  [[nodiscard]] std::span<const RecordedCall> calls(const std::string& component);

  /// Computes what verify_results will compare with.
  void prepare_results();

  /// Hash of images, texts, gate, limits and OpenVINO: what tells the verification of a stage by
  /// the same graphs from others.
  [[nodiscard]] std::string sha256() const;

  /// Holds one engine against its stage. `typed` is the graph that the engine was made from; run in
  /// float32, it gives the yardstick.
  [[nodiscard]] std::vector<OutputReport> verify(const std::string& component, Engine& engine,
                                                 Precision precision,
                                                 const std::optional<std::filesystem::path>& typed);

  /// The whole model in `files` against the reference's instances and, where it has the components,
  /// objects (object_run.hpp). One that gives numbers that are not finite has none to compare,
  /// which is a problem of the report.
  [[nodiscard]] ResultReport verify_results(const ModelFiles& files, const LoadOptions& options,
                                            Precision precision);

  /// The graphs with weights rounded by `recipes` (by component), run on the CPU, against the
  /// float32 ones: what rounding alone does to this checkpoint. The typed graphs lie in the cache
  /// folder, or in the system's temporary one, for that time.
  [[nodiscard]] ResultReport verify_rounded(const std::map<std::string, Recipe>& recipes,
                                            Precision precision);

  /// Largest magnitudes in the vision encoder on the images: nothing else decides them.
  [[nodiscard]] Calibration calibrate(const std::filesystem::path& onnx, const Recipe& recipe);

  /// What tells the images of a calibration from others (CalibrationInputs::images).
  [[nodiscard]] std::vector<std::string> calibration_images() const;

  [[nodiscard]] const ModelFiles& graphs() const { return graphs_; }

 private:
  /// What the graphs make of objects; computed at the first call.
  [[nodiscard]] const ObjectRun& reference_objects();
  /// What `run` makes with the loader that it is given; how long each engine takes is logged.
  template <typename Run>
  [[nodiscard]] auto run_timed(const std::string& what, const std::string& on,
                               const Run& run) const;
  [[nodiscard]] ReferenceRun run_reference() const;
  [[nodiscard]] ObjectRun run_reference_objects() const;
  [[nodiscard]] ObjectRun run_objects(const Model& model) const;
  [[nodiscard]] Model load(const ModelFiles& files, const LoadOptions& options) const;
  /// What sees only images and prompts runs once for each image of the drawn clip: at the published
  /// size that keeps 1.8 GB.
  [[nodiscard]] static Model load_graphs(const ModelFiles& graphs, const EngineLoader& load);
  [[nodiscard]] std::vector<OutputReport> verify_calls(
      const std::string& component, std::span<const RecordedCall> calls, Engine& engine,
      Precision precision, const std::optional<std::filesystem::path>& typed) const;
  [[nodiscard]] std::unique_ptr<Engine> load_on_cpu(const std::filesystem::path& path) const;
  /// The same with its results kept in the cache folder.
  [[nodiscard]] std::unique_ptr<Engine> load_reference(const std::filesystem::path& path) const;
  /// Where temporary folders are made.
  [[nodiscard]] std::filesystem::path scratch_parent() const;
  void check_stop() const;

  ModelFiles graphs_;
  VerifierOptions options_;
  std::vector<Image> images_;   ///< The user's or the photographs first, then the built-in ones.
  mutable std::mutex running_;  ///< Held by what runs on the CPU.
  SharedResult<ReferenceRun> reference_;
  SharedResult<ObjectRun> reference_objects_;
  SharedResult<std::map<std::string, std::vector<RecordedCall>>> tracker_;
};

/// The exported model that `onnx` belongs to: its folder must hold the graphs of the same
/// checkpoint.
[[nodiscard]] ModelFiles find_exported_model(const std::filesystem::path& onnx);

}  // namespace sam3trt
