// Arbitrary bytes as a torch zip file. Whatever parses must lie inside the input.

#include <cstdint>
#include <cstdlib>

#include "base/error.hpp"
#include "checkpoint/torch_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    for (const auto& tensor : sam3trt::parse_torch_file(bytes, "input")) {
      if (tensor.bytes.empty()) continue;
      if (tensor.bytes.data() < bytes.data()) std::abort();
      if (tensor.bytes.data() + tensor.bytes.size() > bytes.data() + size) std::abort();
      if (tensor.strides.empty()) {
        if (tensor.bytes.size() != tensor.element_bytes) std::abort();
      } else if (tensor.dtype) {
        const auto dense = sam3trt::make_dense(tensor, "input");
        if (dense.size() != tensor.element_bytes || dense.size() > size) std::abort();
      }
    }
  } catch (const sam3trt::Error&) {
  }
  return 0;
}
