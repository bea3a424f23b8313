#pragma once

#include "components/components.hpp"
#include "model/layers.hpp"

namespace sam3trt {

// The graphs of a SAM 3 model; docs/graphs.md owns their inputs and outputs. Each fills an
// empty graph.

void build_vision_encoder(ModelGraph& model);
void build_text_encoder(ModelGraph& model);
void build_geometry_encoder(ModelGraph& model);
void build_detector(ModelGraph& model);
void build_mask_head(ModelGraph& model);

// Those of a model with a tracker.

void build_tracker_neck(ModelGraph& model);
void build_mask_prompt(ModelGraph& model);
void build_memory_attention(ModelGraph& model);
void build_sam_decoder(ModelGraph& model);
void build_memory_encoder(ModelGraph& model);

/// Whether a model of that configuration has the component.
[[nodiscard]] bool has_component(const Sam3Config& config, Component component);

}  // namespace sam3trt
