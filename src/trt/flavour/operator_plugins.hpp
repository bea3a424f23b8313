#pragma once

#include <NvInfer.h>

#include <array>

namespace sam3trt {

/// Makes this program's kernels (src/cuda/operators.hpp) layers of TensorRT 10 and 11, which graphs
/// name as base/own_operators.hpp says. One object of each operator per flavour for the whole
/// process.
template <int kFlavour>
[[nodiscard]] std::array<nvinfer1::IPluginCreatorV3One*, 15> operator_plugin_creators();

template <>
std::array<nvinfer1::IPluginCreatorV3One*, 15> operator_plugin_creators<SAM3TRT_FLAVOUR>();

}  // namespace sam3trt
