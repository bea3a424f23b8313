#pragma once

#include <cstdint>

#include "base/host_device.hpp"
#include "cuda/kernels/thread.hpp"

namespace sam3trt {

/// Which values of planes of `size` each are above 0, as bits: bit i % 64 of a plane's word i / 64.
/// All pointers are addresses of the GPU.
struct AboveArgs {
  const float* const* planes = nullptr;  ///< [planes]
  int64_t size = 0;
  uint64_t* words = nullptr;  ///< [planes, above_words(size)]
  int32_t* broken = nullptr;  ///< [planes], 0 before: becomes 1 for one with NaN or infinity
};

[[nodiscard]] SAM3TRT_HOST_DEVICE inline int64_t above_words(int64_t size) {
  return (size + 63) / 64;
}

/// x is a word, y a plane.
SAM3TRT_HOST_DEVICE inline void above_body(const AboveArgs& args, KernelThread at) {
  const int64_t word = at.x();
  const int64_t words = above_words(args.size);
  if (word >= words) return;
  const float* plane = args.planes[at.block_y];
  const int64_t begin = word * 64;
  const int64_t end = begin + 64 < args.size ? begin + 64 : args.size;
  uint64_t bits = 0;
  bool broken = false;
  for (int64_t i = begin; i < end; ++i) {
    const float value = plane[i];
    bits |= static_cast<uint64_t>(value > 0.0F ? 1 : 0) << (i - begin);
    broken = broken || value - value != 0.0F;
  }
  args.words[static_cast<int64_t>(at.block_y) * words + word] = bits;
  if (broken) args.broken[at.block_y] = 1;
}

}  // namespace sam3trt
