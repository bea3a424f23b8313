#pragma once

#include <span>
#include <string>

#include "checkpoint/config.hpp"
#include "checkpoint/stored_tensor.hpp"

namespace sam3trt {

/// The configuration of a checkpoint in Meta's naming, which has no config.json, from the shapes of
/// its tensors. What shapes do not say is what Meta's code fixes (facebookresearch/sam3,
/// model_builder.py): activations, epsilons, rope theta 10000, 64 channels per head in the text
/// tower, the same number of heads in every detector attention, start and end mark as the last two
/// of the vocabulary, padding with 0. The inferences stand at their places in the source. Throws
/// Error(kBadInput) that lists the tensors that are missing or have no usable shape.
[[nodiscard]] Sam3Config infer_meta_config(std::span<const StoredTensor> tensors,
                                           const std::string& where);

}  // namespace sam3trt
