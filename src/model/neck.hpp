#pragma once

#include "model/layers.hpp"

namespace sam3trt {

/// One level of a neck (0: four times the grid, 1: twice, 2: the grid) on the vision transformer's
/// map [B, H, g, g]: optional up-convolutions, 1x1 and 3x3 convolution, no norms, then the 1x1
/// convolution `projection` unless its name is empty. The neck's weights are
/// `prefix`fpn_layers.<level>. A 1x1 convolution right after another one is part of its weights.
Value add_neck_level(ModelGraph& model, const std::string& name, const std::string& prefix,
                     const Value& map, int64_t level, const std::string& projection = "");

/// Tokens [B, g*g, C], row by row, as a map [B, C, g, g].
Value add_map(Graph& graph, const std::string& name, const Value& tokens, int64_t grid);

}  // namespace sam3trt
