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

/// The float32 whose bits an attribute has.
inline float float_of(const Field& field) {
  return std::bit_cast<float>(static_cast<int32_t>(field.second));
}

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

/// What the plugins of products have in common. Fields: "fp8" and, where the input is normalised,
/// "epsilon", then the words of the algorithms of `kProducts`. Low inputs from `kFirstWeight` on
/// are weights.
template <size_t kProducts, bool kNormalised, int kFirstWeight, int kLow>
struct ProductOperator {
  static constexpr int kLowInputs = kLow;
  static constexpr size_t kOwnFields = kNormalised ? 2 : 1;
  static constexpr size_t kFields = kOwnFields + kProducts * kAlgorithmWords;

  std::array<Field, kFields> fields = make_fields();

  [[nodiscard]] bool fp8() const { return fields[0].second != 0; }
  [[nodiscard]] float epsilon() const requires kNormalised { return float_of(fields[1]); }
  [[nodiscard]] bool is_valid() const { return fields[0].second == 0 || fields[0].second == 1; }
  [[nodiscard]] bool is_packed(int position) const {
    return fp8() && position >= kFirstWeight && position < kLowInputs;
  }

 protected:
  /// Product `number`, made for these sizes with the algorithm of the fields.
  const Product& product(size_t number, const ProductSizes& sizes) {
    const std::span words(fields);
    return kept_.at(number).get(
        sizes,
        words.subspan(kOwnFields + number * kAlgorithmWords).template first<kAlgorithmWords>());
  }

 private:
  static std::array<Field, kFields> make_fields() {
    std::array<Field, kFields> made{};
    made[0] = {"fp8", 0};
    if constexpr (kNormalised) made[1] = {"epsilon", 0};
    for (size_t i = kOwnFields; i < kFields; ++i)
      made[i] = {kAlgorithmAttributes[i - kOwnFields], 0};
    return made;
  }

  std::array<KeptProduct, kProducts> kept_;
};

/// [K, N], as FP8 [N, K / 4].
inline bool is_weight(const nvinfer1::Dims& dims, bool fp8, int64_t inputs, int64_t outputs) {
  if (dims.nbDims != 2) return false;
  return fp8 ? dims.d[0] == outputs && dims.d[1] * 4 == inputs
             : dims.d[0] == inputs && dims.d[1] == outputs;
}

/// What the plugin needs to know of kNormalisedProduct.
struct NormalisedProductOperator : ProductOperator<1, true, 2, 3> {
  static constexpr const char* kName = kNormalisedProduct;
  static constexpr int kInputs = 6;  ///< Input, bias, weight, gain, shift, scales.
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

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
    call.epsilon = epsilon();
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
    sam3trt::launch(operator_kernels(), call, product(0, call.product()), stream);
  }
};

/// The same of kResidualProduct.
struct ResidualProductOperator : ProductOperator<1, false, 3, 4> {
  static constexpr const char* kName = kResidualProduct;
  static constexpr int kInputs = 5;  ///< Input, residual, bias, weight, scales.
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

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
    sam3trt::launch(operator_kernels(), call, product(0, call.product()), stream);
  }
};

/// The same of kMlp.
struct MlpOperator : ProductOperator<2, true, 3, 5> {
  static constexpr const char* kName = kMlp;
  static constexpr int kInputs = 8;  ///< Input, biases, weights, gain, shift, scales.
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

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
    call.epsilon = epsilon();
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
    sam3trt::launch(operator_kernels(), call, product(0, call.hidden_product()),
                    product(1, call.product()), stream);
  }
};

}  // namespace sam3trt
