#pragma once

#include <cstdint>

namespace sam3trt {

/// What one thread reads or writes at once, at a multiple of as many bytes.
struct alignas(16) SixteenBytes {
  uint32_t words[4];
};
struct alignas(8) EightBytes {
  uint32_t words[2];
};
struct alignas(16) FourFloats {
  float values[4];
};

}  // namespace sam3trt
