#pragma once

#include <cstdint>

#include "base/host_device.hpp"
#include "cuda/kernels/thread.hpp"

namespace sam3trt {

/// Blocks that share a plane; the host adds up what they find.
inline constexpr int32_t kCountParts = 16;

/// What one block finds in its part of a plane.
struct LogitCounts {
  int32_t above_high = 0;
  int32_t above_low = 0;
  int32_t broken = 0;  ///< NaN or infinite.
};

/// Counts in some of the planes of `size` values each. All pointers are addresses of the GPU.
struct CountArgs {
  const float* values = nullptr;     ///< [all planes, size]
  const uint64_t* planes = nullptr;  ///< [planes] those that are counted
  int64_t size = 0;
  float high = 0;
  float low = 0;
  LogitCounts* counts = nullptr;  ///< [planes, kCountParts]
};

/// What the threads of a block share.
struct CountSums {
  LogitCounts threads[kBlockThreads];
};

/// x is a part, y a plane; before the barrier.
SAM3TRT_HOST_DEVICE inline void count_part_body(const CountArgs& args, KernelThread at,
                                                CountSums& sums) {
  const float* plane = args.values + static_cast<int64_t>(args.planes[at.block_y]) * args.size;
  const int64_t part = (args.size + kCountParts - 1) / kCountParts;
  const int64_t begin = at.block_x * part;
  const int64_t end = begin + part < args.size ? begin + part : args.size;
  LogitCounts counts;
  for (int64_t i = begin + at.thread; i < end; i += kBlockThreads) {
    const float value = plane[i];
    counts.above_high += value > args.high ? 1 : 0;
    counts.above_low += value > args.low ? 1 : 0;
    counts.broken += value - value == 0.0F ? 0 : 1;
  }
  sums.threads[at.thread] = counts;
}

/// After the barrier.
SAM3TRT_HOST_DEVICE inline void count_sum_body(const CountArgs& args, KernelThread at,
                                               const CountSums& sums) {
  if (at.thread != 0) return;
  LogitCounts all;
  for (const LogitCounts& counts : sums.threads) {
    all.above_high += counts.above_high;
    all.above_low += counts.above_low;
    all.broken += counts.broken;
  }
  args.counts[static_cast<int64_t>(at.block_y) * kCountParts + at.block_x] = all;
}

}  // namespace sam3trt
