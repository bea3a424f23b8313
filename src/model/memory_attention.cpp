#include <algorithm>
#include <cmath>

#include "base/own_operators.hpp"
#include "model/graphs.hpp"
#include "model/layers.hpp"
#include "model/neck.hpp"
#include "model/position.hpp"
#include "model/rotary.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

const std::string kTracker = "tracker_model.";

/// What an object remembers: frames, then pointers.
struct Memory {
  Value frame_keys;    ///< [O, F, N, X]: features with their position.
  Value pointer_keys;  ///< [O, W * D / X, X]: pointers with their position in time.
  Value values;        ///< [O, F * N + W * D / X, X] of both.
  Value bias;          ///< [O, 1, 1, F * N + W * D / X]: kAbsentBias for those that are not there.
};

/// Current features attend to themselves and to the memory, pre-norm. The image's own positions are
/// rotations of queries and keys; pointers have none.
class MemoryAttention {
 public:
  explicit MemoryAttention(ModelGraph& model)
      : model_(model),
        graph_(model.graph),
        stack_(model.config().tracker_sizes.attention),
        inner_(model.config().tracker->width / model.config().tracker_sizes.attention_downsample),
        head_dim_(inner_ / stack_.heads) {
    const int64_t grid = model.config().vision.grid();
    const RotaryTables tables = rotary_tables(
        grid, 1.0, head_dim_, model.config().tracker_sizes.rope_theta, raster_order(grid * grid));
    rotation_ =
        add_rotation_tables(graph_, "/memory/rope", {grid * grid, 1, head_dim_ / 2}, tables);
  }

  /// tokens [B, N, D] to [O, N, D]. The first self-attention knows no object yet, so it runs once
  /// per image.
  Value build(const Value& tokens, const Value& image_index, const Memory& memory) {
    Value x = tokens;
    for (int64_t i = 0; i < stack_.layers; ++i) {
      const std::string number = std::to_string(i);
      const std::string name = "/memory/layers." + number;
      const std::string prefix = kTracker + "memory_attention.layers." + number + ".";
      const Value n1 = add_norm(model_, name + "/norm1", x, prefix + "layer_norm1");
      x = add_add(graph_, name + "/residual1", x,
                  self_attention(name + "/self_attn", prefix + "self_attn", n1));
      if (i == 0) x = add_gather(graph_, "/memory/image_of_object", x, image_index, 0);
      const Value n2 = add_norm(model_, name + "/norm2", x, prefix + "layer_norm2");
      x = add_add(graph_, name + "/residual2", x,
                  cross_attention(name + "/cross_attn", prefix + "cross_attn_image", n2, memory));
      const Value n3 = add_norm(model_, name + "/norm3", x, prefix + "layer_norm3");
      const Value hidden = add_activation(
          graph_, name + "/act", add_linear(model_, name + "/linear1", n3, prefix + "linear1"),
          stack_.activation);
      x = add_add(graph_, name + "/residual3", x,
                  add_linear(model_, name + "/linear2", hidden, prefix + "linear2"));
    }
    return add_norm(model_, "/memory/norm", x, kTracker + "memory_attention.layer_norm");
  }

 private:
  /// The rows of a projection in the order that rotations want.
  Value rotated_projection(const std::string& name, const std::string& prefix, const Value& x,
                           double factor) {
    const auto rows = rotary_rows(inner_, head_dim_);
    const auto reordered = [&](const char* kind) -> ConstantMaker {
      const WeightView view = model_.checkpoint.weight(prefix + kind);
      return [view, rows, factor]() {
        const std::vector<float> values = view.to_f32();
        const size_t columns = values.size() / rows.size();
        std::vector<float> result;
        result.reserve(values.size());
        for (const int64_t row : rows) {
          for (size_t column = 0; column < columns; ++column) {
            const float value = values[static_cast<size_t>(row) * columns + column];
            result.push_back(static_cast<float>(value * factor));
          }
        }
        return result;
      };
    };
    return add_linear(model_, name, x,
                      {.name = prefix,
                       .out = inner_,
                       .in = x.shape.back().value(),
                       .weight = reordered(".weight"),
                       .bias = reordered(".bias")});
  }

