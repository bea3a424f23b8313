// Compiled once per flavour that has plugins (cmake/tensorrt.cmake).
#include "trt/flavour/attention_plugin.hpp"

#include <array>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "base/own_operators.hpp"
#include "cuda/attention.hpp"

namespace sam3trt {
namespace {

constexpr const char* kVersion = "1";
constexpr const char* kNamespace = "";
constexpr int kInputs = 3;  // packed projections, cos, sin

struct AttentionSizes {
  int64_t window = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;
};

constexpr std::array<const char*, 3> kFieldNames = {"window", "heads", "head_dim"};

std::array<int64_t*, 3> members_of(AttentionSizes& sizes) {
  return {&sizes.window, &sizes.heads, &sizes.head_dim};
}

/// The attributes of a graph's node, or the fields of a plan.
AttentionSizes read_fields(const nvinfer1::PluginFieldCollection* fields) {
  AttentionSizes sizes;
  if (fields == nullptr) return sizes;
  const auto members = members_of(sizes);
  for (int32_t i = 0; i < fields->nbFields; ++i) {
    const nvinfer1::PluginField& field = fields->fields[i];
    for (size_t m = 0; m < members.size(); ++m) {
      if (std::string_view(field.name) != kFieldNames[m] || field.data == nullptr) continue;
      if (field.type == nvinfer1::PluginFieldType::kINT64) {
        std::memcpy(members[m], field.data, sizeof(int64_t));
      } else if (field.type == nvinfer1::PluginFieldType::kINT32) {
        int32_t value = 0;
        std::memcpy(&value, field.data, sizeof(value));
        *members[m] = value;
      }
    }
  }
  return sizes;
}

bool is_valid(const AttentionSizes& sizes) {
  return sizes.window > 0 && sizes.heads > 0 && has_attention_kernel(sizes.head_dim);
}

// TensorRT calls these functions through its own interfaces; an exception must not reach it.
class AttentionPlugin final : public nvinfer1::IPluginV3,
                              public nvinfer1::IPluginV3OneCore,
                              public nvinfer1::IPluginV3OneBuild,
                              public nvinfer1::IPluginV3OneRuntime {
 public:
  explicit AttentionPlugin(const AttentionSizes& sizes)
      : sizes_(sizes),
        timing_id_(std::to_string(sizes.window) + "x" + std::to_string(sizes.heads) + "x" +
                   std::to_string(sizes.head_dim)) {}

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
      return new AttentionPlugin(sizes_);  // TensorRT deletes it
    } catch (const std::exception&) {
      return nullptr;
    }
  }

