#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/mapped_file.hpp"
#include "checkpoint/stored_tensor.hpp"

namespace sam3trt {

/// The tensors of a checkpoint and the mapped files that hold their bytes.
struct TensorFile {
  std::string format;             ///< "safetensors" or "torch zip".
  std::filesystem::path folder;   ///< Folder of the files.
  std::filesystem::path path;     ///< The file (of shards: the index), for messages.
  std::vector<MappedFile> files;  ///< In the order of their names.
  std::vector<StoredTensor> tensors;
  std::vector<std::string> notes;  ///< What was decided in reading, for the user.
};

/// Opens a safetensors file, a `*.safetensors.index.json` with its shards, a torch zip file (told
/// apart by their first bytes, not by their names), or a folder that holds `model.safetensors`,
/// `model.safetensors.index.json`, `sam3.pt`, `pytorch_model.bin` or its index, looked for in this
/// order. Throws Error(kBadInput) that says what is there instead.
[[nodiscard]] TensorFile open_tensor_file(const std::filesystem::path& given);

/// Whether something stands at that path; a path that cannot be looked at counts as missing.
[[nodiscard]] bool file_exists(const std::filesystem::path& path);

}  // namespace sam3trt
