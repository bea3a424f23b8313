#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/engine.hpp"

namespace sam3trt {

/// What an ONNX file says about itself, read without its external weights.
struct GraphInfo {
  std::map<std::string, std::string> metadata;  ///< `metadata_props` (docs/graphs.md).
  int64_t opset = 0;
  int64_t ir_version = 0;
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
  /// Per input, the name of each dynamic dimension ("P", "K + 33"); empty for fixed ones.
  std::map<std::string, std::vector<std::string>> dim_names;
  std::map<std::string, int64_t> operator_counts;
  int64_t node_count = 0;
  int64_t initializer_count = 0;
  int64_t initializer_bytes = 0;
};

/// Reads `path`; throws Error(kBadInput) when it is not an ONNX model.
[[nodiscard]] GraphInfo read_graph_info(const std::filesystem::path& path);

/// SHA-256 of the file and then of every data file that its tensors name (sha256_of_pieces), in the
/// order of their names.
/// Throws Error(kBadInput) for a file that is not an ONNX model, and for data files that are
/// missing or do not lie beside it.
[[nodiscard]] std::string hash_graph(const std::filesystem::path& path);

/// SHA-256 of nodes, inputs, outputs, and the names, types and shapes of the weights: the same for
/// graphs that differ in values and metadata alone.
[[nodiscard]] std::string hash_graph_shapes(const std::filesystem::path& path);

}  // namespace sam3trt
