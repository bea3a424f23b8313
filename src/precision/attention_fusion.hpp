#pragma once

#include <onnx/onnx-ml.pb.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sam3trt {

/// Replaces the nodes of the attentions whose path fits one of `patterns`, from the packed
/// projections to the joined heads, as src/model/vision_encoder.cpp writes them, by one
/// kRotaryAttention node (base/own_operators.hpp) PATH/rotary_mha. Those with heads of a size that
/// has no kernel stay. Returns how many were replaced. Throws Error(kBadInput), naming the path,
/// when a node is missing or is not what was expected.
int64_t fuse_rotary_attention(onnx::GraphProto& graph, const std::vector<std::string>& patterns,
                              const std::string& where);

}  // namespace sam3trt
