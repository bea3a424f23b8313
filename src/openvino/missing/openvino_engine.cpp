// In place of openvino_engine.cpp in a build with SAM3TRT_OPENVINO=OFF.
#include "openvino/openvino_engine.hpp"

#include "base/error.hpp"

namespace sam3trt {

bool has_openvino() { return false; }

void require_openvino(const std::string& purpose) {
  throw Error(ErrorCode::kUnavailable,
              purpose +
                  " needs OpenVINO, and this sam3trt was built without OpenVINO; use a build "
                  "that has it (cmake -DSAM3TRT_OPENVINO=ON)");
}

std::unique_ptr<Engine> load_openvino_engine(const std::filesystem::path& onnx_path,
                                             const OpenVinoOptions& /*options*/) {
  require_openvino(onnx_path.string() + ": running a graph on the CPU");
  return nullptr;
}

std::string openvino_version() { return ""; }

std::string openvino_identity() { return ""; }

}  // namespace sam3trt
