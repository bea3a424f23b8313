#pragma once

#include <array>
#include <cstdint>

#include "base/own_operators.hpp"
#include "cuda/operators.hpp"
#include "trt/flavour/product_operators.hpp"

namespace sam3trt {

/// What the plugin needs to know of kGatheredNorm.
struct GatheredNormOperator {
  static constexpr const char* kName = kGatheredNorm;
  static constexpr int kInputs = 4;  ///< Rows, index, gain, shift.
  static constexpr int kLowInputs = 1;
  static constexpr int kOutputs = 2;  ///< The normalised rows; the rows.
  static constexpr int kLowOutputs = 2;
  static constexpr int kIndexInput = 1;
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

  std::array<Field, 1> fields = {{{"epsilon", -1}}};

  [[nodiscard]] float epsilon() const { return float_of(fields[0]); }
  [[nodiscard]] bool is_valid() const { return epsilon() >= 0; }
  static void set_result(nvinfer1::DimsExprs& result, nvinfer1::IExprBuilder& /*builder*/,
                         const nvinfer1::DimsExprs* inputs) {
    result.nbDims = 3;
    result.d[0] = inputs[kIndexInput].d[0];
    result.d[1] = inputs[0].d[1];
    result.d[2] = inputs[0].d[2];
  }
  [[nodiscard]] bool fits(const Inputs& inputs) const {
    const auto& [input, index, gain, shift] = inputs;
    return input.nbDims == 3 && index.nbDims == 1 && elements(gain) == input.d[2] &&
           elements(shift) == input.d[2] && call_for(inputs).fits();
  }
  [[nodiscard]] GatheredNorm call_for(const Inputs& inputs) const {
    GatheredNorm call;
    call.epsilon = epsilon();
    call.blocks = inputs[0].d[0];
    call.block = inputs[0].d[1];
    call.columns = inputs[0].d[2];
    call.indices = inputs[kIndexInput].d[0];
    return call;
  }
  [[nodiscard]] static size_t scratch_bytes(const Inputs& /*inputs*/) { return 0; }
  void launch(DType type, const Inputs& inputs, const void* const* in, void* const* out,
              void* /*workspace*/, cudaStream_t stream) const {
    GatheredNorm call = call_for(inputs);
    call.type = type;
    call.input = address(in[0]);
    call.index = address(in[1]);
    call.gain = address(in[2]);
    call.shift = address(in[3]);
    call.result = address(out[0]);
    call.gathered = address(out[1]);
    operator_kernels().launch(call, stream);
  }
};

/// The same of kUpsampledSum, whose result a convolution takes with its channels side by side.
struct UpsampledSumOperator {
  static constexpr const char* kName = kUpsampledSum;
  static constexpr int kInputs = 3;  ///< Coarse map, levels, index.
  static constexpr int kLowInputs = 2;
  static constexpr int kIndexInput = 2;
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

  std::array<Field, 1> fields = {{{"unused", 0}}};

  [[nodiscard]] static bool is_valid() { return true; }
  [[nodiscard]] static bool has_channels_last(int position) { return position == kInputs; }
  static void set_result(nvinfer1::DimsExprs& result, nvinfer1::IExprBuilder& /*builder*/,
                         const nvinfer1::DimsExprs* inputs) {
    result = inputs[1];
    result.d[0] = inputs[0].d[0];
  }
  [[nodiscard]] static bool fits(const Inputs& inputs) {
    const auto& [coarse, level, index] = inputs;
    return coarse.nbDims == 3 && level.nbDims == 4 && index.nbDims == 1 &&
           index.d[0] == coarse.d[0] && coarse.d[2] == level.d[1] &&
           4 * coarse.d[1] == level.d[2] * level.d[3] && call_for(inputs).fits();
  }
  [[nodiscard]] static UpsampledSum call_for(const Inputs& inputs) {
    UpsampledSum call;
    call.rows = inputs[0].d[0];
    call.images = inputs[1].d[0];
    call.channels = inputs[1].d[1];
    call.height = inputs[1].d[2];
    call.width = inputs[1].d[3];
    return call;
  }
  [[nodiscard]] static size_t scratch_bytes(const Inputs& /*inputs*/) { return 0; }
  static void launch(DType type, const Inputs& inputs, const void* const* in, void* result,
                     void* /*workspace*/, cudaStream_t stream) {
    UpsampledSum call = call_for(inputs);
    call.type = type;
    call.coarse = address(in[0]);
    call.level = address(in[1]);
    call.index = address(in[2]);
    call.result = address(result);
    operator_kernels().launch(call, stream);
  }
};

/// The same of kGroupNorm, whose input a convolution gives with its channels side by side.
struct GroupNormOperator {
  static constexpr const char* kName = kGroupNorm;
  static constexpr int kInputs = 3;  ///< Map, gain, shift.
  static constexpr int kLowInputs = 1;
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

