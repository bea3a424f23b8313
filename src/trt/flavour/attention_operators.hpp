#pragma once

#include <array>
#include <cstdint>

#include "base/own_operators.hpp"
#include "cuda/operators.hpp"
#include "trt/flavour/product_operators.hpp"

namespace sam3trt {

/// What all attentions have; `fields` begin with heads and their size.
template <size_t kFields>
struct AttentionOperator {
  std::array<Field, kFields> fields;

  [[nodiscard]] int64_t heads() const { return fields[0].second; }
  [[nodiscard]] int64_t head_dim() const { return fields[1].second; }
  [[nodiscard]] int64_t width() const { return heads() * head_dim(); }
  [[nodiscard]] bool has_kernel() const { return heads() > 0 && has_attention_kernel(head_dim()); }
  void set_result(nvinfer1::DimsExprs& result, nvinfer1::IExprBuilder& builder,
                  const nvinfer1::DimsExprs* /*inputs*/) const {
    result.d[2] = builder.constant(width());
  }
  /// [P, Q, H * D], and [P, K, H * D] twice.
  [[nodiscard]] bool are_parts(const nvinfer1::Dims& query, const nvinfer1::Dims& key,
                               const nvinfer1::Dims& value) const {
    return query.nbDims == 3 && key.nbDims == 3 && value.nbDims == 3 && query.d[2] == width() &&
           key.d[2] == width() && value.d[2] == width() && key.d[0] == query.d[0] &&
           value.d[0] == query.d[0] && value.d[1] == key.d[1];
  }
};

/// What the plugin needs to know of kPlainAttention.
struct PlainOperator : AttentionOperator<2> {
  static constexpr const char* kName = kPlainAttention;
  static constexpr int kInputs = 3;     ///< Queries, keys, values.
  static constexpr int kLowInputs = 3;  ///< So many first ones, and the result, are 16 bits wide.
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

  PlainOperator() : AttentionOperator{{{{"heads", 0}, {"head_dim", 0}}}} {}

  [[nodiscard]] bool is_valid() const { return has_kernel(); }
  [[nodiscard]] bool fits(const Inputs& inputs) const {
    return are_parts(inputs[0], inputs[1], inputs[2]) && call_for(inputs).fits();
  }
  [[nodiscard]] PlainAttention call_for(const Inputs& inputs) const {
    PlainAttention call;
    call.prompts = inputs[0].d[0];
    call.queries = inputs[0].d[1];
    call.keys = inputs[1].d[1];
    call.heads = heads();
    call.head_dim = head_dim();
    return call;
  }
  [[nodiscard]] static size_t scratch_bytes(const Inputs& /*inputs*/) { return 0; }
  void launch(DType type, const Inputs& inputs, const void* const* in, void* result,
              void* /*workspace*/, cudaStream_t stream) const {
    PlainAttention call = call_for(inputs);
    call.type = type;
    call.query = address(in[0]);
    call.key = address(in[1]);
    call.value = address(in[2]);
    call.result = address(result);
    operator_kernels().launch(call, stream);
  }
};

/// The same of kRotaryAttention.
struct RotaryOperator : AttentionOperator<3> {
  static constexpr const char* kName = kRotaryAttention;
  static constexpr int kInputs = 3;  ///< Packed projections, cos, sin.
  static constexpr int kLowInputs = 1;

  RotaryOperator() : AttentionOperator{{{{"heads", 0}, {"head_dim", 0}, {"window", 0}}}} {}

  [[nodiscard]] int64_t window() const { return fields[2].second; }
  [[nodiscard]] bool is_valid() const { return has_kernel() && window() > 0; }
  [[nodiscard]] bool fits(const std::array<nvinfer1::Dims, kInputs>& inputs) const {
    const auto& [packed, cos, sin] = inputs;
    return packed.nbDims == 3 && packed.d[1] % window() == 0 && packed.d[2] == 3 * width() &&
           elements(cos) == window() * head_dim() / 2 && elements(sin) == elements(cos);
  }
  [[nodiscard]] RotaryAttention call_for(const nvinfer1::Dims& packed) const {
    RotaryAttention call;
    call.batches = packed.d[0];
    call.tokens = packed.d[1];
    call.window = window();
    call.heads = heads();
    call.head_dim = head_dim();
    return call;
  }
  [[nodiscard]] size_t scratch_bytes(const std::array<nvinfer1::Dims, kInputs>& inputs) const {
    return call_for(inputs[0]).scratch_bytes();
  }
  void launch(DType type, const std::array<nvinfer1::Dims, kInputs>& inputs, const void* const* in,
              void* result, void* workspace, cudaStream_t stream) const {
    RotaryAttention call = call_for(inputs[0]);
    call.type = type;
    call.qkv = address(in[0]);
    call.cos = address(in[1]);
    call.sin = address(in[2]);
    call.result = address(result);
    call.scratch = address(workspace);
    operator_kernels().launch(call, stream);
  }
};

/// The same of kGridAttention.
struct GridOperator : AttentionOperator<4> {
  static constexpr const char* kName = kGridAttention;
  static constexpr int kInputs = 12;  ///< Queries, keys, values, boxes; four weights of two MLPs.
  static constexpr int kLowInputs = 3;
  static constexpr size_t kRowWeights = 4;  ///< The first of those of rows; then of columns.
  static constexpr size_t kColumnWeights = 8;
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

