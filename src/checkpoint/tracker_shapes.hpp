#pragma once

#include "checkpoint/config.hpp"
#include "checkpoint/shape_table.hpp"

namespace sam3trt {

/// Sets `config.tracker` and its sizes from the shapes of a checkpoint in Meta's naming;
/// config.width and the vision encoder must be there already. What shapes do not say is what Meta's
/// code fixes (facebookresearch/sam3, model_builder.py, build_tracker). Notes a problem in `shapes`
/// for a tensor that is missing or has no usable shape. Without `memory` the model has the parts
/// for clicks only, and num_maskmem is 0.
void infer_tracker(ShapeTable& shapes, Sam3Config& config, bool memory);

}  // namespace sam3trt
