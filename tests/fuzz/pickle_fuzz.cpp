// Arbitrary bytes as the pickle of a state dict.

#include <cstdint>
#include <cstdlib>

#include "base/error.hpp"
#include "checkpoint/pickle.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    for (const auto& tensor :
         sam3trt::unpickle_state_dict({reinterpret_cast<const std::byte*>(data), size}, "input")) {
      if (tensor.shape.size() != tensor.strides.size() || tensor.item_size == 0) std::abort();
    }
  } catch (const sam3trt::Error&) {
  }
  return 0;
}
