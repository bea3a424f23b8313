#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.hpp"
#include "checkpoint/checkpoint.hpp"
#include "checkpoint/config.hpp"
#include "components/components.hpp"
#include "onnx/graph.hpp"

namespace sam3trt {

/// What `sam3trt export` is asked for.
struct ExportRequest {
  std::filesystem::path checkpoint;
  std::string component;         ///< A component's name, or "all".
  std::filesystem::path output;  ///< FILE.onnx, or a folder for "all".
  std::optional<Semantics> semantics;
  std::optional<std::filesystem::path> tokenizer;  ///< Folder; default: the checkpoint's own.
  std::stop_token stop{};  ///< Ends the work, which then throws StoppedError and writes nothing.
  /// Told how much of a file's weights is written, 0 to 1; may be empty.
  std::function<void(const std::string& file, double done)> progress{};
};

/// Writes the component and everything that belongs to it (docs/graphs.md, "Files"); folders are
/// made as needed. Returns the paths written. Throws Error(kBadInput) for a wrong request, a
/// checkpoint that does not fit, weights that are not finite, a missing tokenizer or an output that
/// cannot be written or is one of the inputs, before anything is written, and StoppedError. All
/// files appear together at the end: an export that fails leaves everything as it was.
std::vector<std::filesystem::path> export_component(const ExportRequest& request);

/// Writes the graph of one component of an open checkpoint to `path` as one of `files`. `written`
/// is called after each constant.
void write_graph(AtomicFiles& files, const Checkpoint& checkpoint, Component component,
                 const std::filesystem::path& path, const ConstantWritten& written = {});

}  // namespace sam3trt
