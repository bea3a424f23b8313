#pragma once

#include <onnx/onnx-ml.pb.h>

#include <filesystem>
#include <string>

namespace sam3trt {

/// A float32 graph written by `export`.
struct ExportedGraph {
  onnx::ModelProto model;  ///< Without weights in a data file.
  std::string component;
  std::string checkpoint_sha256;
};

/// Throws Error(kBadInput) when the file is no such graph or has been typed already.
[[nodiscard]] ExportedGraph read_exported_graph(const std::filesystem::path& path);

}  // namespace sam3trt
