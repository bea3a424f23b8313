#include "model/layers.hpp"

#include <cmath>
#include <utility>

#include "base/error.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

/// Transposes a row-major [rows, columns] matrix.
std::vector<float> transposed(const std::vector<float>& values, int64_t rows, int64_t columns) {
  std::vector<float> result(values.size());
  const auto r = static_cast<size_t>(rows);
  const auto c = static_cast<size_t>(columns);
  for (size_t i = 0; i < r; ++i) {
    for (size_t j = 0; j < c; ++j) result[j * r + i] = values[i * c + j];
  }
  return result;
}

ConstantMaker scaled(const WeightView& view, double factor) {
  return [view, factor]() {
    std::vector<float> values = view.to_f32();
    for (float& value : values) value = static_cast<float>(value * factor);
    return values;
  };
}

/// A projection to heads, its weights and bias times `factor`.
Value add_head_projection(ModelGraph& model, const std::string& name, const std::string& prefix,
                          const Value& x, double factor) {
  const WeightView weight = model.checkpoint.weight(prefix + ".weight");
  const WeightView bias = model.checkpoint.weight(prefix + ".bias");
  return add_linear(model, name, x,
                    {.name = prefix,
                     .out = weight.shape[0],
                     .in = weight.shape[1],
                     .weight = scaled(weight, factor),
                     .bias = scaled(bias, factor)});
}

Value split_heads(Graph& graph, const std::string& name, const Value& x, int64_t heads) {
  return add_reshape(graph, name, x, {x.dim(0), x.dim(1), heads, x.dim(2).divided_by(heads)});
}

}  // namespace

Value ModelGraph::weight(const std::string& weight_name) {
  const WeightView view = checkpoint.weight(weight_name);
  return derived(weight_name, view.shape, [view]() { return view.to_f32(); });
}

Value ModelGraph::derived(const std::string& name, Shape shape, ConstantMaker maker) {
  const auto known = constants_.find(name);
  if (known != constants_.end()) return known->second;
  return constants_.emplace(name, graph.add_constant(name, std::move(shape), std::move(maker)))
      .first->second;
}

Value add_linear(ModelGraph& model, const std::string& name, const Value& x,
                 const LinearWeights& weights) {
  const Value matrix =
      model.derived(weights.name + ".weight", {weights.in, weights.out},
                    [weights]() { return transposed(weights.weight(), weights.out, weights.in); });
  const Value bias = model.derived(weights.name + ".bias", {weights.out}, weights.bias);
  const Value product = add_matmul(model.graph, name + "/matmul", x, matrix);
  return add_add(model.graph, name, product, bias);
}

Value add_linear(ModelGraph& model, const std::string& name, const Value& x,
                 const std::string& prefix) {
  return add_head_projection(model, name, prefix, x, 1.0);
}

Value add_norm(ModelGraph& model, const std::string& name, const Value& x,
               const std::string& prefix, double epsilon) {
  const Value scale = model.weight(prefix + ".weight");
  const Value bias = model.weight(prefix + ".bias");
  return add_layer_normalization(model.graph, name, x, scale, bias, static_cast<float>(epsilon));
}

Value add_map_norm(ModelGraph& model, const std::string& name, const Value& map,
                   const std::string& prefix, double epsilon) {
  const Value last = add_transpose(model.graph, name + "/last", map, {0, 2, 3, 1});
  const Value normed = add_norm(model, name + "/norm", last, prefix, epsilon);
  return add_transpose(model.graph, name, normed, {0, 3, 1, 2});
}

Value add_activation(Graph& graph, const std::string& name, const Value& x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return add_relu(graph, name, x);
    case Activation::kGelu:
      return add_gelu(graph, name, x);
    case Activation::kQuickGelu: {
      // x * sigmoid(1.702 x): transformers, activations.py, QuickGELUActivation.
      const Value slope = graph.add_constant_f32(name + "/slope", {}, {1.702F});
      const Value gate = add_sigmoid(graph, name + "/gate", add_mul(graph, name + "/x", x, slope));
      return add_mul(graph, name, x, gate);
    }
  }
  throw Error(ErrorCode::kInternal, name + ": unknown activation");
}

Value add_mlp(ModelGraph& model, const std::string& name, const Value& x, const std::string& prefix,
              Activation activation) {
  const Value hidden = add_linear(model, name + "/fc1", x, prefix + ".fc1");
  const Value active = add_activation(model.graph, name + "/act", hidden, activation);
  return add_linear(model, name + "/fc2", active, prefix + ".fc2");
}

Value add_relu_mlp(ModelGraph& model, const std::string& name, const Value& x,
                   const std::vector<std::string>& prefixes) {
  Value y = x;
  for (size_t i = 0; i < prefixes.size(); ++i) {
    const std::string layer = name + "/layer" + std::to_string(i);
    y = add_linear(model, layer, y, prefixes[i]);
    if (i + 1 < prefixes.size()) y = add_relu(model.graph, layer + "/relu", y);
  }
  return y;
}

