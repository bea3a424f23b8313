#include "model/graphs.hpp"
#include "model/layers.hpp"
#include "model/position.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

/// Rows, then columns, of a map [O, 1, s, s] resized to [O, 1, t, t] by PyTorch's antialiased
/// bilinear filter, as two products with constants.
Value add_resize(Graph& graph, const std::string& name, const Value& map, int64_t side) {
  const int64_t from = map.dim(2).value();
  if (from == side) return map;
  const std::vector<float> weights = resize_weights(from, side);
  std::vector<float> turned(weights.size());
  for (size_t row = 0; row < static_cast<size_t>(side); ++row) {
    for (size_t column = 0; column < static_cast<size_t>(from); ++column) {
      turned[column * static_cast<size_t>(side) + row] =
          weights[row * static_cast<size_t>(from) + column];
    }
  }
  const Value columns = graph.add_constant_f32(name + "/columns", {from, side}, turned);
  const Value rows = graph.add_constant_f32(name + "/rows", {side, from}, weights);
  return add_matmul(graph, name, rows, add_matmul(graph, name + "/wide", map, columns));
}

}  // namespace

void build_mask_prompt(ModelGraph& model) {
  Graph& graph = model.graph;
  const VisionConfig& vision = model.config().vision;
  const int64_t prompted = model.config().tracker->mask_prompt_size;
  const int64_t side = prompted > 0 ? prompted : vision.image_size;
  const Value mask = graph.add_input("object_mask", DType::kF32, {"O", 1, side, side});
  const Value small = add_conv(graph, "/mask_prompt/downsample", mask,
                               model.weight("tracker_model.mask_downsample.weight"),
                               model.weight("tracker_model.mask_downsample.bias"), {.stride = 4});
  graph.add_output("mask_input",
                   add_resize(graph, "/mask_prompt/resize", small, 4 * vision.grid()));
}

}  // namespace sam3trt
