#pragma once

#include <onnx/onnx-ml.pb.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sam3trt {

/// Replaces the nodes of the parts whose path fits one of `patterns` by one node each, an operator
/// of base/own_operators.hpp, as precision/fusion_forms.hpp says: an attention of the vision
/// encoder by PATH/rotary_mha, a self-attention of the fusion encoder by PATH/plain_mha, the
/// decoder's attention to the picture by PATH/grid_mha, the positions of its queries by PATH/embed,
/// memory attention's attentions to the image by PATH/rotated_mha and to memories by
/// PATH/memory_mha; a product of the vision encoder, PATH/attn/qkv, PATH/attn/proj or PATH/mlp/fc2,
/// by one that has the name of its MatMul, a whole MLP by PATH/products; a LayerNormalization PATH
/// and the residual sum that it normalises by PATH/residual_norm; the mask head's pixel decoder,
/// /mask/pixels, as precision/mask_fusion.hpp says, and both ends of the vision encoder,
/// /vision/patch_embed and /vision/from_windows, as precision/vision_fusion.hpp says. Parts of
/// sizes that have no kernel stay, and so does a LayerNormalization of anything else. Returns how
/// many were replaced. Throws Error(kBadInput), naming the path, when a node is missing or is not
/// what was expected.
int64_t fuse_nodes(onnx::GraphProto& graph, const std::vector<std::string>& patterns,
                   const std::string& where);

}  // namespace sam3trt
