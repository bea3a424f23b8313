#include <cmath>

#include "model/graphs.hpp"
#include "model/layers.hpp"
#include "model/position.hpp"
#include "model/prompt_tokens.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

constexpr float kScoreLimit = 12.0F;     // Meta's model/model_misc.py, DotProductScoring
constexpr float kPresenceLimit = 10.0F;  // transformers, Sam3DetrDecoder
constexpr float kBoxEpsilon = 1e-3F;     // inverse_sigmoid in both

/// Fusion encoder: image tokens attend to each other and to the prompt, pre-norm.
class FusionEncoder {
 public:
  FusionEncoder(ModelGraph& model, const PromptTokens& prompt, const Value& position)
      : model_(model), graph_(model.graph), prompt_(prompt), position_(position) {}

  /// tokens [B, N, D] to encoder_hidden_states [P, N, D]. The first self-attention does not depend
  /// on the prompt, so it runs once per image.
  Value build(const Value& tokens, const Value& image_index) {
    Value x = tokens;
    for (int64_t i = 0; i < model_.config().encoder.layers; ++i) {
      const std::string name = "/encoder/layers." + std::to_string(i);
      const std::string prefix = "detr_encoder.layers." + std::to_string(i) + ".";
      x = self_attention(name, prefix, x);
      if (i == 0) x = add_gather(graph_, "/encoder/image_of_prompt", x, image_index, 0);
      x = prompt_attention(name, prefix, x);
      const Value n = add_norm(model_, name + "/norm3", x, prefix + "layer_norm3");
      x = add_add(
          graph_, name + "/residual3", x,
          add_mlp(model_, name + "/mlp", n, prefix + "mlp", model_.config().encoder.activation));
    }
    return x;
  }

 private:
  Value self_attention(const std::string& name, const std::string& prefix, const Value& x) {
    const AttentionSpec spec{prefix + "self_attn", model_.config().encoder.heads};
    const Value n = add_norm(model_, name + "/norm1", x, prefix + "layer_norm1");
    const Value with_position = add_add(graph_, name + "/with_position", n, position_);
    const Heads heads{add_query_heads(model_, name + "/self_attn", spec, with_position),
                      add_key_heads(model_, name + "/self_attn", spec, with_position),
                      add_value_heads(model_, name + "/self_attn", spec, n)};
    return add_add(graph_, name + "/residual1", x,
                   add_attention(model_, name + "/self_attn", spec, heads, Value{}));
  }

  Value prompt_attention(const std::string& name, const std::string& prefix, const Value& x) {
    const AttentionSpec spec{prefix + "cross_attn", model_.config().encoder.heads};
    const Value n = add_norm(model_, name + "/norm2", x, prefix + "layer_norm2");
    const Heads heads{add_query_heads(model_, name + "/cross_attn", spec, n),
                      add_key_heads(model_, name + "/cross_attn", spec, prompt_.tokens),
                      add_value_heads(model_, name + "/cross_attn", spec, prompt_.tokens)};
    return add_add(graph_, name + "/residual2", x,
                   add_attention(model_, name + "/cross_attn", spec, heads, prompt_.score_mask));
  }

  ModelGraph& model_;
  Graph& graph_;
  const PromptTokens& prompt_;
  const Value& position_;
};

/// DETR decoder with box refinement, box-relative position bias and a presence token in row 0;
/// post-norm. Boxes stay cx cy w h in 0..1.
class Decoder {
 public:
  struct Result {
    Value queries;   ///< [P, Q, D], normalised
    Value boxes;     ///< [P, Q, 4] cx cy w h
    Value presence;  ///< [P, 1, D]
  };

  Decoder(ModelGraph& model, const PromptTokens& prompt, const Value& memory, const Value& position,
          const Value& zero_index)
      : model_(model),
        graph_(model.graph),
        prompt_(prompt),
        memory_(memory),
        memory_key_(add_add(graph_, "/decoder/memory_key", memory, position)),
        zero_index_(zero_index) {
    const int64_t grid = model.config().vision.grid();
    std::vector<float> coordinates;
    for (int64_t i = 0; i < grid; ++i) {
      coordinates.push_back(static_cast<float>(i) / static_cast<float>(grid));
    }
    coordinates_ =
        graph_.add_constant_f32("/decoder/coordinates", {grid, 1}, std::move(coordinates));
    zero_row_ =
        add_per_prompt(graph_, "/decoder/zero_row",
                       graph_.add_constant_f32("/decoder/zeros", {1, width()},
                                               std::vector<float>(static_cast<size_t>(width()))),
                       zero_index);
    zero_bias_ = add_per_prompt(
        graph_, "/decoder/zero_bias",
        graph_.add_constant_f32("/decoder/bias_zeros", {heads(), 1, grid},
                                std::vector<float>(static_cast<size_t>(heads() * grid))),
        zero_index);
  }

