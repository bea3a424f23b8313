#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#include "base/host_device.hpp"
#include "cuda/kernels/above.hpp"
#include "cuda/kernels/thread.hpp"
#include "image/mask_cleanup.hpp"

namespace sam3trt {

/// Takes small components out of square masks, as clean_mask() of image/mask_cleanup.hpp does, in
/// one pass over the background and one over the foreground: small components of the background
/// become kFilledHole, those of the foreground kTakenSpeck. Components are 8-connected, and
/// made of the runs of rows: a run is named by the plane's index of its first pixel, and labels of
/// such pixels lead to the least one of the component, joined by atomic minima as in "A New
/// Algorithm for Parallel Connected-Component Labelling on GPUs" (Playne, Hawick, 2018). All
/// pointers are addresses of the GPU.
struct CleanArgs {
  float* const* planes = nullptr;  ///< [planes] of side x side logits
  int64_t side = 0;
  int64_t max_area = 0;
  int32_t foreground = 0;      ///< Whose components are looked at: of logits above 0, or others.
  uint64_t* words = nullptr;   ///< [planes, side, above_words(side)] which pixels those are
  uint32_t* labels = nullptr;  ///< [planes, side * side], of first pixels of runs
  uint32_t* areas = nullptr;   ///< [planes, side * side], of components, at their labels
  uint32_t* totals = nullptr;  ///< [planes], 0 before: pixels of the foreground
};

inline constexpr int64_t kMaxCleanSide = 65535;  ///< Indices of pixels have 32 bits.

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

/// A pixel of a plane, and the runs around it. Pixels beyond the plane's edges are not looked at.
class CleanPixel {
 public:
  /// x is a pixel, y a plane.
  SAM3TRT_HOST_DEVICE CleanPixel(const CleanArgs& args, KernelThread at)
      : side_(args.side),
        row_(at.x() / args.side),
        column_(at.x() % args.side),
        words_(args.words + static_cast<int64_t>(at.block_y) * args.side * above_words(args.side)),
        labels_(args.labels + first(args, at)),
        areas_(args.areas + first(args, at)) {}

  /// Whether it, or a neighbour of it, is looked at.
  [[nodiscard]] SAM3TRT_HOST_DEVICE bool has(int64_t down, int64_t right) const {
    const int64_t row = row_ + down;
    const int64_t column = column_ + right;
    if (row < 0 || row >= side_ || column < 0 || column >= side_) return false;
    return (row_words(row)[column / 64] >> (column % 64) & 1) != 0;
  }

  [[nodiscard]] SAM3TRT_HOST_DEVICE bool begins_run() const { return has(0, 0) && !has(0, -1); }

  /// The name of the run that it, or a neighbour, belongs to; one that is looked at.
  [[nodiscard]] SAM3TRT_HOST_DEVICE uint32_t run_of(int64_t down, int64_t right) const {
    const uint64_t* words = row_words(row_ + down);
    const int64_t column = column_ + right;
    int64_t word = column / 64;
    // Pixels that are not looked at, up to this one.
    uint64_t gaps = ~words[word] & (~uint64_t{0} >> (63 - column % 64));
    while (gaps == 0 && word > 0) gaps = ~words[--word];
    const int64_t begin = gaps == 0 ? 0 : word * 64 + 64 - zeros_above(gaps);
    return static_cast<uint32_t>((row_ + down) * side_ + begin);
  }

