// Compiled once per flavour that has plugins (cmake/tensorrt.cmake).
#include "trt/flavour/operator_plugins.hpp"

#include <array>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "base/log.hpp"
#include "base/own_operators.hpp"
#include "cuda/operators.hpp"
#include "trt/flavour/norm_operator.hpp"
#include "trt/flavour/pixel_operators.hpp"
#include "trt/flavour/position_operator.hpp"
#include "trt/flavour/product_operators.hpp"

namespace sam3trt {
namespace {

constexpr const char* kVersion = "1";
constexpr const char* kNamespace = "";

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

/// The attributes of a graph's node, or the fields of a plan.
template <typename Operator>
Operator read_fields(const nvinfer1::PluginFieldCollection* collection) {
  Operator result;
  if (collection == nullptr) return result;
  for (int32_t i = 0; i < collection->nbFields; ++i) {
    const nvinfer1::PluginField& field = collection->fields[i];
    for (auto& [name, value] : result.fields) {
      if (std::string_view(field.name) != name || field.data == nullptr) continue;
      if (field.type == nvinfer1::PluginFieldType::kINT64) {
        std::memcpy(&value, field.data, sizeof(int64_t));
      } else if (field.type == nvinfer1::PluginFieldType::kINT32) {
        int32_t narrow = 0;
        std::memcpy(&narrow, field.data, sizeof(narrow));
        value = narrow;
      }
    }
  }
  return result;
}

void report_failure(const char* reason) noexcept {
  try {
    log(LogLevel::kWarning, std::string("a kernel of this program did not start: ") + reason);
  } catch (...) {
    return;  // TensorRT reports that the kernel failed
  }
}

// TensorRT calls these functions through its own interfaces; an exception must not reach it.
template <typename Operator>
class OperatorPlugin final : public nvinfer1::IPluginV3,
                             public nvinfer1::IPluginV3OneCore,
                             public nvinfer1::IPluginV3OneBuild,
                             public nvinfer1::IPluginV3OneRuntime {
 public:
  explicit OperatorPlugin(const Operator& op) : op_(op) {
    for (const auto& [name, value] : op_.fields) timing_id_ += std::to_string(value) + " ";
  }

  nvinfer1::IPluginCapability* getCapabilityInterface(
      nvinfer1::PluginCapabilityType type) noexcept override {
    switch (type) {
      case nvinfer1::PluginCapabilityType::kCORE:
        return static_cast<nvinfer1::IPluginV3OneCore*>(this);
      case nvinfer1::PluginCapabilityType::kBUILD:
        return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
      case nvinfer1::PluginCapabilityType::kRUNTIME:
        return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
    }
    return nullptr;
  }

  nvinfer1::IPluginV3* clone() noexcept override {
    try {
      return new OperatorPlugin(op_);  // TensorRT deletes it
    } catch (...) {
      return nullptr;
    }
  }

  const char* getPluginName() const noexcept override { return Operator::kName; }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }

  int32_t getNbOutputs() const noexcept override { return kOutputs; }

  int32_t getOutputDataTypes(nvinfer1::DataType* outputs, int32_t output_count,
                             const nvinfer1::DataType* inputs,
                             int32_t input_count) const noexcept override {
    if (output_count != kOutputs || input_count != kInputs) return -1;
    outputs[0] = inputs[0];
    if constexpr (requires { op_.result_type(); }) outputs[0] = op_.result_type();
    for (int i = 1; i < kOutputs; ++i) {
      outputs[i] = i < kLowOutputs ? inputs[0] : nvinfer1::DataType::kFLOAT;
    }
    return 0;
  }

  int32_t getOutputShapes(const nvinfer1::DimsExprs* inputs, int32_t input_count,
                          const nvinfer1::DimsExprs* /*shape_inputs*/, int32_t /*shape_count*/,
                          nvinfer1::DimsExprs* outputs, int32_t output_count,
                          nvinfer1::IExprBuilder& builder) noexcept override {
    if (output_count != kOutputs || input_count != kInputs) return -1;
    if (inputs[0].nbDims != kInputDims) return -1;
    if constexpr (requires { op_.set_results(outputs, builder, inputs); }) {
      op_.set_results(outputs, builder, inputs);
      return 0;
    } else {
      return set_result(inputs, outputs, builder);
    }
  }