  std::array<Field, 2> fields = {{{"epsilon", -1}, {"groups", 0}}};

  [[nodiscard]] float epsilon() const { return float_of(fields[0]); }
  [[nodiscard]] int64_t groups() const { return fields[1].second; }
  [[nodiscard]] bool is_valid() const {
    return epsilon() >= 0 && groups() > 0 && groups() <= kMostNormGroups;
  }
  static constexpr int kInputDims = 4;

  [[nodiscard]] static bool has_channels_last(int position) { return position == 0; }
  static void set_result(nvinfer1::DimsExprs& result, nvinfer1::IExprBuilder& builder,
                         const nvinfer1::DimsExprs* inputs) {
    const nvinfer1::DimsExprs& map = inputs[0];
    result.nbDims = 3;
    result.d[0] = map.d[0];
    result.d[1] = builder.operation(nvinfer1::DimensionOperation::kPROD, *map.d[2], *map.d[3]);
    result.d[2] = map.d[1];
  }
  [[nodiscard]] bool fits(const Inputs& inputs) const {
    const auto& [map, gain, shift] = inputs;
    return map.nbDims == 4 && elements(gain) == map.d[1] && elements(shift) == map.d[1] &&
           call_for(inputs).fits();
  }
  [[nodiscard]] GroupNorm call_for(const Inputs& inputs) const {
    GroupNorm call;
    call.epsilon = epsilon();
    call.rows = inputs[0].d[0];
    call.channels = inputs[0].d[1];
    call.pixels = inputs[0].d[2] * inputs[0].d[3];
    call.groups = groups();
    return call;
  }
  [[nodiscard]] size_t scratch_bytes(const Inputs& inputs) const {
    return call_for(inputs).scratch_bytes();
  }
  void launch(DType type, const Inputs& inputs, const void* const* in, void* result,
              void* workspace, cudaStream_t stream) const {
    GroupNorm call = call_for(inputs);
    call.type = type;
    call.input = address(in[0]);
    call.gain = address(in[1]);
    call.shift = address(in[2]);
    call.result = address(result);
    call.scratch = address(workspace);
    operator_kernels().launch(call, stream);
  }
};

/// The same of kPatches.
struct PatchesOperator {
  static constexpr const char* kName = kPatches;
  static constexpr int kInputs = 1;
  static constexpr int kLowInputs = 0;
  static constexpr int kInputDims = 4;
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

  std::array<Field, 3> fields = {{{"patch", 0}, {"window", 0}, {"bf16", 0}}};