  GridOperator()
      : AttentionOperator{{{{"heads", 0}, {"head_dim", 0}, {"rows", 0}, {"columns", 0}}}} {}

  [[nodiscard]] int64_t rows() const { return fields[2].second; }
  [[nodiscard]] int64_t columns() const { return fields[3].second; }
  [[nodiscard]] bool is_valid() const {
    constexpr int64_t kMost = 1 << 16;
    return has_kernel() && rows() > 0 && rows() < kMost && columns() > 0 && columns() < kMost;
  }
  [[nodiscard]] bool fits(const Inputs& inputs) const {
    const nvinfer1::Dims& boxes = inputs[3];
    return are_parts(inputs[0], inputs[1], inputs[2]) && boxes.nbDims == 3 && boxes.d[2] == 4 &&
           boxes.d[0] == inputs[0].d[0] && inputs[1].d[1] == rows() * columns() &&
           are_weights(inputs, kRowWeights, hidden(inputs)) &&
           are_weights(inputs, kColumnWeights, hidden(inputs)) && attention_for(inputs).fits() &&
           bias_for(inputs).fits();
  }
  [[nodiscard]] static int64_t hidden(const Inputs& inputs) {
    return elements(inputs[kRowWeights + 1]);
  }
  /// [2, M], [M], [M, H], [H]
  [[nodiscard]] bool are_weights(const Inputs& inputs, size_t first, int64_t hidden) const {
    return elements(inputs[first]) == 2 * hidden && elements(inputs[first + 1]) == hidden &&
           elements(inputs[first + 2]) == hidden * heads() &&
           elements(inputs[first + 3]) == heads();
  }
  [[nodiscard]] BoxBias bias_for(const Inputs& inputs) const {
    BoxBias call;
    call.rows.lines = rows();
    call.columns.lines = columns();
    call.prompts = inputs[0].d[0];
    call.queries = inputs[0].d[1];
    call.boxed = inputs[3].d[1];
    call.hidden = hidden(inputs);
    call.heads = heads();
    return call;
  }
  [[nodiscard]] GridAttention attention_for(const Inputs& inputs) const {
    GridAttention call;
    call.prompts = inputs[0].d[0];
    call.queries = inputs[0].d[1];
    call.rows = rows();
    call.columns = columns();
    call.heads = heads();
    call.head_dim = head_dim();
    return call;
  }
  /// For the bias: that of the rows, then that of the columns.
  [[nodiscard]] size_t scratch_bytes(const Inputs& inputs) const {
    return row_bias_bytes(inputs[0]) + lines_bytes(inputs[0], columns());
  }
  [[nodiscard]] size_t row_bias_bytes(const nvinfer1::Dims& query) const {
    constexpr size_t kAlignment = 256;
    return (lines_bytes(query, rows()) + kAlignment - 1) / kAlignment * kAlignment;
  }
  [[nodiscard]] size_t lines_bytes(const nvinfer1::Dims& query, int64_t lines) const {
    return static_cast<size_t>(query.d[0] * heads() * query.d[1] * lines) * sizeof(float);
  }
  static void set_axis(BoxBias::Axis& axis, const void* const* weights, DevicePointer result) {
    axis.hidden_weight = address(weights[0]);
    axis.hidden_bias = address(weights[1]);
    axis.weight = address(weights[2]);
    axis.bias = address(weights[3]);
    axis.result = result;
  }
  void launch(DType type, const Inputs& inputs, const void* const* in, void* result,
              void* workspace, cudaStream_t stream) const {
    BoxBias bias = bias_for(inputs);
    bias.boxes = address(in[3]);
    set_axis(bias.rows, in + kRowWeights, address(workspace));
    set_axis(bias.columns, in + kColumnWeights, address(workspace) + row_bias_bytes(inputs[0]));
    operator_kernels().launch(bias, stream);
    GridAttention call = attention_for(inputs);
    call.type = type;
    call.query = address(in[0]);
    call.key = address(in[1]);
    call.value = address(in[2]);
    call.row_bias = bias.rows.result;
    call.column_bias = bias.columns.result;
    call.result = address(result);
    operator_kernels().launch(call, stream);
  }
};

/// What kMemoryAttention and kRotatedAttention have in common; `head_dim`, then `value_dim`.
struct MemoryFields {
  std::array<Field, 2> fields = {{{"head_dim", 0}, {"value_dim", 0}}};