  Result build() {
    const std::string prefix = "detr_decoder.";
    const Value presence =
        add_per_prompt(graph_, "/decoder/presence_token",
                       model_.weight(prefix + "presence_token.weight"), zero_index_);
    const Value queries = add_per_prompt(graph_, "/decoder/query_embed",
                                         model_.weight(prefix + "query_embed.weight"), zero_index_);
    const Value points =
        add_per_prompt(graph_, "/decoder/reference_points",
                       model_.weight(prefix + "reference_points.weight"), zero_index_);
    Value x = add_concat(graph_, "/decoder/tokens", {presence, queries}, 1);
    Value boxes = add_sigmoid(graph_, "/decoder/boxes", points);
    Value normed;
    for (int64_t i = 0; i < model_.config().decoder.layers; ++i) {
      const std::string name = "/decoder/layers." + std::to_string(i);
      x = layer(name, prefix + "layers." + std::to_string(i) + ".", x, boxes);
      const Value hidden = add_slice(graph_, name + "/queries", x, 1, 1, count() + 1);
      normed = add_norm(model_, name + "/output_norm", hidden, prefix + "output_layer_norm");
      boxes = refine(name + "/refine", boxes, normed);
    }
    return {normed, boxes, add_slice(graph_, "/decoder/presence_row", x, 1, 0, 1)};
  }

 private:
  [[nodiscard]] int64_t width() const { return model_.config().width; }
  [[nodiscard]] int64_t heads() const { return model_.config().decoder.heads; }
  [[nodiscard]] int64_t count() const { return model_.config().queries; }

  Value layer(const std::string& name, const std::string& prefix, const Value& x,
              const Value& boxes) {
    const Value position = query_position(name + "/query_position", boxes);
    const auto with_position = [&](const std::string& part, const Value& value) {
      return add_add(graph_, name + part + "/query_in", value, position);
    };
    const AttentionSpec self{prefix + "self_attn", heads()};
    const Value q1 = with_position("/self_attn", x);
    Value y = attend(name + "/self_attn", self, x,
                     {add_query_heads(model_, name + "/self_attn", self, q1),
                      add_key_heads(model_, name + "/self_attn", self, q1),
                      add_value_heads(model_, name + "/self_attn", self, x)},
                     Value{}, prefix + "self_attn_layer_norm");

    const AttentionSpec text{prefix + "text_cross_attn", heads()};
    y = attend(name + "/text_attn", text, y,
               {add_query_heads(model_, name + "/text_attn", text, with_position("/text_attn", y)),
                add_key_heads(model_, name + "/text_attn", text, prompt_.tokens),
                add_value_heads(model_, name + "/text_attn", text, prompt_.tokens)},
               prompt_.score_mask, prefix + "text_cross_attn_layer_norm");

    const AttentionSpec vision{prefix + "vision_cross_attn", heads()};
    y = attend(
        name + "/image_attn", vision, y,
        {add_query_heads(model_, name + "/image_attn", vision, with_position("/image_attn", y)),
         add_key_heads(model_, name + "/image_attn", vision, memory_key_),
         add_value_heads(model_, name + "/image_attn", vision, memory_)},
        position_bias(name + "/bias", boxes), prefix + "vision_cross_attn_layer_norm");

    const Value mixed =
        add_mlp(model_, name + "/mlp", y, prefix + "mlp", model_.config().decoder.activation);
    return add_norm(model_, name + "/mlp_norm", add_add(graph_, name + "/mlp_sum", y, mixed),
                    prefix + "mlp_layer_norm");
  }

  Value attend(const std::string& name, const AttentionSpec& spec, const Value& x,
               const Heads& heads, const Value& mask, const std::string& norm) {
    const Value attended = add_attention(model_, name, spec, heads, mask);
    return add_norm(model_, name + "/norm", add_add(graph_, name + "/sum", x, attended), norm);
  }

  /// MLP of the sine encoding of (y, x, w, h); zero for the presence token: [P, Q + 1, D].
  Value query_position(const std::string& name, const Value& boxes) {
    const int64_t features = width() / 2;
    const Value order = graph_.add_constant_i64(name + "/order", {4}, {1, 0, 2, 3});
    const Value flat =
        add_reshape(graph_, name + "/flat", add_gather(graph_, name + "/yxwh", boxes, order, 2),
                    {boxes.dim(0), 4 * count()});
    const Value encoding = add_sine_encoding(graph_, name + "/pe", flat, features);
    const Value joined =
        add_reshape(graph_, name + "/joined", encoding, {boxes.dim(0), count(), 4 * features});
    const std::string prefix = "detr_decoder.ref_point_head.";
    const WeightView weight = model_.checkpoint.weight(prefix + "layer1.weight");
    const WeightView bias = model_.checkpoint.weight(prefix + "layer1.bias");
    const auto columns = deinterleaved_columns(features, 4);
    const Value hidden =
        add_linear(model_, name + "/layer0", joined,
                   {.name = prefix + "layer1",
                    .out = weight.shape[0],
                    .in = weight.shape[1],
                    .weight =
                        [weight, columns]() {
                          return select_columns(weight.to_f32(), weight.shape[0], columns);
                        },
                    .bias = [bias]() { return bias.to_f32(); }});
    const Value position = add_linear(model_, name + "/layer1",
                                      add_relu(graph_, name + "/relu", hidden), prefix + "layer2");
    return add_concat(graph_, name, {zero_row_, position}, 1);
  }