  bool supportsFormatCombination(int32_t position, const nvinfer1::DynamicPluginTensorDesc* tensors,
                                 int32_t input_count, int32_t output_count) noexcept override {
    if (input_count != kInputs || output_count != kOutputs) return false;
    const nvinfer1::PluginTensorDesc& tensor = tensors[position].desc;
    // Channels are multiples of eight: no padding.
    if (tensor.format != (has_channels_last(position) ? nvinfer1::TensorFormat::kHWC8
                                                      : nvinfer1::TensorFormat::kLINEAR)) {
      return false;
    }
    if constexpr (requires { Operator::kIndexInput; }) {
      if (position == Operator::kIndexInput) return tensor.type == nvinfer1::DataType::kINT64;
    }
    if constexpr (requires { op_.result_type(); }) {
      if (position == kInputs) return tensor.type == op_.result_type();
    }
    if constexpr (requires { op_.is_packed(position); }) {
      if (op_.is_packed(position)) return tensor.type == nvinfer1::DataType::kINT32;
    }
    const bool low =
        Operator::kLowInputs > 0 && (position < Operator::kLowInputs ||
                                     (position >= kInputs && position < kInputs + kLowOutputs));
    if (!low) return tensor.type == nvinfer1::DataType::kFLOAT;
    if (position > 0) return tensor.type == tensors[0].desc.type;
    return tensor.type == nvinfer1::DataType::kHALF || tensor.type == nvinfer1::DataType::kBF16;
  }

  int32_t configurePlugin(const nvinfer1::DynamicPluginTensorDesc* inputs, int32_t input_count,
                          const nvinfer1::DynamicPluginTensorDesc* /*outputs*/,
                          int32_t output_count) noexcept override {
    if (input_count != kInputs || output_count != kOutputs) return -1;
    return op_.fits(most_of(inputs)) ? 0 : -1;
  }

  size_t getWorkspaceSize(const nvinfer1::DynamicPluginTensorDesc* inputs, int32_t /*input_count*/,
                          const nvinfer1::DynamicPluginTensorDesc* /*outputs*/,
                          int32_t /*output_count*/) const noexcept override {
    return op_.scratch_bytes(most_of(inputs));
  }

  const char* getTimingCacheID() noexcept override { return timing_id_.c_str(); }

  int32_t onShapeChange(const nvinfer1::PluginTensorDesc* inputs, int32_t input_count,
                        const nvinfer1::PluginTensorDesc* /*outputs*/,
                        int32_t output_count) noexcept override {
    if (input_count != kInputs || output_count != kOutputs) return -1;
    return op_.fits(dims_of(inputs)) ? 0 : -1;
  }

  int32_t enqueue(const nvinfer1::PluginTensorDesc* inputs,
                  const nvinfer1::PluginTensorDesc* /*outputs*/, const void* const* in,
                  void* const* out, void* workspace, cudaStream_t stream) noexcept override {
    try {
      const bool bfloat = inputs[0].type == nvinfer1::DataType::kBF16;
      const DType type = bfloat ? DType::kBF16 : DType::kF16;
      if constexpr (kOutputs == 1) {
        op_.launch(type, dims_of(inputs), in, out[0], workspace, stream);
      } else {
        op_.launch(type, dims_of(inputs), in, out, workspace, stream);
      }
      return 0;
    } catch (const std::exception& error) {
      report_failure(error.what());
      return -1;
    } catch (...) {
      return -1;
    }
  }

  nvinfer1::IPluginV3* attachToContext(
      nvinfer1::IPluginResourceContext* /*context*/) noexcept override {
    return clone();
  }

  const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept override {
    for (size_t i = 0; i < fields_.size(); ++i) {
      const auto& [name, value] = op_.fields[i];
      fields_[i] = {name, &value, nvinfer1::PluginFieldType::kINT64, 1};
    }
    collection_ = {static_cast<int32_t>(fields_.size()), fields_.data()};
    return &collection_;
  }

 private:
  static constexpr int kInputs = Operator::kInputs;
  static constexpr int kOutputs = [] {
    if constexpr (requires { Operator::kOutputs; }) return Operator::kOutputs;
    return 1;
  }();
  /// So many first outputs are 16 bits wide where inputs are.
  static constexpr int kLowOutputs = [] {
    if constexpr (requires { Operator::kLowOutputs; }) return Operator::kLowOutputs;
    return 1;
  }();