  [[nodiscard]] int64_t head_dim() const { return fields[0].second; }
  [[nodiscard]] int64_t value_dim() const { return fields[1].second; }
  [[nodiscard]] bool is_valid() const { return has_memory_kernel(1, head_dim(), value_dim()); }
  void set_result(nvinfer1::DimsExprs& result, nvinfer1::IExprBuilder& builder,
                  const nvinfer1::DimsExprs* /*inputs*/) const {
    result.d[2] = builder.constant(value_dim());
  }
  /// Whether queries and their tables are what they should be.
  [[nodiscard]] bool are_queries(const nvinfer1::Dims& query, const nvinfer1::Dims& cos,
                                 const nvinfer1::Dims& sin) const {
    return query.nbDims == 3 && query.d[2] == head_dim() &&
           elements(cos) == query.d[1] * head_dim() / 2 && elements(sin) == elements(cos);
  }
  [[nodiscard]] MemoryAttention call_for(const nvinfer1::Dims& query, int64_t frames,
                                         int64_t plain_keys) const {
    MemoryAttention call;
    call.batches = query.d[0];
    call.queries = query.d[1];
    call.rotated_keys = frames * query.d[1];
    call.plain_keys = plain_keys;
    call.value_dim = value_dim();
    return call;
  }
};

/// The same of kMemoryAttention.
struct MemoryOperator : MemoryFields {
  static constexpr const char* kName = kMemoryAttention;
  static constexpr int kInputs = 7;  ///< Queries, frames' keys, other keys, values, cos, sin, bias.
  static constexpr int kLowInputs = 4;
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

  [[nodiscard]] bool fits(const Inputs& inputs) const {
    const auto& [query, frames, plain, value, cos, sin, bias] = inputs;
    return are_queries(query, cos, sin) && frames.nbDims == 4 && plain.nbDims == 3 &&
           value.nbDims == 3 && frames.d[0] == query.d[0] && frames.d[2] == query.d[1] &&
           frames.d[3] == head_dim() && plain.d[0] == query.d[0] && plain.d[2] == head_dim() &&
           value.d[0] == query.d[0] && value.d[1] == frames.d[1] * frames.d[2] + plain.d[1] &&
           value.d[2] == value_dim() && elements(bias) == value.d[0] * value.d[1] &&
           call_of(inputs).fits();
  }
  [[nodiscard]] MemoryAttention call_of(const Inputs& inputs) const {
    return call_for(inputs[0], inputs[1].d[1], inputs[2].d[1]);
  }
  [[nodiscard]] size_t scratch_bytes(const Inputs& inputs) const {
    return call_of(inputs).scratch_bytes();
  }
  void launch(DType type, const Inputs& inputs, const void* const* in, void* result,
              void* workspace, cudaStream_t stream) const {
    MemoryAttention call = call_of(inputs);
    call.type = type;
    call.query = address(in[0]);
    call.rotated_key = address(in[1]);
    call.plain_key = address(in[2]);
    call.value = address(in[3]);
    call.cos = address(in[4]);
    call.sin = address(in[5]);
    call.bias = address(in[6]);
    call.result = address(result);
    call.scratch = address(workspace);
    operator_kernels().launch(call, stream);
  }
};

/// The same of kRotatedAttention.
struct RotatedOperator : MemoryFields {
  static constexpr const char* kName = kRotatedAttention;
  static constexpr int kInputs = 5;  ///< Queries, keys, values, cos, sin.
  static constexpr int kLowInputs = 3;
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

  [[nodiscard]] bool fits(const Inputs& inputs) const {
    const auto& [query, key, value, cos, sin] = inputs;
    return are_queries(query, cos, sin) && key.nbDims == 3 && value.nbDims == 3 &&
           elements(key) == elements(query) && key.d[2] == head_dim() && value.d[0] == query.d[0] &&
           value.d[1] == query.d[1] && value.d[2] == value_dim() && call_for(query, 1, 0).fits();
  }
  [[nodiscard]] size_t scratch_bytes(const Inputs& inputs) const {
    return call_for(inputs[0], 1, 0).scratch_bytes();
  }
  void launch(DType type, const Inputs& inputs, const void* const* in, void* result,
              void* workspace, cudaStream_t stream) const {
    MemoryAttention call = call_for(inputs[0], 1, 0);
    call.type = type;
    call.query = address(in[0]);
    call.rotated_key = address(in[1]);
    call.value = address(in[2]);
    call.cos = address(in[3]);
    call.sin = address(in[4]);
    call.result = address(result);
    call.scratch = address(workspace);
    operator_kernels().launch(call, stream);
  }
};

}  // namespace sam3trt
