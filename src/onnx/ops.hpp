#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "onnx/graph.hpp"

namespace sam3trt {

// One function per ONNX operator. Each infers the type and shape of its result and throws
// Error(kInternal), naming the node, when the inputs do not fit. `name` is the path of the node and
// of its result. Semantics: ONNX operator specification, opset 20.

// Elementwise, with numpy broadcasting.
Value add_add(Graph& graph, const std::string& name, const Value& a, const Value& b);
Value add_sub(Graph& graph, const std::string& name, const Value& a, const Value& b);
Value add_mul(Graph& graph, const std::string& name, const Value& a, const Value& b);
Value add_div(Graph& graph, const std::string& name, const Value& a, const Value& b);
Value add_max(Graph& graph, const std::string& name, const Value& a, const Value& b);

Value add_relu(Graph& graph, const std::string& name, const Value& x);
Value add_sigmoid(Graph& graph, const std::string& name, const Value& x);
Value add_log(Graph& graph, const std::string& name, const Value& x);
Value add_abs(Graph& graph, const std::string& name, const Value& x);
Value add_sign(Graph& graph, const std::string& name, const Value& x);
Value add_sin(Graph& graph, const std::string& name, const Value& x);
Value add_cos(Graph& graph, const std::string& name, const Value& x);

/// Gelu in its exact (erf) form.
Value add_gelu(Graph& graph, const std::string& name, const Value& x);

/// Limits values to [low, high].
Value add_clip(Graph& graph, const std::string& name, const Value& x, float low, float high);

/// Along the last axis.
Value add_softmax(Graph& graph, const std::string& name, const Value& x);

/// Batched matrix product of the last two axes.
Value add_matmul(Graph& graph, const std::string& name, const Value& a, const Value& b);

/// Sum over one axis, which stays with size 1.
Value add_reduce_sum(Graph& graph, const std::string& name, const Value& x, int64_t axis);

// Shape.

/// Reshape. At most one symbolic dimension may differ from the one at the same place of the input.
Value add_reshape(Graph& graph, const std::string& name, const Value& x,
                  const SymbolicShape& shape);
Value add_transpose(Graph& graph, const std::string& name, const Value& x,
                    const std::vector<int64_t>& permutation);
Value add_unsqueeze(Graph& graph, const std::string& name, const Value& x, int64_t axis);
Value add_squeeze(Graph& graph, const std::string& name, const Value& x, int64_t axis);
Value add_concat(Graph& graph, const std::string& name, const std::vector<Value>& parts,
                 int64_t axis);

/// Equal parts along a static axis; the results are named `name`.0, `name`.1, ...
std::vector<Value> add_split(Graph& graph, const std::string& name, const Value& x, int64_t axis,
                             int64_t parts);

/// Elements [start, end) of one axis.
Value add_slice(Graph& graph, const std::string& name, const Value& x, int64_t axis, int64_t start,
                int64_t end);

/// Rows of `data` along `axis`: the indices' shape takes the place of that axis.
Value add_gather(Graph& graph, const std::string& name, const Value& data, const Value& indices,
                 int64_t axis);

// Neural network.

/// Over the last axis, computed in float32; scale and bias [C].
Value add_layer_normalization(Graph& graph, const std::string& name, const Value& x,
                              const Value& scale, const Value& bias, float epsilon);

/// [N, C, L...] normalised over L per sample and channel; scale and bias [C].
Value add_instance_normalization(Graph& graph, const std::string& name, const Value& x,
                                 const Value& scale, const Value& bias, float epsilon);

/// x [N, C, H, W], weight [M, C / groups, k, k], bias [M] (an empty name for none). Where the
/// stride does not divide, the rest is cut off.
struct ConvOptions {
  int64_t stride = 1;
  int64_t padding = 0;
  int64_t groups = 1;
};
Value add_conv(Graph& graph, const std::string& name, const Value& x, const Value& weight,
               const Value& bias, const ConvOptions& options);

/// x [N, C, H, W], weight [C, M, k, k], bias [M]; stride k, so that the result is k times as large.
Value add_conv_transpose(Graph& graph, const std::string& name, const Value& x, const Value& weight,
                         const Value& bias);

/// [N, C, H, W] to [N, C, 2H, 2W] by repeating every pixel.
Value add_upsample_nearest_2x(Graph& graph, const std::string& name, const Value& x);

}  // namespace sam3trt
