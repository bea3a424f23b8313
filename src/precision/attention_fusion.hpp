#pragma once

#include <onnx/onnx-ml.pb.h>

#include <cstdint>
#include <string>
#include <vector>

namespace sam3trt {

/// Replaces the nodes of the attentions whose path fits one of `patterns` by one node each, an
/// operator of base/own_operators.hpp:
/// - those of the vision encoder, from the packed projections to the joined heads, as
///   src/model/vision_encoder.cpp writes them, by a kRotaryAttention PATH/rotary_mha;
/// - the decoder's attention to the picture, from the projections and the boxes to the joined
///   heads, as src/model/detector.cpp writes it, by a kGridAttention PATH/grid_mha.
/// Those with heads of a size that has no kernel stay. Returns how many were replaced. Throws
/// Error(kBadInput), naming the path, when a node is missing or is not what was expected.
int64_t fuse_attentions(onnx::GraphProto& graph, const std::vector<std::string>& patterns,
                        const std::string& where);

}  // namespace sam3trt
