#pragma once

#include <array>
#include <cstdint>

#include "base/own_operators.hpp"
#include "cuda/operators.hpp"
#include "trt/flavour/product_operators.hpp"

namespace sam3trt {

/// What the plugin needs to know of kResidualNorm.
struct ResidualNormOperator {
  static constexpr const char* kName = kResidualNorm;
  static constexpr int kInputs = 4;  ///< What is added, residual, gain, shift.
  static constexpr int kLowInputs = 1;
  static constexpr int kOutputs = 2;  ///< The normalised sum; the sum, float32.
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

  std::array<Field, 1> fields = {{{"epsilon", -1}}};

  [[nodiscard]] float epsilon() const { return float_of(fields[0]); }
  [[nodiscard]] bool is_valid() const { return epsilon() >= 0; }
  static void set_result(nvinfer1::DimsExprs& result, nvinfer1::IExprBuilder& /*builder*/,
                         const nvinfer1::DimsExprs* inputs) {
    result.d[2] = inputs[0].d[2];
  }
  [[nodiscard]] bool fits(const Inputs& inputs) const {
    const auto& [added, residual, gain, shift] = inputs;
    return added.nbDims == 3 && residual.nbDims == 3 && added.d[0] == residual.d[0] &&
           added.d[1] == residual.d[1] && added.d[2] == residual.d[2] &&
           elements(gain) == added.d[2] && elements(shift) == added.d[2] && call_for(inputs).fits();
  }
  [[nodiscard]] ResidualNorm call_for(const Inputs& inputs) const {
    ResidualNorm call;
    call.epsilon = epsilon();
    call.rows = inputs[0].d[0] * inputs[0].d[1];
    call.columns = inputs[0].d[2];
    return call;
  }
  [[nodiscard]] static size_t scratch_bytes(const Inputs& /*inputs*/) { return 0; }
  void launch(DType type, const Inputs& inputs, const void* const* in, void* const* out,
              void* /*workspace*/, cudaStream_t stream) const {
    ResidualNorm call = call_for(inputs);
    call.type = type;
    call.added = address(in[0]);
    call.residual = address(in[1]);
    call.gain = address(in[2]);
    call.shift = address(in[3]);
    call.result = address(out[0]);
    call.sum = address(out[1]);
    operator_kernels().launch(call, stream);
  }
};

}  // namespace sam3trt