  const char* getPluginName() const noexcept override { return kRotaryAttention; }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }

  int32_t getNbOutputs() const noexcept override { return 1; }

  int32_t getOutputDataTypes(nvinfer1::DataType* outputs, int32_t output_count,
                             const nvinfer1::DataType* inputs,
                             int32_t input_count) const noexcept override {
    if (output_count != 1 || input_count != kInputs) return -1;
    outputs[0] = inputs[0];
    return 0;
  }

  int32_t getOutputShapes(const nvinfer1::DimsExprs* inputs, int32_t input_count,
                          const nvinfer1::DimsExprs* /*shape_inputs*/, int32_t /*shape_count*/,
                          nvinfer1::DimsExprs* outputs, int32_t output_count,
                          nvinfer1::IExprBuilder& builder) noexcept override {
    if (output_count != 1 || input_count != kInputs || inputs[0].nbDims != 3) return -1;
    outputs[0].nbDims = 3;
    outputs[0].d[0] = inputs[0].d[0];
    outputs[0].d[1] = inputs[0].d[1];
    outputs[0].d[2] = builder.constant(sizes_.heads * sizes_.head_dim);
    return 0;
  }

  bool supportsFormatCombination(int32_t position, const nvinfer1::DynamicPluginTensorDesc* tensors,
                                 int32_t input_count, int32_t output_count) noexcept override {
    if (input_count != kInputs || output_count != 1) return false;
    const nvinfer1::PluginTensorDesc& tensor = tensors[position].desc;
    if (tensor.format != nvinfer1::TensorFormat::kLINEAR) return false;
    if (position == 1 || position == 2) return tensor.type == nvinfer1::DataType::kFLOAT;
    if (position == kInputs) return tensor.type == tensors[0].desc.type;
    return tensor.type == nvinfer1::DataType::kHALF || tensor.type == nvinfer1::DataType::kBF16;
  }

  int32_t configurePlugin(const nvinfer1::DynamicPluginTensorDesc* inputs, int32_t input_count,
                          const nvinfer1::DynamicPluginTensorDesc* /*outputs*/,
                          int32_t output_count) noexcept override {
    if (input_count != kInputs || output_count != 1) return -1;
    return fits(inputs[0].max, inputs[1].max, inputs[2].max) ? 0 : -1;
  }

  size_t getWorkspaceSize(const nvinfer1::DynamicPluginTensorDesc* inputs, int32_t /*input_count*/,
                          const nvinfer1::DynamicPluginTensorDesc* /*outputs*/,
                          int32_t /*output_count*/) const noexcept override {
    return call_for(inputs[0].max).scratch_bytes();
  }

  const char* getTimingCacheID() noexcept override { return timing_id_.c_str(); }

  int32_t onShapeChange(const nvinfer1::PluginTensorDesc* inputs, int32_t input_count,
                        const nvinfer1::PluginTensorDesc* /*outputs*/,
                        int32_t output_count) noexcept override {
    if (input_count != kInputs || output_count != 1) return -1;
    return fits(inputs[0].dims, inputs[1].dims, inputs[2].dims) ? 0 : -1;
  }

  int32_t enqueue(const nvinfer1::PluginTensorDesc* inputs,
                  const nvinfer1::PluginTensorDesc* /*outputs*/, const void* const* in,
                  void* const* out, void* workspace, cudaStream_t stream) noexcept override {
    try {
      RotaryAttention call = call_for(inputs[0].dims);
      call.type = inputs[0].type == nvinfer1::DataType::kBF16 ? DType::kBF16 : DType::kF16;
      call.qkv = reinterpret_cast<DevicePointer>(in[0]);
      call.cos = reinterpret_cast<DevicePointer>(in[1]);
      call.sin = reinterpret_cast<DevicePointer>(in[2]);
      call.result = reinterpret_cast<DevicePointer>(out[0]);
      call.scratch = reinterpret_cast<DevicePointer>(workspace);
      attention_kernels().launch(call, stream);
      return 0;
    } catch (const std::exception& error) {
      log(LogLevel::kWarning, std::string("the attention kernel did not start: ") + error.what());
      return -1;
    }
  }

  nvinfer1::IPluginV3* attachToContext(
      nvinfer1::IPluginResourceContext* /*context*/) noexcept override {
    return clone();
  }

  const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept override {
    const auto members = members_of(sizes_);
    for (size_t i = 0; i < members.size(); ++i) {
      fields_[i] = {kFieldNames[i], members[i], nvinfer1::PluginFieldType::kINT64, 1};
    }
    collection_ = {static_cast<int32_t>(fields_.size()), fields_.data()};
    return &collection_;
  }

 private:
  [[nodiscard]] RotaryAttention call_for(const nvinfer1::Dims& packed) const {
    RotaryAttention call;
    call.batches = packed.d[0];
    call.tokens = packed.d[1];
    call.window = sizes_.window;
    call.heads = sizes_.heads;
    call.head_dim = sizes_.head_dim;
    return call;
  }

  [[nodiscard]] bool fits(const nvinfer1::Dims& packed, const nvinfer1::Dims& cos,
                          const nvinfer1::Dims& sin) const {
    int64_t angles = 1;
    int64_t others = 1;
    for (int32_t i = 0; i < cos.nbDims; ++i) angles *= cos.d[i];
    for (int32_t i = 0; i < sin.nbDims; ++i) others *= sin.d[i];
    return packed.nbDims == 3 && packed.d[1] % sizes_.window == 0 &&
           packed.d[2] == 3 * sizes_.heads * sizes_.head_dim &&
           angles == sizes_.window * sizes_.head_dim / 2 && others == angles;
  }

  AttentionSizes sizes_;
  std::string timing_id_;
  std::array<nvinfer1::PluginField, 3> fields_;
  nvinfer1::PluginFieldCollection collection_;
};

class AttentionCreator final : public nvinfer1::IPluginCreatorV3One {
 public:
  AttentionCreator() {
    for (size_t i = 0; i < fields_.size(); ++i) {
      fields_[i] = {kFieldNames[i], nullptr, nvinfer1::PluginFieldType::kINT64, 1};
    }
    collection_ = {static_cast<int32_t>(fields_.size()), fields_.data()};
  }

  nvinfer1::IPluginV3* createPlugin(const char* /*name*/,
                                    const nvinfer1::PluginFieldCollection* fields,
                                    nvinfer1::TensorRTPhase /*phase*/) noexcept override {
    try {
      const AttentionSizes sizes = read_fields(fields);
      return is_valid(sizes) ? new AttentionPlugin(sizes) : nullptr;  // TensorRT deletes it
    } catch (const std::exception&) {
      return nullptr;
    }
  }

  const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override { return &collection_; }
  const char* getPluginName() const noexcept override { return kRotaryAttention; }
  const char* getPluginVersion() const noexcept override { return kVersion; }
  const char* getPluginNamespace() const noexcept override { return kNamespace; }

 private:
  std::array<nvinfer1::PluginField, 3> fields_;
  nvinfer1::PluginFieldCollection collection_;
};

}  // namespace

template <>
nvinfer1::IPluginCreatorV3One& attention_plugin_creator<SAM3TRT_FLAVOUR>() {
  static AttentionCreator creator;
  return creator;
}

}  // namespace sam3trt
