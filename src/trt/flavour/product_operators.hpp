#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "base/own_operators.hpp"
#include "cuda/products.hpp"
#include "trt/flavour/operator_plugins.hpp"

namespace sam3trt {

/// A plugin's attribute and its value.
using Field = std::pair<const char*, int64_t>;

inline int64_t elements(const nvinfer1::Dims& dims) {
  int64_t count = 1;
  for (int32_t i = 0; i < dims.nbDims; ++i) count *= dims.d[i];
  return count;
}

inline DevicePointer address(const void* pointer) {
  return reinterpret_cast<DevicePointer>(pointer);
}

/// A product that is made when it is first needed, and again for other sizes. A copy makes its own.
class KeptProduct {
 public:
  KeptProduct() = default;
  ~KeptProduct() = default;
  KeptProduct(const KeptProduct& /*other*/) {}
  KeptProduct& operator=(const KeptProduct& /*other*/) { return *this; }

  /// `words` are those of the algorithm; all 0: the library's own choice.
  const Product& get(const ProductSizes& sizes, std::span<const Field, kAlgorithmWords> words) {
    if (product_ && product_->sizes() == sizes) return *product_;
    cublaslt::Algorithm algorithm;
    for (size_t i = 0; i < words.size(); ++i) {
      const uint64_t word = static_cast<uint32_t>(words[i].second);
      algorithm.data.at(i / 2) |= word << (i % 2 * 32);
    }
    const CublasLt& library = cublaslt_library();
    product_ = algorithm == cublaslt::Algorithm{}
                   ? std::make_unique<Product>(library, sizes)
                   : std::make_unique<Product>(library, sizes, algorithm);
    return *product_;
  }

 private:
  std::unique_ptr<Product> product_;
};

/// The plugin's fields: `own`, "fp8" first, then the words of the algorithms of `kProducts`.
template <size_t kProducts, size_t kOwn>
std::array<Field, kOwn + kProducts * kAlgorithmWords> product_fields(
    const std::array<const char*, kOwn>& own) {
  std::array<Field, kOwn + kProducts * kAlgorithmWords> fields{};
  for (size_t i = 0; i < kOwn; ++i) fields[i] = {own[i], 0};
  for (size_t i = kOwn; i < fields.size(); ++i) fields[i] = {kAlgorithmAttributes[i - kOwn], 0};
  return fields;
}

/// [K, N], as FP8 [N, K / 4].
inline bool is_weight(const nvinfer1::Dims& dims, bool fp8, int64_t inputs, int64_t outputs) {
  if (dims.nbDims != 2) return false;
  return fp8 ? dims.d[0] == outputs && dims.d[1] * 4 == inputs
             : dims.d[0] == inputs && dims.d[1] == outputs;
}

/// What the plugin needs to know of kNormalisedProduct.
struct NormalisedProductOperator {
  static constexpr const char* kName = kNormalisedProduct;
  static constexpr int kInputs = 6;  ///< Input, bias, weight, gain, shift, scales.
  static constexpr int kLowInputs = 3;
  static constexpr int kFirstWeight = 2;
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

  std::array<Field, 2 + kAlgorithmWords> fields =
      product_fields<1>(std::array<const char*, 2>{"fp8", "epsilon"});
  KeptProduct kept;

  [[nodiscard]] bool fp8() const { return fields[0].second != 0; }
  [[nodiscard]] bool is_valid() const { return fields[0].second == 0 || fields[0].second == 1; }
  [[nodiscard]] bool is_packed(int position) const { return fp8() && position == kFirstWeight; }
  void set_result(nvinfer1::DimsExprs& result, nvinfer1::IExprBuilder& /*builder*/,
                  const nvinfer1::DimsExprs* inputs) const {
    result.d[2] = inputs[1].d[0];
  }
  [[nodiscard]] bool fits(const Inputs& inputs) const {
    const auto& [input, bias, weight, gain, shift, scales] = inputs;
    return input.nbDims == 3 && bias.nbDims == 1 && elements(gain) == input.d[2] &&
           elements(shift) == input.d[2] && elements(scales) == 3 * kScaleValues &&
           is_weight(weight, fp8(), input.d[2], bias.d[0]) && call_for(inputs).fits();
  }
  [[nodiscard]] ProductCall call_for(const Inputs& inputs) const {
    ProductCall call;
    call.fp8 = fp8();
    call.normalised = true;
    call.epsilon = std::bit_cast<float>(static_cast<int32_t>(fields[1].second));
    call.rows = inputs[0].d[0] * inputs[0].d[1];
    call.inputs = inputs[0].d[2];
    call.outputs = inputs[1].d[0];
    return call;
  }
  [[nodiscard]] size_t scratch_bytes(const Inputs& inputs) const {
    return call_for(inputs).scratch_bytes();
  }
  void launch(DType type, const Inputs& inputs, const void* const* in, void* result,
              void* workspace, void* stream) {
    ProductCall call = call_for(inputs);
    call.type = type;
    call.input = address(in[0]);
    call.bias = address(in[1]);
    call.weight = address(in[2]);
    call.gain = address(in[3]);
    call.shift = address(in[4]);
    call.scales = address(in[5]);
    call.result = address(result);
    call.scratch = address(workspace);
    const std::span words(fields);
    sam3trt::launch(operator_kernels(), call,
                    kept.get(call.product(), words.template last<kAlgorithmWords>()), stream);
  }
};

/// The same of kResidualProduct.
struct ResidualProductOperator {
  static constexpr const char* kName = kResidualProduct;
  static constexpr int kInputs = 5;  ///< Input, residual, bias, weight, scales.
  static constexpr int kLowInputs = 4;
  static constexpr int kFirstWeight = 3;
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

