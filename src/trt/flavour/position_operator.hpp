#pragma once

#include <array>
#include <cstdint>

#include "base/own_operators.hpp"
#include "cuda/operators.hpp"
#include "trt/flavour/product_operators.hpp"

namespace sam3trt {

/// What the plugin needs to know of kQueryPosition.
struct PositionOperator {
  static constexpr const char* kName = kQueryPosition;
  static constexpr int kInputs = 6;  ///< Boxes, frequencies, four weights.
  static constexpr int kLowInputs = 0;
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

  std::array<Field, 1> fields = {{{"unboxed", -1}}};

  [[nodiscard]] int64_t unboxed() const { return fields[0].second; }
  [[nodiscard]] bool is_valid() const { return unboxed() >= 0 && unboxed() < 1 << 16; }
  void set_result(nvinfer1::DimsExprs& result, nvinfer1::IExprBuilder& builder,
                  const nvinfer1::DimsExprs* inputs) const {
    result.d[1] = builder.operation(nvinfer1::DimensionOperation::kSUM, *inputs[0].d[1],
                                    *builder.constant(unboxed()));
    result.d[2] = inputs[kInputs - 1].d[0];
  }
  [[nodiscard]] bool fits(const Inputs& inputs) const {
    const auto& [boxes, frequencies, hidden_weight, hidden_bias, weight, bias] = inputs;
    const QueryPosition call = call_for(inputs);
    return boxes.nbDims == 3 && boxes.d[2] == 4 && bias.nbDims == 1 && call.fits() &&
           elements(hidden_weight) == 8 * call.frequency_count * call.hidden &&
           elements(weight) == call.hidden * call.width;
  }
  [[nodiscard]] QueryPosition call_for(const Inputs& inputs) const {
    QueryPosition call;
    call.prompts = inputs[0].d[0];
    call.queries = inputs[0].d[1] + unboxed();
    call.unboxed = unboxed();
    call.frequency_count = elements(inputs[1]);
    call.hidden = elements(inputs[3]);
    call.width = elements(inputs[5]);
    return call;
  }
  [[nodiscard]] static size_t scratch_bytes(const Inputs& /*inputs*/) { return 0; }
  void launch(DType /*type*/, const Inputs& inputs, const void* const* in, void* result,
              void* /*workspace*/, cudaStream_t stream) const {
    QueryPosition call = call_for(inputs);
    call.boxes = address(in[0]);
    call.frequencies = address(in[1]);
    call.hidden_weight = address(in[2]);
    call.hidden_bias = address(in[3]);
    call.weight = address(in[4]);
    call.bias = address(in[5]);
    call.result = address(result);
    operator_kernels().launch(call, stream);
  }
};

}  // namespace sam3trt
