#include "model/graphs.hpp"
#include "model/layers.hpp"
#include "model/prompt_tokens.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

constexpr int64_t kGroups = 8;  // Meta's model/maskformer_segmentation.py, PixelDecoder
constexpr float kGroupEpsilon = 1e-5F;

/// GroupNorm over [R, D, H, W] by InstanceNormalization over the groups, then scale and bias per
/// channel (ONNX has no per-channel GroupNormalization before opset 21).
Value add_group_norm(ModelGraph& model, const std::string& name, const Value& x,
                     const std::string& prefix) {
  Graph& graph = model.graph;
  const int64_t channels = x.dim(1).value();
  const int64_t area = x.dim(2).value() * x.dim(3).value();
  const Value grouped =
      add_reshape(graph, name + "/groups", x, {x.dim(0), kGroups, channels / kGroups * area});
  const Value ones =
      graph.add_constant_f32(name + "/ones", {kGroups}, std::vector<float>(kGroups, 1.0F));
  const Value zeros =
      graph.add_constant_f32(name + "/zeros", {kGroups}, std::vector<float>(kGroups, 0.0F));
  const Value normed =
      add_instance_normalization(graph, name + "/instance", grouped, ones, zeros, kGroupEpsilon);
  const Value map = add_reshape(graph, name + "/map", normed, x.shape);
  const auto per_channel = [&](const std::string& kind) {
    const WeightView view = model.checkpoint.weight(prefix + kind);
    return model.derived(prefix + kind, {channels, 1, 1}, [view]() { return view.to_f32(); });
  };
  const Value scaled = add_mul(graph, name + "/scaled", map, per_channel(".weight"));
  return add_add(graph, name, scaled, per_channel(".bias"));
}

/// One step of the pixel decoder: upsample, add the image's level, 3x3 convolution, norm, ReLU.
Value add_pixel_step(ModelGraph& model, int64_t index, const Value& coarse, const Value& level) {
  Graph& graph = model.graph;
  const std::string number = std::to_string(index);
  const std::string name = "/mask/pixel." + number;
  const std::string prefix = "mask_decoder.pixel_decoder.";
  const Value sum =
      add_add(graph, name + "/sum", add_upsample_nearest_2x(graph, name + "/up", coarse), level);
  const Value mixed = add_conv(
      graph, name + "/conv", sum, model.weight(prefix + "conv_layers." + number + ".weight"),
      model.weight(prefix + "conv_layers." + number + ".bias"), {.padding = 1});
  return add_relu(graph, name + "/relu",
                  add_group_norm(model, name + "/norm", mixed, prefix + "norms." + number));
}

/// Encoder tokens [R, N, D] after attending to the prompt, as a map [R, D, g, g].
Value add_prompted_map(ModelGraph& model, const Value& tokens, const PromptTokens& prompt) {
  Graph& graph = model.graph;
  const AttentionSpec spec{"mask_decoder.prompt_cross_attn", model.config().mask_heads};
  const Value n =
      add_norm(model, "/mask/prompt_norm", tokens, "mask_decoder.prompt_cross_attn_norm");
  const Heads heads{add_query_heads(model, "/mask/prompt_attn", spec, n),
                    add_key_heads(model, "/mask/prompt_attn", spec, prompt.tokens),
                    add_value_heads(model, "/mask/prompt_attn", spec, prompt.tokens)};
  const Value attended = add_attention(model, "/mask/prompt_attn", spec, heads, prompt.score_mask);
  const Value sum = add_add(graph, "/mask/prompted", tokens, attended);
  const int64_t grid = model.config().vision.grid();
  return add_reshape(graph, "/mask/map", add_transpose(graph, "/mask/channels", sum, {0, 2, 1}),
                     {sum.dim(0), model.config().width, grid, grid});
}

