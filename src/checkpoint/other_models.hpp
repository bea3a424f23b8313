#pragma once

#include <span>
#include <string>

#include "checkpoint/stored_tensor.hpp"

namespace sam3trt {

/// Throws Error(kBadInput) when the tensors' names say that they cannot be exported as they are
/// though they may hold much of a SAM 3 model: adapters (LoRA, PEFT), quantised weights, the state
/// of an optimizer, SAM 3.1, SAM 3's tracker, SAM 1 and SAM 2. The message says what they are and
/// the way out; `where` starts it.
void refuse_other_models(std::span<const StoredTensor> tensors, const std::string& where);

/// What a model without SAM 3's tensors seems to be ("; it seems to be ..."), or nothing.
[[nodiscard]] std::string guess_model(std::span<const StoredTensor> tensors);

}  // namespace sam3trt
