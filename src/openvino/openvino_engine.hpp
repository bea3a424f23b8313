#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>

#include "base/engine.hpp"

namespace sam3trt {

/// How graphs run on the CPU.
struct OpenVinoOptions {
  int threads = 0;  ///< 0: as many as OpenVINO thinks best.
  /// Ends a run that is under way, which then throws StoppedError. Compiling is not interrupted.
  std::stop_token stop{};
};

/// Compiles an ONNX graph for the CPU. Computation is float32 throughout, whatever the processor
/// could do faster. Throws Error(kBadInput) naming the file when OpenVINO refuses it.
[[nodiscard]] std::unique_ptr<Engine> load_openvino_engine(const std::filesystem::path& onnx_path,
                                                           const OpenVinoOptions& options = {});

/// Version of the OpenVINO library in use; empty without it.
[[nodiscard]] std::string openvino_version();

/// What results depend on to their last bit, beside the graph: OpenVINO's version and how it is set
/// up here; empty without it.
[[nodiscard]] std::string openvino_identity();

/// Whether this build has OpenVINO (SAM3TRT_OPENVINO). Without it load_openvino_engine always
/// throws Error(kUnavailable).
[[nodiscard]] bool has_openvino();

/// Throws Error(kUnavailable) that begins with `purpose` when this build has no OpenVINO: before
/// work that would be lost.
void require_openvino(const std::string& purpose);

}  // namespace sam3trt
