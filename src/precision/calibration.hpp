#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/tensor.hpp"
#include "precision/recipe.hpp"

namespace sam3trt {

/// What the magnitudes of a calibration depend on. Prompts are not among it: what is quantised lies
/// before them.
struct CalibrationInputs {
  std::string graph_sha256;         ///< Of the float32 graph and its weights.
  std::string semantics;            ///< As in the graph's metadata.
  std::vector<std::string> images;  ///< Hashes of the images' pixels, sorted, each one once.

  [[nodiscard]] bool operator==(const CalibrationInputs&) const = default;
};

/// Largest magnitude that entered each quantised matrix product while the float32 graph ran on real
/// images.
struct Calibration {
  std::string component;              ///< As in the graph's metadata.
  std::string checkpoint_sha256;      ///< As in the graph's metadata.
  int64_t runs = 0;                   ///< How many runs of the graph were merged.
  std::map<std::string, float> amax;  ///< By name of the MatMul node; finite, not negative.
  CalibrationInputs inputs{};         ///< Empty in files of older programs, which did not say.

  /// Merges the outputs of one run of a calibration graph; outputs that are no maxima are ignored.
  /// Throws Error(kBadInput) when a value is not finite or is no float32 scalar.
  void add_run(const std::map<std::string, Tensor>& outputs);

  /// JSON; the same calibration gives the same text.
  [[nodiscard]] std::string to_json() const;

  /// Of that text; tells calibrations apart.
  [[nodiscard]] std::string sha256() const;

  /// Replaces the file as a whole.
  void save(const std::filesystem::path& path) const;

  /// Throws Error(kBadInput) when the file is not a calibration.
  static Calibration load(const std::filesystem::path& path);

  /// FILE.onnx.calibration.json, beside the graph.
  static std::filesystem::path path_beside(const std::filesystem::path& graph);
};

/// Writes `input` with one more scalar output per matrix product that `recipe` quantises: the
/// largest magnitude of its first factor. `output` belongs into a temporary folder of its own:
/// data files with weights appear there under their names, as hard links where the file system has
/// them, else as copies. Returns an empty
/// calibration for the graph, to be filled by Calibration::add_run. Throws Error(kBadInput) when
/// the recipe quantises nothing in this graph or `output` lies in the folder of `input`, where it
/// could be taken for a graph of the model.
Calibration write_calibration_graph(const std::filesystem::path& input,
                                    const std::filesystem::path& output, const Recipe& recipe);

}  // namespace sam3trt
