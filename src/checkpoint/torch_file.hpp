#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/stored_tensor.hpp"

namespace sam3trt {

/// The tensors of a file that torch.save wrote (torch 1.6 or later): a zip archive of a pickled
/// state dict and the bytes of its storages. Every tensor is checked to lie within its storage. The
/// result views `file`; `where` starts every message, and what was decided (pickle.hpp) is added to
/// `notes`. Throws Error(kBadInput) that says what it is for other zip files, TorchScript's too.
[[nodiscard]] std::vector<StoredTensor> parse_torch_file(std::span<const std::byte> file,
                                                         const std::string& where,
                                                         std::vector<std::string>* notes = nullptr);

/// The elements of a strided tensor in dense row-major order. Throws Error(kBadInput) when it has
/// more elements than bytes back it, as an expanded tensor does.
[[nodiscard]] std::vector<std::byte> make_dense(const StoredTensor& tensor,
                                                const std::string& where);

}  // namespace sam3trt
