#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "onnx/graph.hpp"

namespace sam3trt {

/// Largest magnitude that stands for minus infinity in attention masks; finite in half precision,
/// so that no precision turns a masked row into inf - inf.
inline constexpr float kMaskedScore = -1.0e4F;

/// A graph being filled from a checkpoint. Weight names are those of Checkpoint; constants are read
/// when the graph is saved, so the checkpoint must outlive it.
class ModelGraph {
 public:
  ModelGraph(Graph& target, const Checkpoint& source) : graph(target), checkpoint(source) {}

  Graph& graph;
  const Checkpoint& checkpoint;

  [[nodiscard]] const Sam3Config& config() const { return checkpoint.config(); }

  /// The tensor `weight_name` as a constant of its own shape, named after it. Layers that share a
  /// weight share the constant.
  Value weight(const std::string& weight_name);

  /// A constant of another shape made from weights on save; the same name gives the same constant.
  Value derived(const std::string& name, Shape shape, ConstantMaker maker);

 private:
  std::map<std::string, Value> constants_;
};

/// y = x W^T + b with W = `prefix`.weight [out, in] and b = `prefix`.bias [out]; x [..., in].
Value add_linear(ModelGraph& model, const std::string& name, const Value& x,
                 const std::string& prefix);

/// A linear layer of its own making: W [out, in] and b [out] made on save.
struct LinearWeights {
  std::string name;  ///< Prefix of the constants' names.
  int64_t out = 0;
  int64_t in = 0;
  ConstantMaker weight;  ///< [out, in] row-major.
  ConstantMaker bias;    ///< [out].
};
Value add_linear(ModelGraph& model, const std::string& name, const Value& x,
                 const LinearWeights& weights);

/// LayerNormalization over the last axis with `prefix`.weight and `prefix`.bias.
Value add_norm(ModelGraph& model, const std::string& name, const Value& x,
               const std::string& prefix, double epsilon = 1e-5);

/// The same over the channels of a map [B, C, H, W].
Value add_map_norm(ModelGraph& model, const std::string& name, const Value& map,
                   const std::string& prefix, double epsilon);

Value add_activation(Graph& graph, const std::string& name, const Value& x, Activation activation);

/// Linear, activation, linear: `prefix`.fc1 and `prefix`.fc2.
Value add_mlp(ModelGraph& model, const std::string& name, const Value& x, const std::string& prefix,
              Activation activation);

/// Linear layers with ReLU between them, named in order.
Value add_relu_mlp(ModelGraph& model, const std::string& name, const Value& x,
                   const std::vector<std::string>& prefixes);

/// The MLP `prefix`.proj_in, `prefix`.layers.0 to `inner` - 1, `prefix`.proj_out, ReLU between
/// them.
Value add_projection_mlp(ModelGraph& model, const std::string& name, const Value& x,
                         const std::string& prefix, int64_t inner);

/// Whether each value is larger than 0: ones and zeros of the same shape.
Value add_is_positive(Graph& graph, const std::string& name, const Value& x);

/// `on` where `gate` [P, 1, ...] is 1, `off` where it is 0.
Value add_select(Graph& graph, const std::string& name, const Value& gate, const Value& on,
                 const Value& off);

/// Names of the four projections of an attention, relative to its prefix.
struct AttentionSpec {
  std::string prefix;  ///< Holds q_proj, k_proj, v_proj.
  int64_t heads = 0;
  std::string output = "o_proj";
};

/// Queries, keys and values of one attention, split into heads: q and v [P, H, n, d], k transposed
/// [P, H, d, n]. The scale d^-0.5 is folded into the query weights.
struct Heads {
  Value q;
  Value k;
  Value v;
};

/// softmax(q k + mask) v, heads joined, then the output projection: [P, n, D]. `mask` broadcasts to
/// [P, H, n, keys]; an empty name means none.
Value add_attention(ModelGraph& model, const std::string& name, const AttentionSpec& spec,
                    const Heads& heads, const Value& mask);

/// One projection of x [P, n, D] to heads: [P, H, n, d], or [P, H, d, n] for keys.
Value add_query_heads(ModelGraph& model, const std::string& name, const AttentionSpec& spec,
                      const Value& x);
Value add_key_heads(ModelGraph& model, const std::string& name, const AttentionSpec& spec,
                    const Value& x);
Value add_value_heads(ModelGraph& model, const std::string& name, const AttentionSpec& spec,
                      const Value& x);

/// Additive mask [P, 1, 1, n] from a mask of ones and zeros [P, n]: 0 where valid, kMaskedScore
/// elsewhere.
Value add_score_mask(Graph& graph, const std::string& name, const Value& mask);

/// `rows` [n, D] repeated for every prompt: [P, n, D]. `zero_index` is an int64 [P] of zeros.
Value add_per_prompt(Graph& graph, const std::string& name, const Value& rows,
                     const Value& zero_index);

/// int64 zeros of the shape of `index`.
Value add_zero_index(Graph& graph, const std::string& name, const Value& index);

/// Feature map [B, D, g, g] as tokens [B, g*g, D], row by row.
Value add_tokens(Graph& graph, const std::string& name, const Value& features);

}  // namespace sam3trt