  Value queries(const std::string& name, const std::string& prefix, const Value& x) {
    const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim_));
    const Value q = rotated_projection(name + "/q_proj", prefix + ".q_proj", x, scale);
    return by_head(name + "/q",
                   add_rotation(graph_, name + "/q_rotated", heads(name + "/q", q), rotation_));
  }

  /// [P, n, C] as [P, n, heads, d].
  Value heads(const std::string& name, const Value& x) {
    SymbolicShape shape = x.shape;
    shape.back() = stack_.heads;
    shape.emplace_back(head_dim_);
    return add_reshape(graph_, name + "/heads", x, shape);
  }

  /// [P, n, heads, d] as [P, heads, n, d].
  Value by_head(const std::string& name, const Value& x) {
    return add_transpose(graph_, name, x, {0, 2, 1, 3});
  }

  /// Queries [P, heads, n, d], keys [P, m, heads, d] and values [P, heads or 1, m, c] to
  /// [P, n, heads * c]. With a bias of the keys' scores, or none.
  Value attend(const std::string& name, const Value& q, const Value& k, const Value& v,
               const Value* bias = nullptr) {
    const Value keys = add_transpose(graph_, name + "/k", k, {0, 2, 3, 1});
    Value scores = add_matmul(graph_, name + "/scores", q, keys);
    if (bias != nullptr) scores = add_add(graph_, name + "/masked", scores, *bias);
    const Value weights = add_softmax(graph_, name + "/softmax", scores);
    const Value mixed = add_matmul(graph_, name + "/mix", weights, v);
    const Value joined = by_head(name + "/join", mixed);
    return add_reshape(graph_, name + "/flat", joined,
                       {joined.dim(0), joined.dim(1), joined.dim(3).times(joined.dim(2).value())});
  }

  Value self_attention(const std::string& name, const std::string& prefix, const Value& x) {
    const Value k = add_rotation(
        graph_, name + "/k_rotated",
        heads(name + "/k", rotated_projection(name + "/k_proj", prefix + ".k_proj", x, 1.0)),
        rotation_);
    const Value v = heads(name + "/v", add_linear(model_, name + "/v_proj", x, prefix + ".v_proj"));
    const Value mixed = attend(name, queries(name, prefix, x), k, by_head(name + "/v", v));
    return add_linear(model_, name + "/o_proj", mixed, prefix + ".o_proj");
  }

  /// Weights of a query sum up to 1, so that what is mixed may be projected after it as well as
  /// before: memories have far fewer channels than heads do, and there are many of them.
  Value cross_attention(const std::string& name, const std::string& prefix, const Value& x,
                        const Memory& memory) {
    const Value frame_k = add_rotation(
        graph_, name + "/frame_k_rotated",
        heads(name + "/frame_k", rotated_projection(name + "/frame_k_proj", prefix + ".k_proj",
                                                    memory.frame_keys, 1.0)),
        rotation_);
    const Value pointer_k = heads(
        name + "/pointer_k",
        rotated_projection(name + "/pointer_k_proj", prefix + ".k_proj", memory.pointer_keys, 1.0));
    const Value k = add_concat(graph_, name + "/k_all",
                               {one_row(name + "/frame_k_row", frame_k), pointer_k}, 1);
    const Value v = add_unsqueeze(graph_, name + "/v", memory.values, 1);
    const Value mixed = attend(name, queries(name, prefix, x), k, v, &memory.bias);
    const Value values = value_projection(name + "/v_proj", prefix + ".v_proj", mixed);
    return add_linear(model_, name + "/o_proj", values, prefix + ".o_proj");
  }

  /// The projection of values, applied to each head's channels: [O, N, heads * X] to
  /// [O, N, heads * d].
  Value value_projection(const std::string& name, const std::string& prefix, const Value& x) {
    const auto in = static_cast<size_t>(x.shape.back().value());
    const WeightView weight = model_.checkpoint.weight(prefix + ".weight");
    const WeightView bias = model_.checkpoint.weight(prefix + ".bias");
    const auto head_dim = static_cast<size_t>(head_dim_);
    const auto by_heads = [weight, in, head_dim, heads = static_cast<size_t>(stack_.heads)]() {
      const std::vector<float> values = weight.to_f32();
      const size_t channels = in / heads;
      std::vector<float> result(heads * head_dim * in);
      for (size_t row = 0; row < heads * head_dim; ++row) {
        const auto from = values.begin() + static_cast<std::ptrdiff_t>(row * channels);
        std::copy_n(
            from, channels,
            result.begin() + static_cast<std::ptrdiff_t>(row * in + row / head_dim * channels));
      }
      return result;
    };
    return add_linear(model_, name, x,
                      {.name = prefix,
                       .out = inner_,
                       .in = static_cast<int64_t>(in),
                       .weight = by_heads,
                       .bias = [bias]() { return bias.to_f32(); }});
  }

  /// Frames [O, F, N, heads, d] as [O, F * N, heads, d].
  Value one_row(const std::string& name, const Value& x) {
    return add_reshape(graph_, name, x,
                       {x.dim(0), x.dim(1).times(x.dim(2).value()), x.dim(3), x.dim(4)});
  }

  ModelGraph& model_;
  Graph& graph_;
  const StackConfig& stack_;
  int64_t inner_;
  int64_t head_dim_;
  Rotation rotation_;
};

/// Position of pointers in time, [O, W, 1, X].
Value add_pointer_time(ModelGraph& model, const Value& time) {
  Graph& graph = model.graph;
  const std::string name = "/memory/time";
  const int64_t half = model.config().tracker->width / 2;
  const Value divisors = graph.add_constant_f32(name + "/divisors", {half}, sine_divisors(half));
  const Value angle =
      add_div(graph, name + "/angle", add_unsqueeze(graph, name + "/column", time, 2), divisors);
  const Value encoding =
      add_concat(graph, name + "/encoding",
                 {add_sin(graph, name + "/sin", angle), add_cos(graph, name + "/cos", angle)}, 2);
  return add_unsqueeze(graph, name,
                       add_linear(model, name + "/project", encoding,
                                  kTracker + "temporal_positional_encoding_projection_layer"),
                       2);
}

