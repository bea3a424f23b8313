#include "model/graphs.hpp"
#include "model/layers.hpp"
#include "model/neck.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

const std::string kEncoder = "tracker_model.memory_encoder.";
constexpr double kMapEpsilon = 1e-6;  // LayerNorm2d of Meta's model/model_misc.py

Value add_named_conv(ModelGraph& model, const std::string& name, const Value& x,
                     const std::string& prefix, const ConvOptions& options) {
  return add_conv(model.graph, name, x, model.weight(prefix + ".weight"),
                  model.weight(prefix + ".bias"), options);
}

/// Logits [O, 1, 16g, 16g] as what the model remembers of a mask: sharp where is_binary [O] is 1,
/// else a probability, scaled.
Value add_mask_values(ModelGraph& model, const Value& logits, const Value& is_binary) {
  Graph& graph = model.graph;
  const std::string name = "/memory_encoder/mask";
  const TrackerConfig& config = *model.config().tracker;
  const Value gate =
      add_reshape(graph, name + "/is_binary", is_binary, {is_binary.dim(0), 1, 1, 1});
  const Value values =
      add_select(graph, name + "/values", gate, add_is_positive(graph, name + "/sharp", logits),
                 add_sigmoid(graph, name + "/soft", logits));
  const auto constant = [&](const char* part, double value) {
    return graph.add_constant_f32(name + part, {}, {static_cast<float>(value)});
  };
  const Value scaled =
      add_mul(graph, name + "/scaled", values, constant("/scale", config.sigmoid_scale));
  return add_add(graph, name, scaled, constant("/bias", config.sigmoid_bias));
}

/// [O, 1, 16g, 16g] to [O, D, g, g].
Value add_mask_map(ModelGraph& model, const Value& mask) {
  const TrackerSizes& sizes = model.config().tracker_sizes;
  Value x = mask;
  for (int64_t i = 0; i < sizes.mask_layers; ++i) {
    const std::string number = std::to_string(i);
    const std::string name = "/memory_encoder/mask/layers." + number;
    const std::string prefix = kEncoder + "mask_downsampler.layers." + number + ".";
    x = add_named_conv(model, name + "/conv", x, prefix + "conv",
                       {.stride = sizes.mask_stride, .padding = sizes.mask_padding});
    x = add_map_norm(model, name + "/norm", x, prefix + "layer_norm", kMapEpsilon);
    x = add_activation(model.graph, name + "/act", x, sizes.mask_activation);
  }
  return add_named_conv(model, "/memory_encoder/mask/final", x,
                        kEncoder + "mask_downsampler.final_conv", {});
}

/// One ConvNeXt block on [O, D, g, g].
Value add_fuser_layer(ModelGraph& model, int64_t index, const Value& map) {
  Graph& graph = model.graph;
  const TrackerSizes& sizes = model.config().tracker_sizes;
  const std::string number = std::to_string(index);
  const std::string name = "/memory_encoder/fuser." + number;
  const std::string prefix = kEncoder + "memory_fuser.layers." + number + ".";
  const Value local = add_named_conv(
      model, name + "/depthwise", map, prefix + "depthwise_conv",
      {.padding = (sizes.fuser_kernel - 1) / 2, .groups = model.config().tracker->width});
  Value x = add_norm(model, name + "/norm", add_tokens(graph, name + "/tokens", local),
                     prefix + "layer_norm", kMapEpsilon);
  x = add_linear(model, name + "/pointwise1", x, prefix + "pointwise_conv1");
  x = add_activation(graph, name + "/act", x, sizes.fuser_activation);
  x = add_linear(model, name + "/pointwise2", x, prefix + "pointwise_conv2");
  x = add_mul(graph, name + "/scaled", x, model.weight(prefix + "scale"));
  return add_add(graph, name + "/residual", map,
                 add_map(graph, name + "/map", x, model.config().vision.grid()));
}

}  // namespace

void build_memory_encoder(ModelGraph& model) {
  Graph& graph = model.graph;
  const Sam3Config& config = model.config();
  const int64_t grid = config.vision.grid();
  const Value features =
      graph.add_input("tracker_feat_2", DType::kF32, {"B", config.tracker->width, grid, grid});
  const Value image_index = graph.add_input("image_index", DType::kI64, {"O"});
  const Value logits = graph.add_input("memory_mask", DType::kF32, {"O", 1, 16 * grid, 16 * grid});
  const Value is_binary = graph.add_input("is_binary", DType::kF32, {"O"});
  const Value score = graph.add_input("object_score", DType::kF32, {"O", 1});

  const Value projected = add_named_conv(model, "/memory_encoder/features", features,
                                         kEncoder + "feature_projection", {});
  Value x = add_add(graph, "/memory_encoder/joined",
                    add_gather(graph, "/memory_encoder/image", projected, image_index, 0),
                    add_mask_map(model, add_mask_values(model, logits, is_binary)));
  for (int64_t i = 0; i < config.tracker_sizes.fuser_layers; ++i) x = add_fuser_layer(model, i, x);
  Value memory =
      add_tokens(graph, "/memory_encoder/tokens",
                 add_named_conv(model, "/memory_encoder/project", x, kEncoder + "projection", {}));
  if (config.tracker_sizes.occlusion_embedding) {
    const Value one = graph.add_constant_f32("/memory_encoder/one", {}, {1.0F});
    const Value absent = add_sub(graph, "/memory_encoder/absent", one,
                                 add_is_positive(graph, "/memory_encoder/appears", score));
    const Value added =
        add_mul(graph, "/memory_encoder/occlusion",
                add_unsqueeze(graph, "/memory_encoder/absent_row", absent, 2),
                model.weight("tracker_model.occlusion_spatial_embedding_parameter"));
    memory = add_add(graph, "/memory_encoder/with_occlusion", memory, added);
  }
  graph.add_output("frame_memory", memory);
}

}  // namespace sam3trt
