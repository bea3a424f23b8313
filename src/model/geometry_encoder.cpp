#include "model/graphs.hpp"
#include "model/layers.hpp"
#include "model/position.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

const std::string kPrefix = "geometry_encoder.";

struct BoxInputs {
  Value boxes;
  Value labels;
  Value mask;
  Value pool_y;
  Value pool_x;
};

/// Normalised features under each box: pool_y * F * pool_x^T, [P, K, r, r, D].
Value add_box_pooling(ModelGraph& model, const Value& tokens, const Value& image_index,
                      const BoxInputs& inputs) {
  Graph& graph = model.graph;
  const std::string name = "/geometry/pool";
  const int64_t grid = model.config().vision.grid();
  const int64_t width = model.config().width;
  const int64_t roi = model.config().roi_size;
  const Dim prompts = inputs.boxes.dim(0);
  const Dim slots = inputs.boxes.dim(1);
  const Value normed = add_norm(model, name + "/norm", tokens, kPrefix + "vision_layer_norm");
  const Value gathered = add_gather(graph, name + "/image", normed, image_index, 0);
  const Value rows = add_reshape(graph, name + "/rows", gathered, {prompts, grid, grid * width});
  const Value weights_y =
      add_reshape(graph, name + "/weights_y", inputs.pool_y, {prompts, slots.times(roi), grid});
  const Value strips = add_matmul(graph, name + "/strips", weights_y, rows);
  const Value weights_x = add_unsqueeze(graph, name + "/weights_x", inputs.pool_x, 2);
  const Value per_box =
      add_reshape(graph, name + "/per_box", strips, {prompts, slots, roi, grid, width});
  return add_matmul(graph, name + "/pooled", weights_x, per_box);
}

/// The 7x7 convolution over a pooled region, as a linear layer over its flattened values.
LinearWeights pooled_projection(ModelGraph& model) {
  const WeightView kernel = model.checkpoint.weight(kPrefix + "boxes_pool_project.weight");
  const WeightView bias = model.checkpoint.weight(kPrefix + "boxes_pool_project.bias");
  const auto out = static_cast<size_t>(kernel.shape[0]);
  const auto in = static_cast<size_t>(kernel.shape[1]);
  const auto area = static_cast<size_t>(kernel.shape[2] * kernel.shape[3]);
  return {.name = kPrefix + "boxes_pool_project",
          .out = kernel.shape[0],
          .in = static_cast<int64_t>(area * in),
          .weight =
              [kernel, out, in, area]() {
                // [out, in, y, x] to [out, (y, x, in)].
                const std::vector<float> values = kernel.to_f32();
                std::vector<float> result(values.size());
                for (size_t o = 0; o < out; ++o) {
                  for (size_t i = 0; i < in; ++i) {
                    for (size_t a = 0; a < area; ++a) {
                      result[(o * area + a) * in + i] = values[(o * in + i) * area + a];
                    }
                  }
                }
                return result;
              },
          .bias = [bias]() { return bias.to_f32(); }};
}

/// Linear layer over [PE(cy) | PE(cx) | h | w] with its columns in the order of add_sine_encoding.
LinearWeights position_projection(ModelGraph& model) {
  const WeightView weight = model.checkpoint.weight(kPrefix + "boxes_pos_enc_project.weight");
  const WeightView bias = model.checkpoint.weight(kPrefix + "boxes_pos_enc_project.bias");
  const int64_t width = model.config().width;
  std::vector<int64_t> columns = deinterleaved_columns(width / 2, 2);
  columns.push_back(width);
  columns.push_back(width + 1);
  return {
      .name = kPrefix + "boxes_pos_enc_project",
      .out = weight.shape[0],
      .in = weight.shape[1],
      .weight = [weight,
                 columns]() { return select_columns(weight.to_f32(), weight.shape[0], columns); },
      .bias = [bias]() { return bias.to_f32(); }};
}

/// Box tokens [P, K, D]: direct projection + pooled features + position encoding + label.
Value add_box_tokens(ModelGraph& model, const Value& pooled, const BoxInputs& inputs) {
  Graph& graph = model.graph;
  const int64_t width = model.config().width;
  const int64_t roi = model.config().roi_size;
  const Dim prompts = inputs.boxes.dim(0);
  const Dim slots = inputs.boxes.dim(1);
  const Value direct =
      add_linear(model, "/geometry/direct", inputs.boxes, kPrefix + "boxes_direct_project");
  const Value flat =
      add_reshape(graph, "/geometry/pool/flat", pooled, {prompts, slots, roi * roi * width});
  const Value regional =
      add_linear(model, "/geometry/pool/project", flat, pooled_projection(model));

  const auto coordinate = [&](const std::string& name, int64_t index) {
    return add_slice(graph, "/geometry/" + name, inputs.boxes, 2, index, index + 1);
  };
  const auto encoded = [&](const std::string& name, int64_t index) {
    const Value flat_coordinate =
        add_squeeze(graph, "/geometry/" + name + "/flat", coordinate(name, index), 2);
    return add_sine_encoding(graph, "/geometry/" + name + "/pe", flat_coordinate, width / 2);
  };
  const Value pe_y = encoded("cy", 1);
  const Value pe_x = encoded("cx", 0);
  const Value position = add_concat(graph, "/geometry/position",
                                    {pe_y, pe_x, coordinate("h", 3), coordinate("w", 2)}, 2);
  const Value positional =
      add_linear(model, "/geometry/position/project", position, position_projection(model));
  const Value label = add_gather(graph, "/geometry/label",
                                 model.weight(kPrefix + "label_embed.weight"), inputs.labels, 0);
  const Value sum = add_add(graph, "/geometry/sum1", direct, regional);
  return add_add(graph, "/geometry/boxes", add_add(graph, "/geometry/sum2", sum, positional),
                 label);
}