/// What [O, n] tokens of groups, each 1 or 0, give for `keys` keys of each group: [O, n * keys] of
/// 0 or kAbsentBias.
Value add_bias(Graph& graph, const std::string& name, const Value& present, int64_t keys) {
  const Value one = graph.add_constant_f32(name + "/one", {1}, {1.0F});
  const Value absent = graph.add_constant_f32(
      name + "/absent", {keys}, std::vector<float>(static_cast<size_t>(keys), -kAbsentBias));
  const Value missing = add_sub(graph, name + "/missing", present, one);
  const Value each =
      add_mul(graph, name + "/each", add_unsqueeze(graph, name + "/column", missing, 2), absent);
  return add_reshape(graph, name, each, {present.dim(0), present.dim(1).times(keys)});
}

Memory add_memory(ModelGraph& model) {
  Graph& graph = model.graph;
  const int64_t grid = model.config().vision.grid();
  const int64_t width = model.config().tracker->width;
  const int64_t channels = model.config().tracker->memory_channels;
  const Value features =
      graph.add_input("memory_features", DType::kF32, {"O", "F", grid * grid, channels});
  const Value time = graph.add_input("memory_time", DType::kI64, {"O", "F"});
  const Value pointers = graph.add_input("memory_pointers", DType::kF32, {"O", "W", width});
  const Value pointer_time = graph.add_input("pointer_time", DType::kF32, {"O", "W"});
  const Value memory_present = graph.add_input("memory_present", DType::kF32, {"O", "F"});
  const Value pointer_present = graph.add_input("pointer_present", DType::kF32, {"O", "W"});

  const WeightView rows = model.checkpoint.weight(kTracker + "memory_temporal_positional_encoding");
  const Value table =
      model.derived(kTracker + "memory_temporal_positional_encoding",
                    {rows.shape.at(0), 1, channels}, [rows]() { return rows.to_f32(); });
  const Value position =
      graph.add_constant("/memory/position", {grid * grid, channels},
                         [grid, channels]() { return sine_position_tokens(grid, channels); });
  const Value placed = add_add(graph, "/memory/frames/position",
                               add_gather(graph, "/memory/frames/time", table, time, 0), position);
  Memory memory;
  memory.frame_keys = add_add(graph, "/memory/frames/key", features, placed);

  // A pointer is as many tokens as it has times the memory's channels.
  const int64_t parts = width / channels;
  const auto tokens = [&](const std::string& name, const Value& x) {
    return add_reshape(graph, name, x, {x.dim(0), x.dim(1).times(parts), channels});
  };
  const Value split = add_reshape(graph, "/memory/pointers/split", pointers,
                                  {pointers.dim(0), pointers.dim(1), parts, channels});
  const Value pointer_values = tokens("/memory/pointers/value", split);
  const Value frame_values =
      add_reshape(graph, "/memory/frames/value", features,
                  {features.dim(0), features.dim(1).times(grid * grid), channels});
  memory.values = add_concat(graph, "/memory/values", {frame_values, pointer_values}, 1);
  const Value bias =
      add_concat(graph, "/memory/bias/all",
                 {add_bias(graph, "/memory/bias/frames", memory_present, grid * grid),
                  add_bias(graph, "/memory/bias/pointers", pointer_present, parts)},
                 1);
  memory.bias =
      add_unsqueeze(graph, "/memory/bias", add_unsqueeze(graph, "/memory/bias/head", bias, 1), 1);
  memory.pointer_keys = pointer_values;
  if (model.config().tracker_sizes.pointer_time_encoding) {
    memory.pointer_keys = tokens(
        "/memory/pointers/key",
        add_add(graph, "/memory/pointers/with_time", split, add_pointer_time(model, pointer_time)));
  }
  return memory;
}

}  // namespace

void build_memory_attention(ModelGraph& model) {
  Graph& graph = model.graph;
  const int64_t grid = model.config().vision.grid();
  const int64_t width = model.config().tracker->width;
  const Value features = graph.add_input("tracker_feat_2", DType::kF32, {"B", width, grid, grid});
  const Value image_index = graph.add_input("image_index", DType::kI64, {"O"});
  const Memory memory = add_memory(model);
  const Value position =
      graph.add_constant("/memory/image_position", {1, grid * grid, width}, [grid, width]() {
        std::vector<float> tokens = sine_position_tokens(grid, width);
        for (float& value : tokens) value *= 0.1F;
        return tokens;
      });
  const Value tokens =
      add_add(graph, "/memory/tokens", add_tokens(graph, "/memory/image", features), position);
  const Value result = MemoryAttention(model).build(tokens, image_index, memory);
  graph.add_output("object_features", add_map(graph, "/memory/map", result, grid));
}

}  // namespace sam3trt
