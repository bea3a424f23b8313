#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/tensor.hpp"

namespace sam3trt {

/// A tensor of a pickled state dict. Nothing about it is checked against the storage's bytes.
struct PickledTensor {
  std::string name;
  std::string dtype_name;      ///< As torch spells it without "Storage" ("Float", "ComplexDouble").
  std::optional<DType> dtype;  ///< Empty when this project has no type for it.
  uint64_t item_size = 0;      ///< Bytes of one element.
  std::string storage_key;     ///< Name of the storage's zip entry.
  uint64_t storage_bytes = 0;  ///< Size that the pickle gives the storage.
  int64_t offset = 0;          ///< Of the first element, in elements.
  Shape shape;
  std::vector<int64_t> strides;  ///< In elements, none negative, as many as dimensions.
};

/// Reads the `data.pkl` of a torch zip file: a state dict, or dictionaries in which training keeps
/// one ("model", "model_state_dict", "state_dict", others), to any depth of a few. Of several
/// models the one under the key that comes first in this list is taken, averaged copies ("ema")
/// last, and `notes` gets a sentence about it; what is no tensor beside it is skipped. Executes
/// nothing: it knows the opcodes, the classes and the functions that state dicts and the settings
/// beside them consist of and refuses everything else by name, so no code of the file can run.
/// Memory is bounded by a multiple of the pickle's size, which is limited to 16 MiB. `where` starts
/// every message. Throws Error(kBadInput).
///
/// Formats: Python's pickletools.py (opcodes of protocols 2 to 5); torch/serialization.py
/// (persistent ids of storages), torch/_utils.py (_rebuild_tensor_v2 and its kin).
[[nodiscard]] std::vector<PickledTensor> unpickle_state_dict(
    std::span<const std::byte> bytes, const std::string& where,
    std::vector<std::string>* notes = nullptr);

}  // namespace sam3trt