  /// Box-relative position bias [P, H, Q + 1, N]: the sum of a row term and a column term, each an
  /// MLP of sign(8d) log2(|8d| + 1) / 3 of the distances d to the box's two edges; zero for the
  /// presence token (Meta's model/decoder.py, _get_rpb_matrix).
  Value position_bias(const std::string& name, const Value& boxes) {
    const int64_t grid = model_.config().vision.grid();
    const Value rows = edge_term(name + "/y", boxes, 1, "detr_decoder.box_rpb_embed_y.");
    const Value columns = edge_term(name + "/x", boxes, 0, "detr_decoder.box_rpb_embed_x.");
    const Value sum = add_add(graph_, name + "/sum", add_unsqueeze(graph_, name + "/rows", rows, 4),
                              add_unsqueeze(graph_, name + "/columns", columns, 3));
    return add_reshape(graph_, name, sum, {boxes.dim(0), heads(), count() + 1, grid * grid});
  }

  /// [P, H, Q + 1, g] for one axis (0: x, 1: y).
  Value edge_term(const std::string& name, const Value& boxes, int64_t axis,
                  const std::string& prefix) {
    const Value half = graph_.add_constant_f32(name + "/half", {}, {0.5F});
    const Value center = add_slice(graph_, name + "/center", boxes, 2, axis, axis + 1);
    const Value extent = add_slice(graph_, name + "/extent", boxes, 2, axis + 2, axis + 3);
    const Value offset = add_mul(graph_, name + "/offset", extent, half);
    const Value edges = add_concat(graph_, name + "/edges",
                                   {add_sub(graph_, name + "/low", center, offset),
                                    add_add(graph_, name + "/high", center, offset)},
                                   2);
    const Value distance = add_sub(graph_, name + "/distance", coordinates_,
                                   add_unsqueeze(graph_, name + "/edges_row", edges, 2));
    const Value eight = graph_.add_constant_f32(name + "/eight", {}, {8.0F});
    const Value one = graph_.add_constant_f32(name + "/one", {}, {1.0F});
    const Value scaled = add_mul(graph_, name + "/scaled", distance, eight);
    const Value magnitude =
        add_log(graph_, name + "/log",
                add_add(graph_, name + "/shifted", add_abs(graph_, name + "/abs", scaled), one));
    const auto log8 = static_cast<float>(1.0 / std::log(8.0));
    const Value base = graph_.add_constant_f32(name + "/base", {}, {log8});
    const Value signed_log =
        add_mul(graph_, name + "/signed", add_sign(graph_, name + "/sign", scaled),
                add_mul(graph_, name + "/log8", magnitude, base));
    const Value embedded =
        add_relu_mlp(model_, name + "/mlp", signed_log, {prefix + "layer1", prefix + "layer2"});
    const Value per_head = add_transpose(graph_, name + "/per_head", embedded, {0, 3, 1, 2});
    return add_concat(graph_, name + "/with_presence", {zero_bias_, per_head}, 2);
  }

  Value refine(const std::string& name, const Value& boxes, const Value& normed) {
    const std::string head = "detr_decoder.box_head.";
    const Value delta = add_relu_mlp(model_, name + "/mlp", normed,
                                     {head + "layer1", head + "layer2", head + "layer3"});
    const Value one = graph_.add_constant_f32(name + "/one", {}, {1.0F});
    const Value rest = add_sub(graph_, name + "/rest", one, boxes);
    const Value ratio =
        add_div(graph_, name + "/ratio", add_clip(graph_, name + "/clip", boxes, kBoxEpsilon, 1.0F),
                add_clip(graph_, name + "/clip_rest", rest, kBoxEpsilon, 1.0F));
    return add_sigmoid(
        graph_, name + "/boxes",
        add_add(graph_, name + "/sum", delta, add_log(graph_, name + "/logit", ratio)));
  }

  ModelGraph& model_;
  Graph& graph_;
  const PromptTokens& prompt_;
  const Value& memory_;
  Value memory_key_;
  Value zero_index_;
  Value coordinates_;
  Value zero_row_;
  Value zero_bias_;
};