  std::array<Field, 1 + kAlgorithmWords> fields =
      product_fields<1>(std::array<const char*, 1>{"fp8"});
  KeptProduct kept;

  [[nodiscard]] bool fp8() const { return fields[0].second != 0; }
  [[nodiscard]] bool is_valid() const { return fields[0].second == 0 || fields[0].second == 1; }
  [[nodiscard]] bool is_packed(int position) const { return fp8() && position == kFirstWeight; }
  void set_result(nvinfer1::DimsExprs& result, nvinfer1::IExprBuilder& /*builder*/,
                  const nvinfer1::DimsExprs* inputs) const {
    result.d[2] = inputs[2].d[0];
  }
  [[nodiscard]] bool fits(const Inputs& inputs) const {
    const auto& [input, residual, bias, weight, scales] = inputs;
    return input.nbDims == 3 && bias.nbDims == 1 && residual.nbDims == 3 &&
           residual.d[0] == input.d[0] && residual.d[1] == input.d[1] &&
           residual.d[2] == bias.d[0] && elements(scales) == 3 * kScaleValues &&
           is_weight(weight, fp8(), input.d[2], bias.d[0]) && call_for(inputs).fits();
  }
  [[nodiscard]] ProductCall call_for(const Inputs& inputs) const {
    ProductCall call;
    call.fp8 = fp8();
    call.added = true;
    call.rows = inputs[0].d[0] * inputs[0].d[1];
    call.inputs = inputs[0].d[2];
    call.outputs = inputs[2].d[0];
    return call;
  }
  [[nodiscard]] size_t scratch_bytes(const Inputs& inputs) const {
    return call_for(inputs).scratch_bytes();
  }
  void launch(DType type, const Inputs& inputs, const void* const* in, void* result,
              void* workspace, void* stream) {
    ProductCall call = call_for(inputs);
    call.type = type;
    call.input = address(in[0]);
    call.residual = address(in[1]);
    call.bias = address(in[2]);
    call.weight = address(in[3]);
    call.scales = address(in[4]);
    call.result = address(result);
    call.scratch = address(workspace);
    const std::span words(fields);
    sam3trt::launch(operator_kernels(), call,
                    kept.get(call.product(), words.template last<kAlgorithmWords>()), stream);
  }
};

/// The same of kMlp.
struct MlpOperator {
  static constexpr const char* kName = kMlp;
  static constexpr int kInputs = 8;  ///< Input, biases, weights, gain, shift, scales.
  static constexpr int kLowInputs = 5;
  static constexpr int kFirstWeight = 3;
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

  std::array<Field, 2 + 2 * kAlgorithmWords> fields =
      product_fields<2>(std::array<const char*, 2>{"fp8", "epsilon"});
  KeptProduct kept_hidden;
  KeptProduct kept;

  [[nodiscard]] bool fp8() const { return fields[0].second != 0; }
  [[nodiscard]] bool is_valid() const { return fields[0].second == 0 || fields[0].second == 1; }
  [[nodiscard]] bool is_packed(int position) const {
    return fp8() && position >= kFirstWeight && position < kLowInputs;
  }
  void set_result(nvinfer1::DimsExprs& result, nvinfer1::IExprBuilder& /*builder*/,
                  const nvinfer1::DimsExprs* inputs) const {
    result.d[2] = inputs[0].d[2];
  }
  [[nodiscard]] bool fits(const Inputs& inputs) const {
    const auto& [input, hidden_bias, bias, hidden_weight, weight, gain, shift, scales] = inputs;
    return input.nbDims == 3 && hidden_bias.nbDims == 1 && elements(bias) == input.d[2] &&
           elements(gain) == input.d[2] && elements(shift) == input.d[2] &&
           elements(scales) == 6 * kScaleValues &&
           is_weight(hidden_weight, fp8(), input.d[2], hidden_bias.d[0]) &&
           is_weight(weight, fp8(), hidden_bias.d[0], input.d[2]) && call_for(inputs).fits();
  }
  [[nodiscard]] MlpCall call_for(const Inputs& inputs) const {
    MlpCall call;
    call.fp8 = fp8();
    call.epsilon = std::bit_cast<float>(static_cast<int32_t>(fields[1].second));
    call.rows = inputs[0].d[0] * inputs[0].d[1];
    call.width = inputs[0].d[2];
    call.hidden = inputs[1].d[0];
    return call;
  }
  [[nodiscard]] size_t scratch_bytes(const Inputs& inputs) const {
    return call_for(inputs).scratch_bytes();
  }
  void launch(DType type, const Inputs& inputs, const void* const* in, void* result,
              void* workspace, void* stream) {
    MlpCall call = call_for(inputs);
    call.type = type;
    call.input = address(in[0]);
    call.hidden_bias = address(in[1]);
    call.bias = address(in[2]);
    call.hidden_weight = address(in[3]);
    call.weight = address(in[4]);
    call.gain = address(in[5]);
    call.shift = address(in[6]);
    call.scales = address(in[7]);
    call.result = address(result);
    call.scratch = address(workspace);
    const std::span words(fields);
    sam3trt::launch(
        operator_kernels(), call,
        kept_hidden.get(call.hidden_product(), words.template subspan<2, kAlgorithmWords>()),
        kept.get(call.product(), words.template last<kAlgorithmWords>()), stream);
  }
};

}  // namespace sam3trt