  static constexpr int kInputDims = [] {
    if constexpr (requires { Operator::kInputDims; }) return Operator::kInputDims;
    return 3;
  }();

  /// [B, T, N] where the operator does not say otherwise; all outputs have one shape.
  int32_t set_result(const nvinfer1::DimsExprs* inputs, nvinfer1::DimsExprs* outputs,
                     nvinfer1::IExprBuilder& builder) {
    outputs[0].nbDims = 3;
    outputs[0].d[0] = inputs[0].d[0];
    outputs[0].d[1] = inputs[0].d[1];
    op_.set_result(outputs[0], builder, inputs);
    for (int i = 1; i < kOutputs; ++i) outputs[i] = outputs[0];
    return 0;
  }

  static bool has_channels_last(int32_t position) {
    if constexpr (requires { Operator::has_channels_last(position); }) {
      return Operator::has_channels_last(position);
    }
    return false;
  }

  static std::array<nvinfer1::Dims, kInputs> most_of(
      const nvinfer1::DynamicPluginTensorDesc* inputs) {
    std::array<nvinfer1::Dims, kInputs> dims;
    for (size_t i = 0; i < dims.size(); ++i) dims[i] = inputs[i].max;
    return dims;
  }

  static std::array<nvinfer1::Dims, kInputs> dims_of(const nvinfer1::PluginTensorDesc* inputs) {
    std::array<nvinfer1::Dims, kInputs> dims;
    for (size_t i = 0; i < dims.size(); ++i) dims[i] = inputs[i].dims;
    return dims;
  }

  Operator op_;
  std::string timing_id_;
  std::array<nvinfer1::PluginField, std::tuple_size_v<decltype(Operator::fields)>> fields_;
  nvinfer1::PluginFieldCollection collection_;
};

template <typename Operator>
class OperatorCreator final : public nvinfer1::IPluginCreatorV3One {
 public:
  OperatorCreator() {
    for (size_t i = 0; i < fields_.size(); ++i) {
      fields_[i] = {Operator().fields[i].first, nullptr, nvinfer1::PluginFieldType::kINT64, 1};
    }
    collection_ = {static_cast<int32_t>(fields_.size()), fields_.data()};
  }

  nvinfer1::IPluginV3* createPlugin(const char* /*name*/,
                                    const nvinfer1::PluginFieldCollection* fields,
                                    nvinfer1::TensorRTPhase /*phase*/) noexcept override {
    try {
      const auto op = read_fields<Operator>(fields);
      return op.is_valid() ? new OperatorPlugin<Operator>(op) : nullptr;  // TensorRT deletes it
    } catch (...) {
      return nullptr;
    }
  }

  const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override { return &collection_; }
  const char* getPluginName() const noexcept override { return Operator::kName; }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }

 private:
  std::array<nvinfer1::PluginField, std::tuple_size_v<decltype(Operator::fields)>> fields_;
  nvinfer1::PluginFieldCollection collection_;
};

}  // namespace

template <>
std::array<nvinfer1::IPluginCreatorV3One*, 15> operator_plugin_creators<SAM3TRT_FLAVOUR>() {
  static OperatorCreator<PlainOperator> plain;
  static OperatorCreator<RotaryOperator> rotary;
  static OperatorCreator<GridOperator> grid;
  static OperatorCreator<PositionOperator> position;
  static OperatorCreator<MemoryOperator> memory;
  static OperatorCreator<RotatedOperator> rotated;
  static OperatorCreator<NormalisedProductOperator> normalised_product;
  static OperatorCreator<ResidualProductOperator> residual_product;
  static OperatorCreator<MlpOperator> mlp;
  static OperatorCreator<ResidualNormOperator> residual_norm;
  static OperatorCreator<GatheredNormOperator> gathered_norm;
  static OperatorCreator<UpsampledSumOperator> upsampled_sum;
  static OperatorCreator<GroupNormOperator> group_norm;
  static OperatorCreator<PatchesOperator> patches;
  static OperatorCreator<WindowMapOperator> window_map;
  return {&plain,
          &rotary,
          &grid,
          &position,
          &memory,
          &rotated,
          &normalised_product,
          &residual_product,
          &mlp,
          &residual_norm,
          &gathered_norm,
          &upsampled_sum,
          &group_norm,
          &patches,
          &window_map};
}

}  // namespace sam3trt
