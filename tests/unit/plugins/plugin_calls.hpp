#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "trt/flavour/operator_plugins.hpp"

namespace sam3trt {

inline nvinfer1::PluginTensorDesc tensor_of(const std::vector<int64_t>& sizes,
                                            nvinfer1::DataType type) {
  nvinfer1::PluginTensorDesc tensor{};
  tensor.dims.nbDims = static_cast<int32_t>(sizes.size());
  std::copy(sizes.begin(), sizes.end(), tensor.dims.d);
  tensor.type = type;
  tensor.format = nvinfer1::TensorFormat::kLINEAR;
  return tensor;
}

/// The same tensors as TensorRT describes them while it builds, all in one size.
inline std::vector<nvinfer1::DynamicPluginTensorDesc> dynamic(
    const std::vector<nvinfer1::PluginTensorDesc>& tensors) {
  std::vector<nvinfer1::DynamicPluginTensorDesc> all;
  for (const nvinfer1::PluginTensorDesc& each : tensors) {
    all.push_back({each, each.dims, each.dims, each.dims});
  }
  return all;
}

inline nvinfer1::IPluginV3OneBuild* build(nvinfer1::IPluginV3& plugin) {
  return static_cast<nvinfer1::IPluginV3OneBuild*>(
      plugin.getCapabilityInterface(nvinfer1::PluginCapabilityType::kBUILD));
}

inline nvinfer1::IPluginV3OneRuntime* runtime(nvinfer1::IPluginV3& plugin) {
  return static_cast<nvinfer1::IPluginV3OneRuntime*>(
      plugin.getCapabilityInterface(nvinfer1::PluginCapabilityType::kRUNTIME));
}

}  // namespace sam3trt
