#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace sam3trt {

/// Domain of the operators that no other ONNX program knows.
inline constexpr const char* kOwnDomain = "sam3trt";

/// A self-attention after the rotary embedding of queries and keys, as one node and one TensorRT
/// plugin of this name. Inputs: packed projections [B, T, 3 * H * D] whose queries carry the factor
/// 1/sqrt(D); cos and sin, float32 of window * D / 2 values. Output: [B, T, H * D]. Attributes
/// `heads` H, `head_dim` D and `window`: attention stays within windows of so many tokens, which
/// divide T. Channel i of a head rotates with channel i + D / 2.
inline constexpr const char* kRotaryAttention = "Sam3trtRotaryAttention";

/// Sizes of heads (D) that it is there for.
inline constexpr std::array<int64_t, 3> kAttentionHeadDims = {16, 32, 64};

[[nodiscard]] constexpr bool has_attention_kernel(int64_t head_dim) {
  return std::ranges::find(kAttentionHeadDims, head_dim) != kAttentionHeadDims.end();
}

}  // namespace sam3trt