/// Embeddings of the wanted queries: [R, M, D].
Value add_mask_embeddings(ModelGraph& model, const Value& query_features, const Value& prompt_index,
                          const Value& query_index) {
  Graph& graph = model.graph;
  const int64_t queries = model.config().queries;
  const Value table = add_reshape(graph, "/mask/query/table", query_features,
                                  {query_features.dim(0).times(queries), model.config().width});
  const Value stride = graph.add_constant_i64("/mask/query/stride", {}, {queries});
  const Value first = add_unsqueeze(graph, "/mask/query/first",
                                    add_mul(graph, "/mask/query/offset", prompt_index, stride), 1);
  const Value rows = add_add(graph, "/mask/query/rows", query_index, first);
  const Value wanted = add_gather(graph, "/mask/query/wanted", table, rows, 0);
  const std::string prefix = "mask_decoder.mask_embedder.layers.";
  return add_relu_mlp(model, "/mask/embed", wanted, {prefix + "0", prefix + "1", prefix + "2"});
}

/// Mask logits [R, M, 4g, 4g]. The 1x1 projection of the pixels is linear, so it is applied to the
/// few mask embeddings in place of the many pixels: e . (W p + b) = (e W) . p + e . b.
Value add_masks(ModelGraph& model, const Value& embeddings, const Value& pixels) {
  Graph& graph = model.graph;
  const int64_t width = model.config().width;
  const std::string prefix = "mask_decoder.instance_projection.";
  const WeightView weight = model.checkpoint.weight(prefix + "weight");
  const WeightView bias = model.checkpoint.weight(prefix + "bias");
  const Value matrix =
      model.derived(prefix + "weight", {width, width}, [weight]() { return weight.to_f32(); });
  const Value column =
      model.derived(prefix + "bias", {width, 1}, [bias]() { return bias.to_f32(); });
  const Value projected = add_matmul(graph, "/mask/project", embeddings, matrix);
  const Value offset = add_matmul(graph, "/mask/offset", embeddings, column);
  const int64_t side = pixels.dim(2).value();
  const Value flat =
      add_reshape(graph, "/mask/pixels", pixels, {pixels.dim(0), width, side * side});
  const Value logits =
      add_add(graph, "/mask/logits", add_matmul(graph, "/mask/product", projected, flat), offset);
  return add_reshape(graph, "/mask/masks", logits,
                     {embeddings.dim(0), embeddings.dim(1), side, side});
}

}  // namespace

void build_mask_head(ModelGraph& model) {
  Graph& graph = model.graph;
  const Sam3Config& config = model.config();
  const int64_t grid = config.vision.grid();
  const int64_t width = config.width;
  const Value fine = graph.add_input("fpn_feat_0", DType::kF32, {"B", width, 4 * grid, 4 * grid});
  const Value middle = graph.add_input("fpn_feat_1", DType::kF32, {"B", width, 2 * grid, 2 * grid});
  const Value memory =
      graph.add_input("encoder_hidden_states", DType::kF32, {"P", grid * grid, width});
  const PromptTokens all_prompts = add_prompt_inputs(model);
  const Value query_features =
      graph.add_input("query_features", DType::kF32, {"P", config.queries, width});
  const Value prompt_index = graph.add_input("prompt_index", DType::kI64, {"R"});
  const Value image_index = graph.add_input("image_index", DType::kI64, {"R"});
  const Value query_index = graph.add_input("query_index", DType::kI64, {"R", "M"});

  const PromptTokens prompt = add_prompt_rows(model, all_prompts, prompt_index);
  const Value tokens = add_gather(graph, "/mask/memory", memory, prompt_index, 0);
  Value x = add_prompted_map(model, tokens, prompt);
  x = add_pixel_step(model, 0, x, add_gather(graph, "/mask/level1", middle, image_index, 0));
  x = add_pixel_step(model, 1, x, add_gather(graph, "/mask/level0", fine, image_index, 0));

  const Value embeddings = add_mask_embeddings(model, query_features, prompt_index, query_index);
  graph.add_output("pred_masks", add_masks(model, embeddings, x));
  const std::string semantic = "mask_decoder.semantic_projection.";
  graph.add_output("semantic_seg",
                   add_conv(graph, "/mask/semantic", x, model.weight(semantic + "weight"),
                            model.weight(semantic + "bias"), {}));
}

}  // namespace sam3trt