struct ImageTokens {
  Value plain;          ///< [B, N, D]
  Value with_position;  ///< [B, N, D]
  Value image_index;    ///< [P]
};

/// Pre-norm layer: self-attention, cross-attention to the image, MLP. Keys and values of the image
/// are projected once per image and then picked per prompt.
Value add_layer(ModelGraph& model, int64_t index, const Value& x, const Value& mask,
                const ImageTokens& image) {
  Graph& graph = model.graph;
  const StackConfig& stack = model.config().geometry;
  const std::string name = "/geometry/layers." + std::to_string(index);
  const std::string prefix = kPrefix + "layers." + std::to_string(index) + ".";

  const AttentionSpec self{prefix + "self_attn", stack.heads};
  const Value n1 = add_norm(model, name + "/norm1", x, prefix + "layer_norm1");
  const Heads self_heads{add_query_heads(model, name + "/self_attn", self, n1),
                         add_key_heads(model, name + "/self_attn", self, n1),
                         add_value_heads(model, name + "/self_attn", self, n1)};
  const Value y = add_add(graph, name + "/residual1", x,
                          add_attention(model, name + "/self_attn", self, self_heads, mask));

  const AttentionSpec cross{prefix + "cross_attn", stack.heads};
  const Value n2 = add_norm(model, name + "/norm2", y, prefix + "layer_norm2");
  const Value keys = add_key_heads(model, name + "/cross_attn", cross, image.with_position);
  const Value values = add_value_heads(model, name + "/cross_attn", cross, image.plain);
  const Heads cross_heads{
      add_query_heads(model, name + "/cross_attn", cross, n2),
      add_gather(graph, name + "/cross_attn/k_of_prompt", keys, image.image_index, 0),
      add_gather(graph, name + "/cross_attn/v_of_prompt", values, image.image_index, 0)};
  const Value z = add_add(graph, name + "/residual2", y,
                          add_attention(model, name + "/cross_attn", cross, cross_heads, Value{}));

  const Value n3 = add_norm(model, name + "/norm3", z, prefix + "layer_norm3");
  return add_add(graph, name + "/residual3", z,
                 add_mlp(model, name + "/mlp", n3, prefix + "mlp", stack.activation));
}

}  // namespace

void build_geometry_encoder(ModelGraph& model) {
  Graph& graph = model.graph;
  const Sam3Config& config = model.config();
  const int64_t grid = config.vision.grid();
  const int64_t roi = config.roi_size;
  const Value features =
      graph.add_input("fpn_feat_2", DType::kF32, {"B", config.width, grid, grid});
  const Value image_index = graph.add_input("image_index", DType::kI64, {"P"});
  const BoxInputs inputs{graph.add_input("boxes", DType::kF32, {"P", "K", 4}),
                         graph.add_input("box_labels", DType::kI64, {"P", "K"}),
                         graph.add_input("box_mask", DType::kF32, {"P", "K"}),
                         graph.add_input("pool_y", DType::kF32, {"P", "K", roi, grid}),
                         graph.add_input("pool_x", DType::kF32, {"P", "K", roi, grid})};

  const Value tokens = add_tokens(graph, "/geometry/image", features);
  const Value position =
      model.derived("/geometry/image_position", {1, grid * grid, config.width},
                    [grid, width = config.width]() { return sine_position_tokens(grid, width); });
  const ImageTokens image{tokens, add_add(graph, "/geometry/image_key", tokens, position),
                          image_index};

  const Value boxes =
      add_box_tokens(model, add_box_pooling(model, tokens, image_index, inputs), inputs);
  const Value zero_index = add_zero_index(graph, "/geometry/zero_index", image_index);
  const Value cls = add_per_prompt(graph, "/geometry/cls",
                                   model.weight(kPrefix + "cls_embed.weight"), zero_index);
  const Value one = graph.add_constant_f32("/geometry/one", {1}, {1.0F});
  const Value cls_mask = add_per_prompt(graph, "/geometry/cls_mask", one, zero_index);
  const Value mask =
      add_score_mask(graph, "/geometry/mask",
                     add_concat(graph, "/geometry/token_mask", {inputs.mask, cls_mask}, 1));

  Value x = add_concat(graph, "/geometry/tokens", {boxes, cls}, 1);
  x = add_norm(model, "/geometry/prompt_norm",
               add_linear(model, "/geometry/final_proj", x, kPrefix + "final_proj"),
               kPrefix + "prompt_layer_norm");
  for (int64_t i = 0; i < config.geometry.layers; ++i) x = add_layer(model, i, x, mask, image);
  graph.add_output("geometry_features",
                   add_norm(model, "/geometry/output_norm", x, kPrefix + "output_layer_norm"));
}

}  // namespace sam3trt
