#include "model/graphs.hpp"
#include "model/layers.hpp"
#include "model/neck.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {

void build_tracker_neck(ModelGraph& model) {
  Graph& graph = model.graph;
  const Sam3Config& config = model.config();
  const int64_t grid = config.vision.grid();
  const Value tokens =
      graph.add_input("vision_features", DType::kF32, {"B", grid * grid, config.vision.hidden});
  const Value map = add_map(graph, "/tracker_neck/map", tokens, grid);
  const auto level = [&](int64_t index, const std::string& projection) {
    return add_neck_level(model, "/tracker_neck/level." + std::to_string(index), "tracker_neck.",
                          map, index, projection);
  };
  // With the SAM decoder's own projections, done once per image.
  for (int64_t index = 0; index < 2; ++index) {
    const std::string number = std::to_string(index);
    graph.add_output("tracker_feat_" + number,
                     level(index, "tracker_model.mask_decoder.conv_s" + number));
  }
  const Value features = level(2, "");
  const WeightView embedding = model.checkpoint.weight("tracker_model.no_memory_embedding");
  const Value no_memory =
      model.derived("tracker_model.no_memory_embedding", {1, config.tracker->width, 1, 1},
                    [embedding]() { return embedding.to_f32(); });
  graph.add_output("tracker_feat_2", features);
  graph.add_output("object_features",
                   add_add(graph, "/tracker_neck/without_memory", features, no_memory));
}

}  // namespace sam3trt
