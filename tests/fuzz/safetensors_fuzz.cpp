// Arbitrary bytes as a safetensors file. Whatever parses must lie inside the input.

#include <cstdint>
#include <cstdlib>

#include "base/error.hpp"
#include "checkpoint/plan.hpp"
#include "checkpoint/safetensors.hpp"
#include "checkpoint/wrapped_names.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const auto tensors = sam3trt::parse_safetensors(bytes, "input");
    for (const auto& tensor : tensors) {
      if (tensor.bytes.size() != tensor.element_bytes) std::abort();
      if (tensor.bytes.empty()) continue;
      if (tensor.bytes.data() < bytes.data()) std::abort();
      if (tensor.bytes.data() + tensor.bytes.size() > bytes.data() + size) std::abort();
    }
    const auto naming = sam3trt::detect_naming(tensors, "input");
    const auto model = sam3trt::unwrap_names(tensors, naming);
    if (model.names.size() != tensors.size() || model.other_copy.size() != tensors.size()) {
      std::abort();
    }
  } catch (const sam3trt::Error&) {
  }
  try {
    static_cast<void>(sam3trt::parse_shard_index(bytes, "input"));
  } catch (const sam3trt::Error&) {
  }
  return 0;
}
