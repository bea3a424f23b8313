#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/tensor.hpp"

namespace sam3trt {

/// What a checkpoint file says about one tensor.
struct TensorEntry {
  std::string name;
  std::string dtype;  ///< Lower-case as name_of(DType); for other types as the file spells it.
  Shape shape;
  uint64_t bytes = 0;  ///< Bytes of its elements.
};

/// The tensors of a file, whatever model they belong to.
struct CheckpointListing {
  std::string format;                ///< "safetensors" or "torch zip".
  std::vector<TensorEntry> tensors;  ///< By name.
};

/// Lists a checkpoint's tensors without expecting a complete, or any known, model. Takes the same
/// paths as Checkpoint::open; needs no config.json. Throws Error(kBadInput).
[[nodiscard]] CheckpointListing list_checkpoint(const std::filesystem::path& path);

}  // namespace sam3trt
