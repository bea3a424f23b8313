#pragma once

#include <onnx/onnx-ml.pb.h>

#include <cstdint>
#include <string>

namespace sam3trt {

/// What a recipe's `fused` names for fuse_mask_pixels.
inline constexpr const char* kMaskPixels = "/mask/pixels";

/// Makes the pixel decoder of the mask head, as src/model/mask_head.cpp writes it, one whose maps
/// have their channels side by side from end to end, so that neither gathering, enlarging,
/// normalising nor the products at its end copy from one layout to another: kGatheredNorm,
/// kUpsampledSum and kGroupNorm (base/own_operators.hpp) around the convolutions, which stay.
/// Returns how many operators there are then; 0, and the graph stays, where it is that of another
/// component or has sizes without a kernel. Throws Error(kBadInput) when a node is missing or is
/// not what was expected.
int64_t fuse_mask_pixels(onnx::GraphProto& graph, const std::string& where);

}  // namespace sam3trt
