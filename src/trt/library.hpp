#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "trt/api.hpp"

namespace sam3trt {

/// The entry points of the libraries that are not virtual functions, loaded by name, so that the
/// program starts where they are missing.
struct TensorRtEntryPoints {
  void* (*create_builder)(void* logger, int32_t version) = nullptr;
  void* (*create_runtime)(void* logger, int32_t version) = nullptr;
  void* (*create_parser)(void* network, void* logger, int32_t version) = nullptr;
  int32_t (*library_version)() = nullptr;
  void* (*plugin_registry)() = nullptr;  ///< Null where the library has no plugins.
  std::shared_ptr<void> library;         ///< Keeps the library loaded.
  std::shared_ptr<void> parser;
};

// One per flavour whose headers the build found: flavour.cpp compiled with them.
[[nodiscard]] std::shared_ptr<TensorRtApi> make_tensorrt10(TensorRtEntryPoints entry_points);
[[nodiscard]] std::shared_ptr<TensorRtApi> make_tensorrt11(TensorRtEntryPoints entry_points);
[[nodiscard]] std::shared_ptr<TensorRtApi> make_tensorrt_rtx(TensorRtEntryPoints entry_points);

/// "10.6.0" from getInferLibVersion's number.
[[nodiscard]] std::string version_text(int32_t number);

}  // namespace sam3trt