  [[nodiscard]] int64_t patch() const { return fields[0].second; }
  [[nodiscard]] int64_t window() const { return fields[1].second; }
  [[nodiscard]] bool bf16() const { return fields[2].second != 0; }
  [[nodiscard]] bool is_valid() const {
    return patch() > 0 && patch() <= kMostPatch && window() > 0 && window() < 1 << 16;
  }
  [[nodiscard]] nvinfer1::DataType result_type() const {
    return bf16() ? nvinfer1::DataType::kBF16 : nvinfer1::DataType::kHALF;
  }
  void set_result(nvinfer1::DimsExprs& result, nvinfer1::IExprBuilder& builder,
                  const nvinfer1::DimsExprs* inputs) const {
    using nvinfer1::DimensionOperation;
    const auto* side = builder.operation(DimensionOperation::kFLOOR_DIV, *inputs[0].d[2],
                                         *builder.constant(patch()));
    const auto* values = builder.operation(DimensionOperation::kPROD, *inputs[0].d[1],
                                           *builder.constant(patch() * patch()));
    const auto* chunks =
        builder.operation(DimensionOperation::kCEIL_DIV, *values, *builder.constant(kPatchColumns));
    result.d[1] = builder.operation(DimensionOperation::kPROD, *side, *side);
    result.d[2] =
        builder.operation(DimensionOperation::kPROD, *chunks, *builder.constant(kPatchColumns));
  }
  [[nodiscard]] bool fits(const Inputs& inputs) const {
    const auto& [pixels] = inputs;
    return pixels.nbDims == kInputDims && pixels.d[2] == pixels.d[3] &&
           pixels.d[2] % patch() == 0 && call_for(inputs).fits();
  }
  [[nodiscard]] Patches call_for(const Inputs& inputs) const {
    Patches call;
    call.type = bf16() ? DType::kBF16 : DType::kF16;
    call.images = inputs[0].d[0];
    call.channels = inputs[0].d[1];
    call.patch = patch();
    call.grid = inputs[0].d[2] / patch();
    call.window = window();
    return call;
  }
  [[nodiscard]] static size_t scratch_bytes(const Inputs& /*inputs*/) { return 0; }
  void launch(DType /*type*/, const Inputs& inputs, const void* const* in, void* result,
              void* /*workspace*/, cudaStream_t stream) const {
    Patches call = call_for(inputs);
    call.pixels = address(in[0]);
    call.result = address(result);
    operator_kernels().launch(call, stream);
  }
};

/// The same of kWindowMap, whose map convolutions take with its channels side by side.
struct WindowMapOperator {
  static constexpr const char* kName = kWindowMap;
  static constexpr int kInputs = 1;
  static constexpr int kLowInputs = 1;
  static constexpr int kOutputs = 2;  ///< The map; the rows.
  static constexpr int kLowOutputs = 2;
  using Inputs = std::array<nvinfer1::Dims, kInputs>;

  std::array<Field, 2> fields = {{{"grid", 0}, {"window", 0}}};

  [[nodiscard]] int64_t grid() const { return fields[0].second; }
  [[nodiscard]] int64_t window() const { return fields[1].second; }
  [[nodiscard]] bool is_valid() const {
    return grid() > 0 && grid() < 1 << 16 && window() > 0 && grid() % window() == 0;
  }
  [[nodiscard]] static bool has_channels_last(int position) { return position == kInputs; }
  void set_results(nvinfer1::DimsExprs* results, nvinfer1::IExprBuilder& builder,
                   const nvinfer1::DimsExprs* inputs) const {
    results[0].nbDims = 4;
    results[0].d[0] = inputs[0].d[0];
    results[0].d[1] = inputs[0].d[2];
    results[0].d[2] = results[0].d[3] = builder.constant(grid());
    results[1] = inputs[0];
  }
  [[nodiscard]] bool fits(const Inputs& inputs) const {
    const auto& [tokens] = inputs;
    return tokens.nbDims == 3 && tokens.d[1] == grid() * grid() && call_for(inputs).fits();
  }
  [[nodiscard]] WindowMap call_for(const Inputs& inputs) const {
    WindowMap call;
    call.images = inputs[0].d[0];
    call.grid = grid();
    call.window = window();
    call.columns = inputs[0].d[2];
    return call;
  }
  [[nodiscard]] static size_t scratch_bytes(const Inputs& /*inputs*/) { return 0; }
  void launch(DType /*type*/, const Inputs& inputs, const void* const* in, void* const* out,
              void* /*workspace*/, cudaStream_t stream) const {
    WindowMap call = call_for(inputs);
    call.input = address(in[0]);
    call.map = address(out[0]);
    call.rows = address(out[1]);
    operator_kernels().launch(call, stream);
  }
};

}  // namespace sam3trt
