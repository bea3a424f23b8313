#include "model/graphs.hpp"
#include "model/layers.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

/// Additive causal mask [1, 1, L, L]. Padding stands on the right, so no valid token sees it and no
/// padding mask is needed.
Value add_causal_mask(Graph& graph, int64_t length) {
  std::vector<float> mask;
  for (int64_t i = 0; i < length; ++i) {
    for (int64_t j = 0; j < length; ++j) mask.push_back(j > i ? kMaskedScore : 0.0F);
  }
  return graph.add_constant_f32("/text/causal_mask", {1, 1, length, length}, std::move(mask));
}

}  // namespace

void build_text_encoder(ModelGraph& model) {
  Graph& graph = model.graph;
  const TextConfig& text = model.config().text;
  const std::string prefix = "text_encoder.text_model.";
  const Value input_ids = graph.add_input("input_ids", DType::kI64, {"P", text.context});
  const Value table = model.weight(prefix + "embeddings.token_embedding.weight");
  const Value position = model.weight(prefix + "embeddings.position_embedding.weight");
  Value x = add_add(graph, "/text/embed", add_gather(graph, "/text/tokens", table, input_ids, 0),
                    position);
  const Value mask = add_causal_mask(graph, text.context);
  for (int64_t i = 0; i < text.stack.layers; ++i) {
    const std::string name = "/text/layers." + std::to_string(i);
    const std::string layer = prefix + "encoder.layers." + std::to_string(i) + ".";
    const AttentionSpec spec{layer + "self_attn", text.stack.heads, "out_proj"};
    const Value n = add_norm(model, name + "/norm1", x, layer + "layer_norm1", text.layer_norm_eps);
    const Heads heads{add_query_heads(model, name + "/attn", spec, n),
                      add_key_heads(model, name + "/attn", spec, n),
                      add_value_heads(model, name + "/attn", spec, n)};
    x = add_add(graph, name + "/residual1", x,
                add_attention(model, name + "/attn", spec, heads, mask));
    const Value m = add_norm(model, name + "/norm2", x, layer + "layer_norm2", text.layer_norm_eps);
    x = add_add(graph, name + "/residual2", x,
                add_mlp(model, name + "/mlp", m, layer + "mlp", text.stack.activation));
  }
  x = add_norm(model, "/text/final_norm", x, prefix + "final_layer_norm", text.layer_norm_eps);
  graph.add_output("text_features", add_linear(model, "/text/projection", x, "text_projection"));
}

}  // namespace sam3trt
