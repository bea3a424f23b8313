#pragma once

#include <cstdint>

#include "base/host_device.hpp"
#include "base/sigmoid.hpp"
#include "cuda/kernels/thread.hpp"
#include "image/resize_taps.hpp"

namespace sam3trt {

/// One mask to be made; plan_masks fills it.
struct MaskTask {
  uint64_t plane = 0;    ///< Which side x side plane of the logits.
  uint64_t bits = 0;     ///< Its first word in `bits`.
  uint64_t columns = 0;  ///< Its first entry in `runs` and `areas`.
  int32_t height = 0;    ///< Of the picture, in pixels.
  int32_t width = 0;
  float scale_y = 0;  ///< side / height
  float scale_x = 0;  ///< side / width
};

/// What comes out for one mask: the places where the value changes, going down the columns from
/// left to right and starting at outside; positions[begin .. begin + changes) holds them, rising.
struct MaskSummary {
  uint64_t begin = 0;
  uint32_t changes = 0;
  uint32_t area = 0;  ///< Pixels inside.
};

/// N masks from logits to changes: sigmoid where it comes before the resize, bilinear resize as
/// resize_bilinear does it, comparison, bits, changes. All pointers are addresses of the GPU.
struct MaskArgs {
  const float* logits = nullptr;   ///< planes of side x side
  float* probabilities = nullptr;  ///< N x side x side scratch; null: logits are resized (meta)
  const MaskTask* tasks = nullptr;
  int32_t count = 0;  ///< N
  int32_t side = 0;
  float cut = 0;  ///< A resized value >= cut is inside (mask_cut).
  /// Scratch: for each mask ceil(height / 32) rows of `width` words; bit i of word (w, x) is the
  /// pixel at row 32 * w + i of column x. Bits beyond the picture are 0.
  uint32_t* bits = nullptr;
  uint32_t* runs = nullptr;   ///< Scratch, per column: changes, then changes before the column.
  uint32_t* areas = nullptr;  ///< Scratch, per column: pixels inside.
  MaskSummary* summaries = nullptr;  ///< N
  uint32_t* positions = nullptr;     ///< Row + height * column of each change, mask after mask.
  uint64_t capacity = 0;             ///< Room in `positions`; what does not fit is left out.
};

SAM3TRT_HOST_DEVICE inline uint32_t count_bits(uint32_t word) {
#ifdef __CUDA_ARCH__
  return static_cast<uint32_t>(__popc(word));
#else
  return static_cast<uint32_t>(__builtin_popcount(word));
#endif
}

/// Place of the lowest bit that is set; there is one.
SAM3TRT_HOST_DEVICE inline uint32_t lowest_bit(uint32_t word) {
#ifdef __CUDA_ARCH__
  return static_cast<uint32_t>(__ffs(word)) - 1;
#else
  return static_cast<uint32_t>(__builtin_ctz(word));
#endif
}

/// Probabilities of the planes that are asked for. x is a value of the plane, y goes through tasks.
SAM3TRT_HOST_DEVICE inline void mask_sigmoid_body(const MaskArgs& args, KernelThread at) {
  const int64_t plane = static_cast<int64_t>(args.side) * args.side;
  if (at.x() >= plane) return;
  for (int64_t i = at.block_y; i < args.count; i += at.blocks_y) {
    const auto source = static_cast<int64_t>(args.tasks[i].plane);
    args.probabilities[i * plane + at.x()] = sigmoid(args.logits[source * plane + at.x()]);
  }
}

/// 32 pixels of column x from row 32 * word on.
SAM3TRT_HOST_DEVICE inline uint32_t mask_word(const float* source, int64_t side,
                                              const MaskTask& task, float cut, int64_t x,
                                              int64_t word) {
  const BilinearTap column = bilinear_tap(task.scale_x, x, side);
  const auto spread = [&](int64_t row) {
    const float* from = source + row * side;
    return column.weight_low * from[column.low] + column.weight_high * from[column.high];
  };
  float low = 0;
  float high = 0;
  int64_t spread_row = -1;  // whose spread is in `low`
  uint32_t bits = 0;
  for (int64_t i = 0; i < 32 && word * 32 + i < task.height; ++i) {
    const BilinearTap row = bilinear_tap(task.scale_y, word * 32 + i, side);
    if (row.low != spread_row) {
      low = spread(row.low);
      high = spread(row.high);
      spread_row = row.low;
    }
    const float value = row.weight_low * low + row.weight_high * high;
    bits |= static_cast<uint32_t>(value >= cut ? 1 : 0) << i;
  }
  return bits;
}

/// x is a column, y goes through the words of it, z is the task.
SAM3TRT_HOST_DEVICE inline void mask_bits_body(const MaskArgs& args, KernelThread at) {
  const MaskTask task = args.tasks[at.block_z];
  const int64_t x = at.x();
  if (x >= task.width) return;
  const int64_t plane = static_cast<int64_t>(args.side) * args.side;
  const float* source = args.probabilities != nullptr
                            ? args.probabilities + at.block_z * plane
                            : args.logits + static_cast<int64_t>(task.plane) * plane;
  uint32_t* bits = args.bits + task.bits;
  const int64_t words = (static_cast<int64_t>(task.height) + 31) / 32;
  for (int64_t word = at.block_y; word < words; word += at.blocks_y) {
    bits[word * task.width + x] = mask_word(source, args.side, task, args.cut, x, word);
  }
}

/// Calls visit(word, changes, bits) for each word of a column: `changes` marks the pixels that
/// differ from the one before, which for a column's first pixel is the last of the column before.
template <typename Visit>
SAM3TRT_HOST_DEVICE inline void visit_column(const MaskArgs& args, const MaskTask& task, int64_t x,
                                             Visit visit) {
  const uint32_t* bits = args.bits + task.bits;
  const int64_t words = (static_cast<int64_t>(task.height) + 31) / 32;
  const int32_t in_last = task.height - static_cast<int32_t>((words - 1) * 32);  // 1..32
  uint32_t previous = 0;
  if (x > 0) previous = (bits[(words - 1) * task.width + x - 1] >> (in_last - 1)) & 1U;
  for (int64_t word = 0; word < words; ++word) {
    const uint32_t value = bits[word * task.width + x];
    uint32_t changes = value ^ ((value << 1) | previous);
    if (word == words - 1) changes &= 0xFFFFFFFFU >> (32 - in_last);
    visit(word, changes, value);
    previous = value >> 31;
  }
}

/// Changes and area of each column. x is a column, z is the task.
SAM3TRT_HOST_DEVICE inline void mask_count_body(const MaskArgs& args, KernelThread at) {
  const MaskTask task = args.tasks[at.block_z];
  const int64_t x = at.x();
  if (x >= task.width) return;
  uint32_t runs = 0;
  uint32_t area = 0;
  visit_column(args, task, x, [&](int64_t, uint32_t changes, uint32_t bits) {
    runs += count_bits(changes);
    area += count_bits(bits);
  });
  args.runs[task.columns + static_cast<uint64_t>(x)] = runs;
  args.areas[task.columns + static_cast<uint64_t>(x)] = area;
}

/// What the threads of a block share while they sum up; a thread owns a stretch of the entries.
struct MaskSums {
  uint64_t changes[kBlockThreads];
  uint32_t area[kBlockThreads];
};

/// A thread's stretch of `count` entries.
struct Stretch {
  int64_t begin = 0;
  int64_t end = 0;
};

SAM3TRT_HOST_DEVICE inline Stretch stretch_of(unsigned thread, int64_t count) {
  const int64_t size = (count + kBlockThreads - 1) / kBlockThreads;
  const int64_t begin = thread * size < count ? thread * size : count;
  return {begin, begin + size < count ? begin + size : count};
}

/// One block per task (x), before the barrier: sums of each stretch of columns.
SAM3TRT_HOST_DEVICE inline void mask_sum_columns_body(const MaskArgs& args, KernelThread at,
                                                      MaskSums& sums) {
  const MaskTask task = args.tasks[at.block_x];
  const Stretch stretch = stretch_of(at.thread, task.width);
  uint64_t changes = 0;
  uint32_t area = 0;
  for (int64_t x = stretch.begin; x < stretch.end; ++x) {
    changes += args.runs[task.columns + static_cast<uint64_t>(x)];
    area += args.areas[task.columns + static_cast<uint64_t>(x)];
  }
  sums.changes[at.thread] = changes;
  sums.area[at.thread] = area;
}

/// After the barrier: `runs` become the changes before each column; the mask's totals.
SAM3TRT_HOST_DEVICE inline void mask_scan_columns_body(const MaskArgs& args, KernelThread at,
                                                       const MaskSums& sums) {
  const MaskTask task = args.tasks[at.block_x];
  const Stretch stretch = stretch_of(at.thread, task.width);
  uint32_t before = 0;
  for (unsigned t = 0; t < at.thread; ++t) before += static_cast<uint32_t>(sums.changes[t]);
  for (int64_t x = stretch.begin; x < stretch.end; ++x) {
    uint32_t& runs = args.runs[task.columns + static_cast<uint64_t>(x)];
    const uint32_t own = runs;
    runs = before;
    before += own;
  }
  if (at.thread != kBlockThreads - 1) return;
  MaskSummary& summary = args.summaries[at.block_x];
  summary.changes = before;  // the last thread has seen all columns
  summary.area = 0;
  for (const uint32_t area : sums.area) summary.area += area;
}

/// One block, before the barrier: changes of each stretch of masks.
SAM3TRT_HOST_DEVICE inline void mask_sum_tasks_body(const MaskArgs& args, KernelThread at,
                                                    MaskSums& sums) {
  const Stretch stretch = stretch_of(at.thread, args.count);
  uint64_t changes = 0;
  for (int64_t i = stretch.begin; i < stretch.end; ++i) changes += args.summaries[i].changes;
  sums.changes[at.thread] = changes;
}

/// After the barrier: where each mask's positions begin.
SAM3TRT_HOST_DEVICE inline void mask_scan_tasks_body(const MaskArgs& args, KernelThread at,
                                                     const MaskSums& sums) {
  const Stretch stretch = stretch_of(at.thread, args.count);
  uint64_t before = 0;
  for (unsigned t = 0; t < at.thread; ++t) before += sums.changes[t];
  for (int64_t i = stretch.begin; i < stretch.end; ++i) {
    args.summaries[i].begin = before;
    before += args.summaries[i].changes;
  }
}

/// Writes the positions. x is a column, z is the task.
SAM3TRT_HOST_DEVICE inline void mask_write_body(const MaskArgs& args, KernelThread at) {
  const MaskTask task = args.tasks[at.block_z];
  const int64_t x = at.x();
  if (x >= task.width) return;
  uint64_t to =
      args.summaries[at.block_z].begin + args.runs[task.columns + static_cast<uint64_t>(x)];
  visit_column(args, task, x, [&](int64_t word, uint32_t changes, uint32_t) {
    const auto first = static_cast<uint32_t>(x * task.height + word * 32);
    for (; changes != 0; changes &= changes - 1, ++to) {
      if (to < args.capacity) args.positions[to] = first + lowest_bit(changes);
    }
  });
}

}  // namespace sam3trt
