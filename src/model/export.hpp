#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/config.hpp"
#include "components/components.hpp"

namespace sam3trt {

/// What `sam3trt export` is asked for.
struct ExportRequest {
  std::filesystem::path checkpoint;
  std::string component;         ///< A component's name, or "all".
  std::filesystem::path output;  ///< FILE.onnx, or a folder for "all".
  std::optional<Semantics> semantics;
  std::optional<std::filesystem::path> tokenizer;  ///< Folder; default: the checkpoint's own.
};

/// Writes the component and everything that belongs to it (docs/graphs.md, "Files"); folders are
/// made as needed. Returns the paths written. Throws Error(kBadInput) for a wrong request, a
/// checkpoint that does not fit or a missing tokenizer, before anything is written.
std::vector<std::filesystem::path> export_component(const ExportRequest& request);

/// Writes the graph of one component of an open checkpoint to `path`.
std::vector<std::filesystem::path> write_graph(const Checkpoint& checkpoint, Component component,
                                               const std::filesystem::path& path);

}  // namespace sam3trt