  /// Pixels of its run from it on.
  [[nodiscard]] SAM3TRT_HOST_DEVICE int64_t run_length() const {
    const uint64_t* words = row_words(row_);
    int64_t word = column_ / 64;
    uint64_t gaps = ~words[word] & (~uint64_t{0} << (column_ % 64));
    while (gaps == 0 && word + 1 < above_words(side_)) gaps = ~words[++word];
    const int64_t end = gaps == 0 ? side_ : word * 64 + zeros_below(gaps);
    return (end < side_ ? end : side_) - column_;
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

  /// Its index in the plane, the name of a run that it begins.
  [[nodiscard]] SAM3TRT_HOST_DEVICE uint32_t index() const {
    return static_cast<uint32_t>(row_ * side_ + column_);
  }
  /// Of a run that it begins.
  [[nodiscard]] SAM3TRT_HOST_DEVICE uint32_t* label() const { return labels_ + index(); }
  /// Of the component with that label.
  [[nodiscard]] SAM3TRT_HOST_DEVICE uint32_t* area(uint32_t label) const { return areas_ + label; }

 private:
  [[nodiscard]] SAM3TRT_HOST_DEVICE static int64_t first(const CleanArgs& args, KernelThread at) {
    return static_cast<int64_t>(at.block_y) * args.side * args.side;
  }
  [[nodiscard]] SAM3TRT_HOST_DEVICE const uint64_t* row_words(int64_t row) const {
    return words_ + row * above_words(side_);
  }

  int64_t side_;
  int64_t row_;
  int64_t column_;
  const uint64_t* words_;
  uint32_t* labels_;
  uint32_t* areas_;
};

/// Fills `words`; x is a word, y a plane.
SAM3TRT_HOST_DEVICE inline void clean_words_body(const CleanArgs& args, KernelThread at) {
  const int64_t each = above_words(args.side);
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

/// Every run a component of its own.
SAM3TRT_HOST_DEVICE inline void clean_begin_body(const CleanArgs& args, KernelThread at) {
  const CleanPixel pixel(args, at);
  if (!pixel.begins_run()) return;
  *pixel.label() = pixel.index();
  *pixel.area(pixel.index()) = 0;
}

/// Joins runs with those of the row above that touch them, each pair once: at the first pixels of
/// both that lie one above the other, or at corners where none do.
SAM3TRT_HOST_DEVICE inline void clean_join_body(const CleanArgs& args, KernelThread at) {
  const CleanPixel pixel(args, at);
  if (!pixel.has(0, 0)) return;
  const bool left = pixel.has(0, -1);
  const bool high_left = pixel.has(-1, -1);
  if (pixel.has(-1, 0)) {
    if (!left || !high_left) pixel.join(pixel.run_of(0, 0), pixel.run_of(-1, 0));
    return;
  }
  if (high_left && !left) pixel.join(pixel.run_of(0, 0), pixel.run_of(-1, -1));
  if (pixel.has(-1, 1) && !pixel.has(0, 1)) pixel.join(pixel.run_of(0, 0), pixel.run_of(-1, 1));
}

/// Labels lead to their component at once, and its area is summed.
SAM3TRT_HOST_DEVICE inline void clean_count_body(const CleanArgs& args, KernelThread at) {
  const CleanPixel pixel(args, at);
  if (!pixel.begins_run()) return;
  const uint32_t root = pixel.root(pixel.index());
  share_value(pixel.label(), root);  // others that pass get there, too
  const auto length = static_cast<uint32_t>(pixel.run_length());
  add_to(pixel.area(root), length);
  if (args.foreground != 0) add_to(args.totals + at.block_y, length);
}

/// Replaces the pixels of small components, but numbers that are not finite, so that they are found
/// later on.
SAM3TRT_HOST_DEVICE inline void clean_apply_body(const CleanArgs& args, KernelThread at) {
  const CleanPixel pixel(args, at);
  if (!pixel.begins_run()) return;
  int64_t most = args.max_area;
  if (args.foreground != 0) {
    const int64_t half = args.totals[at.block_y] / 2;
    most = half < most ? half : most;
  }
  if (*pixel.area(*pixel.label()) > most) return;
  float* values = args.planes[at.block_y] + pixel.index();
  const int64_t length = pixel.run_length();
  for (int64_t i = 0; i < length; ++i) {
    if (values[i] - values[i] != 0.0F) continue;
    values[i] = args.foreground != 0 ? kTakenSpeck : kFilledHole;
  }
}

}  // namespace sam3trt
