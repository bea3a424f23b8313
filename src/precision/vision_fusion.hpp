#pragma once

#include <onnx/onnx-ml.pb.h>

#include <cstdint>
#include <string>

namespace sam3trt {

/// What a recipe's `fused` names for the functions below.
inline constexpr const char* kPatchEmbedding = "/vision/patch_embed";
inline constexpr const char* kVisionMap = "/vision/from_windows";

/// Makes the vision encoder's first convolution, as src/model/vision_encoder.cpp writes it, a
/// product with kPatches (base/own_operators.hpp), whose rows have the order of windows already.
/// Returns how many operators of this program there are then; 0, and the graph stays, where it is
/// that of another component or has sizes without a kernel. Throws Error(kBadInput) when a node is
/// missing or is not what was expected.
int64_t fuse_patch_embedding(onnx::GraphProto& graph, const std::string& where);

/// The same of what puts the last block's tokens into the order of the image, with kWindowMap.
int64_t fuse_vision_map(onnx::GraphProto& graph, const std::string& where);

}  // namespace sam3trt
