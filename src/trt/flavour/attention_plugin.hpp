#pragma once

#include <NvInfer.h>

#include <array>

namespace sam3trt {

/// Makes the attention kernels (src/cuda/attention.hpp) layers of TensorRT 10 and 11, which graphs
/// name kRotaryAttention and kGridAttention (base/own_operators.hpp). One object of each per
/// flavour for the whole process.
template <int kFlavour>
[[nodiscard]] std::array<nvinfer1::IPluginCreatorV3One*, 2> attention_plugin_creators();

template <>
std::array<nvinfer1::IPluginCreatorV3One*, 2> attention_plugin_creators<SAM3TRT_FLAVOUR>();

}  // namespace sam3trt
