#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#include "base/host_device.hpp"
#include "cuda/kernels/thread.hpp"

namespace sam3trt {

/// Takes small components out of square masks, as clean_mask() of image/mask_cleanup.hpp does, in
/// one pass over the background and one over the foreground: small components of the background
/// become kCleanFilled, those of the foreground kCleanTakenAway. Components are 8-connected, and
/// made of the runs of rows: a run is named by the plane's index of its first pixel, and labels of
/// such pixels lead to the least one of the component, joined by atomic minima as in "A New
/// Algorithm for Parallel Connected-Component Labelling on GPUs" (Playne, Hawick, 2018). All
/// pointers are addresses of the GPU.
struct CleanArgs {
  float* const* planes = nullptr;  ///< [planes] of side x side logits
  int64_t side = 0;
  int64_t max_area = 0;
  int32_t foreground = 0;      ///< Whose components are looked at: of logits above 0, or others.
  uint64_t* words = nullptr;   ///< [planes, side, clean_words(side)] which pixels those are
  uint32_t* labels = nullptr;  ///< [planes, side * side], of first pixels of runs
  uint32_t* areas = nullptr;   ///< [planes, side * side], of components, at their labels
  uint32_t* totals = nullptr;  ///< [planes], 0 before: pixels of the foreground
};

inline constexpr int64_t kMaxCleanSide = 65535;  ///< Indices of pixels have 32 bits.
inline constexpr float kCleanFilled = 0.1F;
inline constexpr float kCleanTakenAway = -0.1F;

/// Words of a row.
[[nodiscard]] SAM3TRT_HOST_DEVICE inline int64_t clean_words(int64_t side) {
  return (side + 63) / 64;
}

SAM3TRT_HOST_DEVICE inline int zeros_below(uint64_t word) {
#ifdef __CUDA_ARCH__
  return word == 0 ? 64 : __ffsll(static_cast<long long>(word)) - 1;
#else
  return std::countr_zero(word);
#endif
}

SAM3TRT_HOST_DEVICE inline int zeros_above(uint64_t word) {
#ifdef __CUDA_ARCH__
  return __clzll(static_cast<long long>(word));
#else
  return std::countl_zero(word);
#endif
}

/// Numbers that several threads read and write; on a GPU volatile accesses of words do not tear.
SAM3TRT_HOST_DEVICE inline uint32_t shared_value(uint32_t* at) {
#ifdef __CUDA_ARCH__
  return *static_cast<volatile uint32_t*>(at);
#else
  return std::atomic_ref(*at).load(std::memory_order_relaxed);
#endif
}

SAM3TRT_HOST_DEVICE inline void share_value(uint32_t* at, uint32_t value) {
#ifdef __CUDA_ARCH__
  *static_cast<volatile uint32_t*>(at) = value;
#else
  std::atomic_ref(*at).store(value, std::memory_order_relaxed);
#endif
}

/// The lesser of both stays; what was there.
SAM3TRT_HOST_DEVICE inline uint32_t lower_to(uint32_t* at, uint32_t value) {
#ifdef __CUDA_ARCH__
  return atomicMin(at, value);
#else
  std::atomic_ref number(*at);
  uint32_t before = number.load(std::memory_order_relaxed);
  while (value < before && !number.compare_exchange_weak(before, value)) {
  }
  return before;
#endif
}

SAM3TRT_HOST_DEVICE inline void add_to(uint32_t* at, uint32_t value) {
#ifdef __CUDA_ARCH__
  atomicAdd(at, value);
#else
  std::atomic_ref(*at).fetch_add(value, std::memory_order_relaxed);
#endif
}

/// One plane of the arguments, and where its pixels belong.
class CleanPlane {
 public:
  SAM3TRT_HOST_DEVICE CleanPlane(const CleanArgs& args, int64_t plane)
      : side_(args.side),
        words_(args.words + plane * args.side * clean_words(args.side)),
        labels_(args.labels + plane * args.side * args.side) {}

  /// Whether a pixel is looked at; none beyond the edges is.
  [[nodiscard]] SAM3TRT_HOST_DEVICE bool has(int64_t row, int64_t column) const {
    if (row < 0 || column < 0 || column >= side_) return false;
    return (row_words(row)[column / 64] >> (column % 64) & 1) != 0;
  }

  [[nodiscard]] SAM3TRT_HOST_DEVICE bool begins_run(int64_t row, int64_t column) const {
    return has(row, column) && !has(row, column - 1);
  }

  /// The label's place of the run that a pixel which is looked at belongs to.
  [[nodiscard]] SAM3TRT_HOST_DEVICE uint32_t run_of(int64_t row, int64_t column) const {
    const uint64_t* words = row_words(row);
    int64_t word = column / 64;
    // Pixels that are not looked at, up to this one.
    uint64_t gaps = ~words[word] & (~uint64_t{0} >> (63 - column % 64));
    while (gaps == 0 && word > 0) gaps = ~words[--word];
    const int64_t begin = gaps == 0 ? 0 : word * 64 + 64 - zeros_above(gaps);
    return static_cast<uint32_t>(row * side_ + begin);
  }

  /// One past the run that begins there.
  [[nodiscard]] SAM3TRT_HOST_DEVICE int64_t run_end(int64_t row, int64_t column) const {
    const uint64_t* words = row_words(row);
    int64_t word = column / 64;
    uint64_t gaps = ~words[word] & (~uint64_t{0} << (column % 64));
    while (gaps == 0 && word + 1 < clean_words(side_)) gaps = ~words[++word];
    const int64_t end = gaps == 0 ? side_ : word * 64 + zeros_below(gaps);
    return end < side_ ? end : side_;
  }

