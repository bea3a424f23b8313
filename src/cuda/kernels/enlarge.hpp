#pragma once

#include <cstdint>

#include "base/host_device.hpp"
#include "cuda/kernels/thread.hpp"
#include "image/resize_taps.hpp"

namespace sam3trt {

/// Square planes of floats to larger ones, bit for bit as resize_planes does it: where asked for
/// through another side first, then bilinear with antialias, which in this direction looks at
/// neighbours only. All pointers are addresses of the GPU.
struct EnlargeArgs {
  const float* source = nullptr;  ///< planes of from * from
  float* target = nullptr;        ///< planes of to * to
  int32_t planes = 0;
  int32_t from = 0;
  int32_t through = 0;  ///< 0: straight
  int32_t to = 0;       ///< At least `through`, or `from` where that is 0.

  [[nodiscard]] SAM3TRT_HOST_DEVICE int32_t last() const { return through > 0 ? through : from; }
};

/// Rows of a plane that a thread makes.
inline constexpr int64_t kEnlargedRows = 8;

/// Of an output in one direction, where inputs are not fewer than outputs.
inline constexpr int64_t kEnlargeTaps = 3;

/// A line's share of a plane: what an output is made of.
struct EnlargeTaps {
  int64_t first = 0;
  int64_t size = 0;
  float weights[kEnlargeTaps] = {};
  BilinearTap before[kEnlargeTaps];  ///< What each of them is made of; where there is a `through`.
};

SAM3TRT_HOST_DEVICE inline EnlargeTaps enlarge_taps(const EnlargeArgs& args, int64_t index) {
  EnlargeTaps taps;
  const float scale = static_cast<float>(args.last()) / static_cast<float>(args.to);
  taps.size = float_taps(scale, index, args.last(), kEnlargeTaps, taps.first, taps.weights);
  if (args.through == 0) return taps;
  const float before = static_cast<float>(args.from) / static_cast<float>(args.through);
  SAM3TRT_UNROLL
  for (int64_t i = 0; i < kEnlargeTaps; ++i) {
    if (i >= taps.size) break;
    taps.before[i] = bilinear_tap(before, taps.first + i, args.from);
  }
  return taps;
}

/// What the last step finds at these taps.
SAM3TRT_HOST_DEVICE inline float enlarge_input(const EnlargeArgs& args, const float* plane,
                                               const EnlargeTaps& rows, int64_t row,
                                               const EnlargeTaps& columns, int64_t column) {
  if (args.through == 0) {
    return plane[(rows.first + row) * args.from + columns.first + column];
  }
  const BilinearTap& x = columns.before[column];
  const BilinearTap& y = rows.before[row];
  const float* low = plane + y.low * args.from;
  const float* high = plane + y.high * args.from;
  return y.weight_low * (x.weight_low * low[x.low] + x.weight_high * low[x.high]) +
         y.weight_high * (x.weight_low * high[x.low] + x.weight_high * high[x.high]);
}

/// x is a column, y goes through the rows, z is a plane.
SAM3TRT_HOST_DEVICE inline void enlarge_body(const EnlargeArgs& args, KernelThread at) {
  const int64_t x = at.x();
  if (x >= args.to) return;
  const float* plane = args.source + static_cast<int64_t>(at.block_z) * args.from * args.from;
  float* target = args.target + static_cast<int64_t>(at.block_z) * args.to * args.to;
  const EnlargeTaps columns = enlarge_taps(args, x);
  for (int64_t y = at.block_y; y < args.to; y += at.blocks_y) {
    const EnlargeTaps rows = enlarge_taps(args, y);
    float sum = 0;
    SAM3TRT_UNROLL
    for (int64_t row = 0; row < kEnlargeTaps; ++row) {
      if (row >= rows.size) break;
      float narrow = 0;
      SAM3TRT_UNROLL
      for (int64_t column = 0; column < kEnlargeTaps; ++column) {
        if (column >= columns.size) break;
        const float value = enlarge_input(args, plane, rows, row, columns, column);
        const float weight = columns.weights[column];
        narrow = column == 0 ? value * weight
                             : add_tap(narrow, value, weight, is_fused_tap(column, columns.size));
      }
      sum = add_tap(sum, narrow, rows.weights[row], is_fused_tap(row, rows.size));
    }
    target[y * args.to + x] = sum;
  }
}

}  // namespace sam3trt
