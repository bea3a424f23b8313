#include "compile/file_hashes.hpp"

#include "base/mapped_file.hpp"
#include "base/sha256.hpp"
#include "onnx/graph_info.hpp"

namespace sam3trt {

namespace fs = std::filesystem;

void FileHashes::begin_graph(const fs::path& onnx) {
  const auto [entry, fresh] = graphs_.try_emplace(onnx);
  if (fresh) {
    entry->second = std::async(std::launch::async, [onnx] { return hash_graph(onnx); }).share();
  }
}

std::string FileHashes::graph(const fs::path& onnx) const { return graphs_.at(onnx).get(); }

std::shared_future<std::string> FileHashes::begin_file(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return {};
  return std::async(std::launch::async, [path] { return sha256_hex(MappedFile(path).bytes()); })
      .share();
}

}  // namespace sam3trt
