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
  uint64_t columns = 0;  ///< Its first entry in `changes`, `lasts` and `areas`.
  int32_t height = 0;    ///< Of the picture, in pixels.
  int32_t width = 0;
  float scale_y = 0;  ///< side / height
  float scale_x = 0;  ///< side / width
};

/// What comes out for one mask: run_lengths[begin .. begin + runs) is what rle_counts gives for it:
/// down the columns from left to right, outside and inside in turn, starting at outside.
struct MaskSummary {
  uint64_t begin = 0;
  uint32_t runs = 0;  ///< One more than there are changes between outside and inside.
  uint32_t area = 0;  ///< Pixels inside.
};

/// N masks from logits to run lengths: sigmoid where it comes before the resize, bilinear resize as
/// resize_bilinear does it, comparison, bits, changes, distances between changes. A change's
/// position is row + height * column of the first pixel that differs from the one before; before
/// the first pixel is outside. All pointers are addresses of the GPU.
struct MaskArgs {
  const float* logits = nullptr;   ///< planes of side x side
  float* probabilities = nullptr;  ///< N x side x side scratch; null: logits are resized (meta)
  const MaskTask* tasks = nullptr;
  int32_t count = 0;  ///< N
  int32_t side = 0;
  float cut = 0;       ///< A resized value >= cut is inside (mask_cut).
  int32_t unused = 0;  ///< In place of padding, which with `cut` could look like an address.
  /// Scratch: for each mask ceil(height / 32) rows of `width` words; bit i of word (w, x) is the
  /// pixel at row 32 * w + i of column x. Bits beyond the picture are 0.
  uint32_t* bits = nullptr;
  uint32_t* changes = nullptr;  ///< Scratch, per column: changes, then changes before the column.
  /// Scratch, per column: position of its last change, then of the last change before the column.
  /// 0 where there is none: a first run is counted from there, too.
  uint32_t* lasts = nullptr;
  uint32_t* areas = nullptr;         ///< Scratch, per column: pixels inside.
  MaskSummary* summaries = nullptr;  ///< N
  uint32_t* run_lengths = nullptr;   ///< Mask after mask.
  uint64_t capacity = 0;             ///< Room in `run_lengths`; what does not fit is left out.
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

/// Place of the highest bit that is set; there is one.
SAM3TRT_HOST_DEVICE inline uint32_t highest_bit(uint32_t word) {
#ifdef __CUDA_ARCH__
  return 31 - static_cast<uint32_t>(__clz(static_cast<int>(word)));
#else
  return 31 - static_cast<uint32_t>(__builtin_clz(word));
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

/// Position of a word's first pixel.
SAM3TRT_HOST_DEVICE inline uint32_t word_position(const MaskTask& task, int64_t x, int64_t word) {
  return static_cast<uint32_t>(x * task.height + word * 32);
}

/// Changes and area of each column. x is a column, z is the task.
SAM3TRT_HOST_DEVICE inline void mask_count_body(const MaskArgs& args, KernelThread at) {
  const MaskTask task = args.tasks[at.block_z];
  const int64_t x = at.x();
  if (x >= task.width) return;
  uint32_t count = 0;
  uint32_t last = 0;
  uint32_t area = 0;
  visit_column(args, task, x, [&](int64_t word, uint32_t changes, uint32_t bits) {
    count += count_bits(changes);
    area += count_bits(bits);
    if (changes != 0) last = word_position(task, x, word) + highest_bit(changes);
  });
  const uint64_t column = task.columns + static_cast<uint64_t>(x);
  args.changes[column] = count;
  args.lasts[column] = last;
  args.areas[column] = area;
}

/// What the threads of a block share while they sum up; a thread owns a stretch of the entries.
struct MaskSums {
  uint64_t runs[kBlockThreads];  ///< Of masks, or the changes of columns.
  uint32_t last[kBlockThreads];
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

/// One block per task (x), before the barrier: sums and last change of each stretch of columns.
SAM3TRT_HOST_DEVICE inline void mask_sum_columns_body(const MaskArgs& args, KernelThread at,
                                                      MaskSums& sums) {
  const MaskTask task = args.tasks[at.block_x];
  const Stretch stretch = stretch_of(at.thread, task.width);
  uint64_t changes = 0;
  uint32_t last = 0;
  uint32_t area = 0;
  for (int64_t x = stretch.begin; x < stretch.end; ++x) {
    const uint64_t column = task.columns + static_cast<uint64_t>(x);
    changes += args.changes[column];
    if (args.lasts[column] != 0) last = args.lasts[column];
    area += args.areas[column];
  }
  sums.runs[at.thread] = changes;
  sums.last[at.thread] = last;
  sums.area[at.thread] = area;
}

/// After the barrier: `changes` and `lasts` become those before each column; the mask's totals.
SAM3TRT_HOST_DEVICE inline void mask_scan_columns_body(const MaskArgs& args, KernelThread at,
                                                       const MaskSums& sums) {
  const MaskTask task = args.tasks[at.block_x];
  const Stretch stretch = stretch_of(at.thread, task.width);
  uint32_t before = 0;
  uint32_t last = 0;
  for (unsigned t = 0; t < at.thread; ++t) {
    before += static_cast<uint32_t>(sums.runs[t]);
    if (sums.last[t] != 0) last = sums.last[t];
  }
  for (int64_t x = stretch.begin; x < stretch.end; ++x) {
    const uint64_t column = task.columns + static_cast<uint64_t>(x);
    const uint32_t own = args.changes[column];
    const uint32_t own_last = args.lasts[column];
    args.changes[column] = before;
    args.lasts[column] = last;
    before += own;
    if (own_last != 0) last = own_last;
  }
  if (at.thread != kBlockThreads - 1) return;
  MaskSummary& summary = args.summaries[at.block_x];
  summary.runs = before + 1;  // the last thread has seen all columns
  summary.area = 0;
  for (const uint32_t area : sums.area) summary.area += area;
}

/// One block, before the barrier: runs of each stretch of masks.
SAM3TRT_HOST_DEVICE inline void mask_sum_tasks_body(const MaskArgs& args, KernelThread at,
                                                    MaskSums& sums) {
  const Stretch stretch = stretch_of(at.thread, args.count);
  uint64_t runs = 0;
  for (int64_t i = stretch.begin; i < stretch.end; ++i) runs += args.summaries[i].runs;
  sums.runs[at.thread] = runs;
}

/// After the barrier: where each mask's run lengths begin.
SAM3TRT_HOST_DEVICE inline void mask_scan_tasks_body(const MaskArgs& args, KernelThread at,
                                                     const MaskSums& sums) {
  const Stretch stretch = stretch_of(at.thread, args.count);
  uint64_t before = 0;
  for (unsigned t = 0; t < at.thread; ++t) before += sums.runs[t];
  for (int64_t i = stretch.begin; i < stretch.end; ++i) {
    args.summaries[i].begin = before;
    before += args.summaries[i].runs;
  }
}

/// Writes the run lengths. x is a column, z is the task. A column ends the runs that its changes
/// end, and the last column also the one that reaches the picture's end; so every entry has one
/// writer, and none is read.
SAM3TRT_HOST_DEVICE inline void mask_write_body(const MaskArgs& args, KernelThread at) {
  const MaskTask task = args.tasks[at.block_z];
  const int64_t x = at.x();
  if (x >= task.width) return;
  const uint64_t column = task.columns + static_cast<uint64_t>(x);
  uint64_t to = args.summaries[at.block_z].begin + args.changes[column];
  uint32_t run_begin = args.lasts[column];
  const auto end_run = [&](uint32_t position) {
    if (to < args.capacity) args.run_lengths[to] = position - run_begin;
    run_begin = position;
    ++to;
  };
  visit_column(args, task, x, [&](int64_t word, uint32_t changes, uint32_t) {
    const uint32_t first = word_position(task, x, word);
    for (; changes != 0; changes &= changes - 1) end_run(first + lowest_bit(changes));
  });
  if (x == task.width - 1) end_run(word_position(task, task.width, 0));
}

}  // namespace sam3trt
