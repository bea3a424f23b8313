#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/tensor.hpp"
#include "precision/recipe.hpp"

namespace sam3trt {

/// Largest magnitude that entered each quantised matrix product while the float32 graph ran on real
/// images.
struct Calibration {
  std::string component;              ///< As in the graph's metadata.
  std::string checkpoint_sha256;      ///< As in the graph's metadata.
  int64_t runs = 0;                   ///< How many runs of the graph were merged.
  std::map<std::string, float> amax;  ///< By name of the MatMul node; finite, not negative.

  /// Merges the outputs of one run of a calibration graph; outputs that are no maxima are ignored.
  /// Throws Error(kBadInput) when a value is not finite or is no float32 scalar.
  void add_run(const std::map<std::string, Tensor>& outputs);

  /// JSON; save() replaces the file as a whole.
  void save(const std::filesystem::path& path) const;

  /// Throws Error(kBadInput) when the file is not a calibration.
  static Calibration load(const std::filesystem::path& path);

  /// FILE.onnx.calibration.json, beside the graph.
  static std::filesystem::path path_beside(const std::filesystem::path& graph);
};

/// Writes `input` with one more scalar output per matrix product that `recipe` quantises: the
/// largest magnitude of its first factor. Weights in a data file are shared, so `output` must lie
/// in the folder of `input` when it has one. Returns an empty calibration for the graph, to be
/// filled by Calibration::add_run. Throws Error(kBadInput) when the recipe quantises nothing in
/// this graph.
Calibration write_calibration_graph(const std::filesystem::path& input,
                                    const std::filesystem::path& output, const Recipe& recipe);

}  // namespace sam3trt