/// pred_logits [P, Q]: scaled dot product of projected queries and the mean projected prompt token.
Value add_scores(ModelGraph& model, const PromptTokens& prompt, const Value& queries) {
  Graph& graph = model.graph;
  const std::string prefix = "dot_product_scoring.";
  const Dim& prompts = queries.dim(0);
  const Value mlp = add_relu_mlp(model, "/scoring/mlp", prompt.tokens,
                                 {prefix + "text_mlp.layer1", prefix + "text_mlp.layer2"});
  const Value normed =
      add_norm(model, "/scoring/norm", add_add(graph, "/scoring/sum", mlp, prompt.tokens),
               prefix + "text_mlp_out_norm");
  const Value valid = add_unsqueeze(graph, "/scoring/valid", prompt.mask, 2);
  const Value total =
      add_reduce_sum(graph, "/scoring/total", add_mul(graph, "/scoring/masked", normed, valid), 1);
  const Value one = graph.add_constant_f32("/scoring/one", {}, {1.0F});
  const Value number =
      add_max(graph, "/scoring/number", add_reduce_sum(graph, "/scoring/count", valid, 1), one);
  const Value pooled = add_div(graph, "/scoring/pooled", total, number);
  const Value text = add_linear(model, "/scoring/text", pooled, prefix + "text_proj");
  const Value query = add_linear(model, "/scoring/query", queries, prefix + "query_proj");
  const Value product = add_matmul(graph, "/scoring/product", query,
                                   add_transpose(graph, "/scoring/text_t", text, {0, 2, 1}));
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(model.config().width)));
  const Value factor = graph.add_constant_f32("/scoring/scale", {}, {scale});
  const Value scaled = add_mul(graph, "/scoring/scaled", product, factor);
  return add_reshape(graph, "/scoring/logits",
                     add_clip(graph, "/scoring/clip", scaled, -kScoreLimit, kScoreLimit),
                     {prompts, model.config().queries});
}

/// presence_logits [P, 1]. Meta's code drops the result of its clamp, so it has none.
Value add_presence(ModelGraph& model, const Value& presence) {
  Graph& graph = model.graph;
  const std::string prefix = "detr_decoder.presence_";
  const Value normed = add_norm(model, "/presence/norm", presence, prefix + "layer_norm");
  Value logits =
      add_relu_mlp(model, "/presence/mlp", normed,
                   {prefix + "head.layer1", prefix + "head.layer2", prefix + "head.layer3"});
  if (model.config().semantics == Semantics::kHf) {
    logits = add_clip(graph, "/presence/clip", logits, -kPresenceLimit, kPresenceLimit);
  }
  return add_reshape(graph, "/presence/logits", logits, {presence.dim(0), 1});
}

/// cx cy w h to x0 y0 x1 y1.
Value add_corners(Graph& graph, const Value& boxes) {
  const Value half = graph.add_constant_f32("/boxes/half", {}, {0.5F});
  const Value center = add_slice(graph, "/boxes/center", boxes, 2, 0, 2);
  const Value extent = add_slice(graph, "/boxes/extent", boxes, 2, 2, 4);
  const Value offset = add_mul(graph, "/boxes/offset", extent, half);
  return add_concat(
      graph, "/boxes/corners",
      {add_sub(graph, "/boxes/low", center, offset), add_add(graph, "/boxes/high", center, offset)},
      2);
}

}  // namespace

void build_detector(ModelGraph& model) {
  Graph& graph = model.graph;
  const Sam3Config& config = model.config();
  const int64_t grid = config.vision.grid();
  const Value features =
      graph.add_input("fpn_feat_2", DType::kF32, {"B", config.width, grid, grid});
  const Value image_index = graph.add_input("image_index", DType::kI64, {"P"});
  const PromptTokens prompt = add_prompt_inputs(model);

  const Value tokens = add_tokens(graph, "/encoder/image", features);
  const Value position =
      model.derived("/encoder/position", {1, grid * grid, config.width},
                    [grid, width = config.width]() { return sine_position_tokens(grid, width); });
  const Value memory = FusionEncoder(model, prompt, position).build(tokens, image_index);
  const Value zero_index = add_zero_index(graph, "/decoder/zero_index", image_index);
  const Decoder::Result decoded = Decoder(model, prompt, memory, position, zero_index).build();

  graph.add_output("pred_logits", add_scores(model, prompt, decoded.queries));
  graph.add_output("pred_boxes", add_corners(graph, decoded.boxes));
  graph.add_output("presence_logits", add_presence(model, decoded.presence));
  graph.add_output("query_features", decoded.queries);
  graph.add_output("encoder_hidden_states", memory);
}

}  // namespace sam3trt