Value add_projection_mlp(ModelGraph& model, const std::string& name, const Value& x,
                         const std::string& prefix, int64_t inner) {
  std::vector<std::string> layers = {prefix + ".proj_in"};
  for (int64_t i = 0; i < inner; ++i) layers.push_back(prefix + ".layers." + std::to_string(i));
  layers.push_back(prefix + ".proj_out");
  return add_relu_mlp(model, name, x, layers);
}

Value add_is_positive(Graph& graph, const std::string& name, const Value& x) {
  return add_sign(graph, name, add_relu(graph, name + "/positive", x));
}

Value add_select(Graph& graph, const std::string& name, const Value& gate, const Value& on,
                 const Value& off) {
  const Value one = graph.add_constant_f32(name + "/one", {}, {1.0F});
  const Value other = add_sub(graph, name + "/otherwise", one, gate);
  return add_add(graph, name, add_mul(graph, name + "/on", on, gate),
                 add_mul(graph, name + "/off", off, other));
}

Value add_query_heads(ModelGraph& model, const std::string& name, const AttentionSpec& spec,
                      const Value& x) {
  const int64_t width = model.checkpoint.weight(spec.prefix + ".q_proj.weight").shape[0];
  const int64_t head_dim = width / spec.heads;
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  const Value q = add_head_projection(model, name + "/q_proj", spec.prefix + ".q_proj", x, scale);
  return add_transpose(model.graph, name + "/q",
                       split_heads(model.graph, name + "/q_heads", q, spec.heads), {0, 2, 1, 3});
}

Value add_key_heads(ModelGraph& model, const std::string& name, const AttentionSpec& spec,
                    const Value& x) {
  const Value k = add_linear(model, name + "/k_proj", x, spec.prefix + ".k_proj");
  return add_transpose(model.graph, name + "/k",
                       split_heads(model.graph, name + "/k_heads", k, spec.heads), {0, 2, 3, 1});
}

Value add_value_heads(ModelGraph& model, const std::string& name, const AttentionSpec& spec,
                      const Value& x) {
  const Value v = add_linear(model, name + "/v_proj", x, spec.prefix + ".v_proj");
  return add_transpose(model.graph, name + "/v",
                       split_heads(model.graph, name + "/v_heads", v, spec.heads), {0, 2, 1, 3});
}

Value add_attention(ModelGraph& model, const std::string& name, const AttentionSpec& spec,
                    const Heads& heads, const Value& mask) {
  Graph& graph = model.graph;
  Value scores = add_matmul(graph, name + "/scores", heads.q, heads.k);
  if (!mask.name.empty()) scores = add_add(graph, name + "/masked", scores, mask);
  const Value weights = add_softmax(graph, name + "/softmax", scores);
  const Value mixed = add_matmul(graph, name + "/mix", weights, heads.v);
  const Value joined = add_transpose(graph, name + "/join", mixed, {0, 2, 1, 3});
  const Value flat =
      add_reshape(graph, name + "/flat", joined,
                  {joined.dim(0), joined.dim(1), joined.dim(3).times(joined.dim(2).value())});
  return add_linear(model, name + "/" + spec.output, flat, spec.prefix + "." + spec.output);
}

Value add_score_mask(Graph& graph, const std::string& name, const Value& mask) {
  const Value one = graph.add_constant_f32(name + "/one", {}, {1.0F});
  const Value weight = graph.add_constant_f32(name + "/score", {}, {-kMaskedScore});
  const Value empty = add_sub(graph, name + "/empty", mask, one);
  const Value scores = add_mul(graph, name + "/scores", empty, weight);
  return add_reshape(graph, name, scores, {mask.dim(0), 1, 1, mask.dim(1)});
}

Value add_per_prompt(Graph& graph, const std::string& name, const Value& rows,
                     const Value& zero_index) {
  SymbolicShape shape = rows.shape;
  shape.insert(shape.begin(), Dim(1));
  const Value table = add_reshape(graph, name + "/table", rows, shape);
  return add_gather(graph, name, table, zero_index, 0);
}

Value add_zero_index(Graph& graph, const std::string& name, const Value& index) {
  const Value zero = graph.add_constant_i64(name + "/zero", {}, {0});
  return add_mul(graph, name, index, zero);
}

Value add_tokens(Graph& graph, const std::string& name, const Value& features) {
  const Value flat = add_reshape(
      graph, name + "/flat", features,
      {features.dim(0), features.dim(1), features.dim(2).value() * features.dim(3).value()});
  return add_transpose(graph, name, flat, {0, 2, 1});
}

}  // namespace sam3trt
