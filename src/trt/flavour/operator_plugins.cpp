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
#include "trt/flavour/attention_operators.hpp"
#include "trt/flavour/norm_operator.hpp"
#include "trt/flavour/pixel_operators.hpp"
#include "trt/flavour/position_operator.hpp"
#include "trt/flavour/product_operators.hpp"

namespace sam3trt {
namespace {

constexpr const char* kVersion = "1";
constexpr const char* kNamespace = "";

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
