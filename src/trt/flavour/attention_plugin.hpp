#pragma once

#include <NvInfer.h>

namespace sam3trt {

/// Makes the attention kernel (src/cuda/attention.hpp) a layer of TensorRT 10 and 11, which graphs
/// name kRotaryAttention (base/own_operators.hpp). One object per flavour for the whole process.
template <int kFlavour>
[[nodiscard]] nvinfer1::IPluginCreatorV3One& attention_plugin_creator();

template <>
nvinfer1::IPluginCreatorV3One& attention_plugin_creator<SAM3TRT_FLAVOUR>();

}  // namespace sam3trt
