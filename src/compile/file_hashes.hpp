#pragma once

#include <filesystem>
#include <future>
#include <map>
#include <string>

namespace sam3trt {

/// Hashes of large files, each computed once, in a thread of its own, while the caller does
/// something else. The destructor waits for those under way.
class FileHashes {
 public:
  /// Begins with hash_graph of a graph, unless it was begun before.
  void begin_graph(const std::filesystem::path& onnx);

  /// Of a graph that was begun; waits, and throws what hash_graph throws.
  [[nodiscard]] std::string graph(const std::filesystem::path& onnx) const;

  /// Whether an engine is the file that its manifest describes now; what get() throws are Errors.
  /// Not valid where there is no such file.
  [[nodiscard]] static std::shared_future<bool> begin_engine(const std::filesystem::path& engine);

 private:
  std::map<std::filesystem::path, std::shared_future<std::string>> graphs_;
};

}  // namespace sam3trt
