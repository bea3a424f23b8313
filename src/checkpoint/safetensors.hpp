#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/stored_tensor.hpp"

namespace sam3trt {

/// The tensors of a safetensors file in the order of their bytes. Checked before use: the header's
/// size, every dtype, shape and byte range against each other, that the ranges cover the data
/// without overlap or hole, and that no name stands there twice. The result views `file`; `where`
/// starts every message. Throws Error(kBadInput).
///
/// Format: eight bytes little-endian header size, a JSON header, the data
/// (huggingface/safetensors, README "Format").
[[nodiscard]] std::vector<StoredTensor> parse_safetensors(std::span<const std::byte> file,
                                                          const std::string& where);

/// What `model.safetensors.index.json` says: which shard holds which tensor.
struct ShardIndex {
  std::vector<std::string> files;  ///< Plain file names, sorted, each once.
  std::vector<std::pair<std::string, std::string>> tensors;  ///< Tensor and its file, by tensor.
};

/// Parses an index; a shard whose name is not a plain file name is refused. Throws
/// Error(kBadInput).
[[nodiscard]] ShardIndex parse_shard_index(std::span<const std::byte> text,
                                           const std::string& where);

}  // namespace sam3trt
