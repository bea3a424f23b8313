#include "compile/file_hashes.hpp"

#include "base/mapped_file.hpp"
#include "manifest/manifest.hpp"
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

std::shared_future<bool> FileHashes::begin_engine(const fs::path& engine) {
  std::error_code ignored;
  if (!fs::is_regular_file(engine, ignored)) return {};
  return std::async(std::launch::async,
                    [engine] {
                      return EngineManifest::load(engine).describes(MappedFile(engine).bytes());
                    })
      .share();
}

}  // namespace sam3trt
