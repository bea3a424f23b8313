#pragma once

#include <onnx/onnx-ml.pb.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sam3trt {

/// The operator that stands for a fused attention, in the domain "sam3trt": inputs packed
/// projections [B, T, 3 * H * D], cos and sin (float32 [1, 1, N, D / 2]); output [B, T, H * D];
/// attributes heads H, head_dim D, window N. src/cuda/attention.hpp runs it.
inline constexpr const char* kRotaryAttention = "Sam3trtRotaryAttention";
inline constexpr const char* kOwnDomain = "sam3trt";

/// Replaces the nodes of the attentions whose path fits one of `patterns`, from the packed
/// projections to the joined heads, as src/model/vision_encoder.cpp writes them, by one
/// kRotaryAttention node PATH/rotary_mha. Those with heads of a size that has no kernel stay.
/// Returns how many were replaced. Throws Error(kBadInput), naming the path, when a node is missing
/// or is not what was expected.
int64_t fuse_rotary_attention(onnx::GraphProto& graph, const std::vector<std::string>& patterns,
                              const std::string& where);

}  // namespace sam3trt
