#pragma once

#include <cstdint>

#include "base/host_device.hpp"
#include "cuda/kernels/clean.hpp"
#include "cuda/kernels/thread.hpp"

namespace sam3trt {

/// How many pixels each of some planes of `size` logits wins: every pixel goes to the highest logit
/// above 0, the first of equals. All pointers are addresses of the GPU.
struct WonArgs {
  const float* const* planes = nullptr;  ///< [count]
  int64_t count = 0;
  int64_t size = 0;
  uint32_t* areas = nullptr;  ///< [count], 0 before
};

/// x is a pixel.
SAM3TRT_HOST_DEVICE inline void won_body(const WonArgs& args, KernelThread at) {
  const int64_t pixel = at.x();
  if (pixel >= args.size) return;
  float highest = 0.0F;
  int64_t owner = -1;
  for (int64_t i = 0; i < args.count; ++i) {
    const float value = args.planes[i][pixel];
    if (!(value > highest)) continue;
    highest = value;
    owner = i;
  }
  if (owner >= 0) add_to(args.areas + owner, 1);
}

/// Logits of planes become at most `most`. All pointers are addresses of the GPU.
struct LowerArgs {
  float* const* planes = nullptr;  ///< [planes]
  int64_t size = 0;
  float most = 0;
};

/// x is a pixel, y a plane.
SAM3TRT_HOST_DEVICE inline void lower_body(const LowerArgs& args, KernelThread at) {
  const int64_t pixel = at.x();
  if (pixel >= args.size) return;
  float& value = args.planes[at.block_y][pixel];
  if (value > args.most) value = args.most;
}

}  // namespace sam3trt
