#pragma once

#include "model/layers.hpp"

namespace sam3trt {

// The graphs of a SAM 3 image model; docs/graphs.md owns their inputs and outputs. Each fills an
// empty graph.

void build_vision_encoder(ModelGraph& model);
void build_text_encoder(ModelGraph& model);
void build_geometry_encoder(ModelGraph& model);
void build_detector(ModelGraph& model);
void build_mask_head(ModelGraph& model);

}  // namespace sam3trt
