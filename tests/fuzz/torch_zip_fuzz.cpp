// Arbitrary bytes as a torch zip file. Whatever parses must lie inside the input, and sizes taken
// from the shapes must be usable.

#include <cstdint>
#include <cstdlib>

#include "base/error.hpp"
#include "checkpoint/config_json.hpp"
#include "checkpoint/config_shapes.hpp"
#include "checkpoint/plan.hpp"
#include "checkpoint/torch_file.hpp"
#include "checkpoint/wrapped_names.hpp"

namespace {

void check_dense(const sam3trt::StoredTensor& tensor, size_t size) {
  try {
    const auto dense = sam3trt::make_dense(tensor, "input");
    if (dense.size() != tensor.element_bytes || dense.size() > size) std::abort();
  } catch (const sam3trt::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const auto tensors = sam3trt::parse_torch_file(bytes, "input");
    for (const auto& tensor : tensors) {
      if (tensor.bytes.empty()) continue;
      if (tensor.bytes.data() < bytes.data()) std::abort();
      if (tensor.bytes.data() + tensor.bytes.size() > bytes.data() + size) std::abort();
      if (tensor.strides.empty()) {
        if (tensor.bytes.size() != tensor.element_bytes) std::abort();
      } else if (tensor.dtype) {
        check_dense(tensor, size);
      }
    }
    const auto naming = sam3trt::detect_naming(tensors, "input");
    if (sam3trt::unwrap_names(tensors, naming).names.size() != tensors.size()) std::abort();
    const sam3trt::Sam3Config config = sam3trt::infer_meta_config(tensors, "input");
    if (!sam3trt::config_problems(config).empty()) std::abort();
  } catch (const sam3trt::Error&) {
  }
  return 0;
}
