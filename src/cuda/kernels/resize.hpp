#pragma once

#include <cstdint>

#include "base/host_device.hpp"
#include "cuda/kernels/thread.hpp"
#include "image/resize_taps.hpp"

namespace sam3trt {

/// ResizeTaps of one axis in the GPU's memory.
struct ResizeAxis {
  const int32_t* first = nullptr;
  const int32_t* size = nullptr;
  const int32_t* weights = nullptr;  ///< Output i's begin at i * stride.
  int32_t stride = 0;
  int32_t precision = 0;
};

/// One picture to the model's input, bit for bit as resize_antialias and to_pixel_values do it. All
/// pointers are addresses of the GPU.
struct ResizeArgs {
  const uint8_t* source = nullptr;  ///< in_height x in_width x 3, RGB
  uint8_t* scratch = nullptr;       ///< in_height x out_width x 3
  const void* table = nullptr;      ///< 3 x 256 entries of the target's type (make_pixel_table)
  void* target = nullptr;           ///< 3 x out_height x out_width, float or half
  bool half = false;
  int32_t in_width = 0;
  int32_t in_height = 0;
  int32_t out_width = 0;
  int32_t out_height = 0;
  ResizeAxis columns;  ///< in_width to out_width
  ResizeAxis rows;     ///< in_height to out_height
};

/// Sums the taps of output `index`; input i is the three bytes at source + i * step.
SAM3TRT_HOST_DEVICE inline void resize_pixel(const ResizeAxis& axis, int64_t index,
                                             const uint8_t* source, int64_t step,
                                             uint8_t result[3]) {
  const int32_t half = int32_t{1} << (axis.precision - 1);
  int32_t sums[3] = {half, half, half};
  const int32_t* weights = axis.weights + index * axis.stride;
  const uint8_t* from = source + axis.first[index] * step;
  for (int32_t tap = 0; tap < axis.size[index]; ++tap, from += step) {
    for (int c = 0; c < 3; ++c) sums[c] += from[c] * weights[tap];
  }
  for (int c = 0; c < 3; ++c) result[c] = tap_sum_to_byte(sums[c], axis.precision);
}

/// First kernel: columns, to scratch. x is an output column, y goes through the rows.
SAM3TRT_HOST_DEVICE inline void resize_columns_body(const ResizeArgs& args, KernelThread at) {
  const int64_t x = at.x();
  if (x >= args.out_width) return;
  for (int64_t y = at.block_y; y < args.in_height; y += at.blocks_y) {
    resize_pixel(args.columns, x, args.source + y * args.in_width * 3, 3,
                 args.scratch + (y * args.out_width + x) * 3);
  }
}

/// Second kernel: rows, from scratch, and the table. Element is float, or the bits of a half.
template <typename Element>
SAM3TRT_HOST_DEVICE inline void resize_rows_body(const ResizeArgs& args, KernelThread at) {
  const int64_t x = at.x();
  if (x >= args.out_width) return;
  const auto* table = static_cast<const Element*>(args.table);
  auto* target = static_cast<Element*>(args.target);
  const int64_t plane = static_cast<int64_t>(args.out_height) * args.out_width;
  for (int64_t y = at.block_y; y < args.out_height; y += at.blocks_y) {
    uint8_t rgb[3];
    resize_pixel(args.rows, y, args.scratch + x * 3, static_cast<int64_t>(args.out_width) * 3, rgb);
    for (int c = 0; c < 3; ++c) {
      target[c * plane + y * args.out_width + x] = table[c * 256 + rgb[c]];
    }
  }
}

}  // namespace sam3trt