  /// The least label that a run's leads to. While others join runs it may be one that leads on.
  [[nodiscard]] SAM3TRT_HOST_DEVICE uint32_t root(uint32_t run) const {
    while (true) {
      const uint32_t next = shared_value(labels_ + run);
      if (next == run) return run;
      run = next;
    }
  }

  /// Makes two runs one component, whatever other threads join meanwhile: a label only ever
  /// becomes less, and one that no longer led to itself is joined with what it led to.
  SAM3TRT_HOST_DEVICE void join(uint32_t a, uint32_t b) const {
    while (true) {
      a = root(a);
      b = root(b);
      if (a == b) return;
      const uint32_t least = a < b ? a : b;
      const uint32_t other = a < b ? b : a;
      const uint32_t before = lower_to(labels_ + other, least);
      if (before == other) return;
      a = least;
      b = before;
    }
  }

  [[nodiscard]] SAM3TRT_HOST_DEVICE uint32_t* label(uint32_t run) const { return labels_ + run; }

 private:
  [[nodiscard]] SAM3TRT_HOST_DEVICE const uint64_t* row_words(int64_t row) const {
    return words_ + row * clean_words(side_);
  }

  int64_t side_;
  const uint64_t* words_;
  uint32_t* labels_;
};

/// Fills `words`; x is a word, y a plane.
SAM3TRT_HOST_DEVICE inline void clean_words_body(const CleanArgs& args, KernelThread at) {
  const int64_t each = clean_words(args.side);
  if (at.x() >= args.side * each) return;
  const int64_t row = at.x() / each;
  const int64_t begin = at.x() % each * 64;
  const int64_t end = begin + 64 < args.side ? begin + 64 : args.side;
  const float* values = args.planes[at.block_y] + row * args.side;
  uint64_t bits = 0;
  for (int64_t i = begin; i < end; ++i) {
    const bool wanted = (values[i] > 0.0F) == (args.foreground != 0);
    bits |= static_cast<uint64_t>(wanted ? 1 : 0) << (i - begin);
  }
  args.words[static_cast<int64_t>(at.block_y) * args.side * each + at.x()] = bits;
}

/// Every run a component of its own; x is a pixel, y a plane, here and below.
SAM3TRT_HOST_DEVICE inline void clean_begin_body(const CleanArgs& args, KernelThread at) {
  if (at.x() >= args.side * args.side) return;
  const CleanPlane plane(args, at.block_y);
  if (!plane.begins_run(at.x() / args.side, at.x() % args.side)) return;
  *plane.label(static_cast<uint32_t>(at.x())) = static_cast<uint32_t>(at.x());
  args.areas[static_cast<int64_t>(at.block_y) * args.side * args.side + at.x()] = 0;
}

/// Joins runs with those of the row above that touch them, each pair once: at the first pixels of
/// both that lie one above the other, or at corners where none do.
SAM3TRT_HOST_DEVICE inline void clean_join_body(const CleanArgs& args, KernelThread at) {
  if (at.x() >= args.side * args.side) return;
  const CleanPlane plane(args, at.block_y);
  const int64_t row = at.x() / args.side;
  const int64_t column = at.x() % args.side;
  if (!plane.has(row, column)) return;
  const bool left = plane.has(row, column - 1);
  const bool high_left = plane.has(row - 1, column - 1);
  if (plane.has(row - 1, column)) {
    if (left && high_left) return;
    plane.join(plane.run_of(row, column), plane.run_of(row - 1, column));
    return;
  }
  if (high_left && !left) plane.join(plane.run_of(row, column), plane.run_of(row - 1, column - 1));
  if (plane.has(row - 1, column + 1) && !plane.has(row, column + 1)) {
    plane.join(plane.run_of(row, column), plane.run_of(row - 1, column + 1));
  }
}

/// Labels lead to their component at once, and its area is summed.
SAM3TRT_HOST_DEVICE inline void clean_count_body(const CleanArgs& args, KernelThread at) {
  if (at.x() >= args.side * args.side) return;
  const CleanPlane plane(args, at.block_y);
  const int64_t row = at.x() / args.side;
  const int64_t column = at.x() % args.side;
  if (!plane.begins_run(row, column)) return;
  const auto run = static_cast<uint32_t>(at.x());
  const uint32_t root = plane.root(run);
  share_value(plane.label(run), root);  // others that pass get there, too
  const auto length = static_cast<uint32_t>(plane.run_end(row, column) - column);
  add_to(args.areas + static_cast<int64_t>(at.block_y) * args.side * args.side + root, length);
  if (args.foreground != 0) add_to(args.totals + at.block_y, length);
}

/// Replaces the pixels of small components, but numbers that are not finite, so that they are found
/// later on.
SAM3TRT_HOST_DEVICE inline void clean_apply_body(const CleanArgs& args, KernelThread at) {
  if (at.x() >= args.side * args.side) return;
  const CleanPlane plane(args, at.block_y);
  const int64_t row = at.x() / args.side;
  const int64_t column = at.x() % args.side;
  if (!plane.begins_run(row, column)) return;
  const uint32_t root = *plane.label(static_cast<uint32_t>(at.x()));
  const int64_t first = static_cast<int64_t>(at.block_y) * args.side * args.side;
  int64_t most = args.max_area;
  if (args.foreground != 0) {
    const int64_t half = args.totals[at.block_y] / 2;
    most = half < most ? half : most;
  }
  if (args.areas[first + root] > most) return;
  float* values = args.planes[at.block_y] + row * args.side;
  const int64_t end = plane.run_end(row, column);
  for (int64_t i = column; i < end; ++i) {
    if (values[i] - values[i] != 0.0F) continue;
    values[i] = args.foreground != 0 ? kCleanTakenAway : kCleanFilled;
  }
}

}  // namespace sam3trt
