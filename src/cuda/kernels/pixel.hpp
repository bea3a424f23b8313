#pragma once

#include <cmath>
#include <cstdint>

#include "base/host_device.hpp"
#include "base/own_operators.hpp"
#include "cuda/kernels/sixteen_bytes.hpp"
#include "cuda/kernels/thread.hpp"

namespace sam3trt {

/// What the mask head's pixel decoder does between its convolutions. Maps are [H, W, D] of 16-bit
/// floats, "pixels last", as TensorRT's convolutions take and give them, and as tokens are; sums
/// are float32.

inline constexpr int kPixelChannels = 8;  ///< That a thread reads or writes at once.

/// A map of twice the height and width, each value four times, and what is added to it.
struct UpsampledSumArgs {
  const uint16_t* coarse = nullptr;  ///< [R, H / 2, W / 2, D]
  const uint16_t* level = nullptr;   ///< [B, D, H, W]
  const int64_t* image = nullptr;    ///< [R]: which of `level` is added
  uint16_t* result = nullptr;        ///< [R, H, W, D]
  int32_t images = 0;                ///< B
  int32_t channels = 0;              ///< D, a multiple of kPixelChannels
  int32_t height = 0;                ///< H, even
  int32_t width = 0;                 ///< W, even; H * W is a multiple of 8
};

/// Block (x, y, z) takes kSumPixels pixels from x on, kSumChannels channels from y on, of row z.
inline constexpr int kSumPixels = 64;
inline constexpr int kSumChannels = 64;

/// Of `level`, one channel after the other, eight pixels at a time. Those of channel c lie at
/// k ^ (c / 8) instead of k, so that threads that read eight channels side by side read from
/// different banks.
struct SumTile {
  static constexpr int kChunks = kSumPixels / 8;

  SixteenBytes chunks[kSumChannels * kChunks];

  [[nodiscard]] static SAM3TRT_DEVICE int place(int channel, int chunk) {
    return channel * kChunks + (chunk ^ (channel / 8 % kChunks));
  }
};

SAM3TRT_DEVICE inline void upsampled_sum_load_body(const UpsampledSumArgs& args, KernelThread at,
                                                   SumTile& tile) {
  const int64_t area = int64_t{args.height} * args.width;
  const int64_t first = static_cast<int64_t>(at.block_x) * kSumPixels;
  const int64_t image = index_or_first(args.image[at.block_z], args.images);
  for (int i = static_cast<int>(at.thread); i < kSumChannels * SumTile::kChunks;
       i += static_cast<int>(kBlockThreads)) {
    const int channel = i / SumTile::kChunks;
    const int chunk = i % SumTile::kChunks;
    const int64_t from = static_cast<int64_t>(at.block_y) * kSumChannels + channel;
    const int64_t pixel = first + int64_t{8} * chunk;
    if (from >= args.channels || pixel >= area) continue;
    tile.chunks[SumTile::place(channel, chunk)] = *reinterpret_cast<const SixteenBytes*>(
        args.level + (image * args.channels + from) * area + pixel);
  }
}

template <typename Warp>
SAM3TRT_DEVICE void upsampled_sum_write_body(const UpsampledSumArgs& args, KernelThread at,
                                             SumTile& tile) {
  constexpr int kParts = kSumChannels / kPixelChannels;
  const int64_t area = int64_t{args.height} * args.width;
  const auto* values = reinterpret_cast<const uint16_t*>(tile.chunks);
  for (int i = static_cast<int>(at.thread); i < kSumPixels * kParts;
       i += static_cast<int>(kBlockThreads)) {
    const int own = i / kParts;
    const int part = i % kParts;
    const int64_t pixel = static_cast<int64_t>(at.block_x) * kSumPixels + own;
    const int64_t channel =
        static_cast<int64_t>(at.block_y) * kSumChannels + int64_t{kPixelChannels} * part;
    if (pixel >= area || channel >= args.channels) continue;
    const auto y = static_cast<int32_t>(pixel / args.width);
    const auto x = static_cast<int32_t>(pixel % args.width);
    const int64_t above = (int64_t{at.block_z} * (args.height / 2) + y / 2) * (args.width / 2);
    const SixteenBytes coarse = *reinterpret_cast<const SixteenBytes*>(
        args.coarse + (above + x / 2) * args.channels + channel);
    SixteenBytes sum;
    SAM3TRT_UNROLL for (int j = 0; j < 4; ++j) {
      const auto pair = Warp::unpack(coarse.words[j]);
      const auto value = [&](int k) -> uint32_t {
        const int place = SumTile::place(kPixelChannels * part + k, own / 8);
        return values[8 * place + own % 8];
      };
      const auto added = Warp::unpack(value(2 * j) | value(2 * j + 1) << 16U);
      sum.words[j] = Warp::pack(pair.x + added.x, pair.y + added.y);
    }
    *reinterpret_cast<SixteenBytes*>(
        args.result + (int64_t{at.block_z} * area + pixel) * args.channels + channel) = sum;
  }
}

/// GroupNorm and ReLU of maps: of each group of channels of a map by itself.
struct GroupNormArgs {
  const uint16_t* input = nullptr;  ///< [R, N, D]
  const float* gain = nullptr;      ///< [D]
  const float* shift = nullptr;     ///< [D]
  float* sums = nullptr;            ///< [R, kNormShares, G, 2]
  uint16_t* result = nullptr;       ///< [R, N, D]
  float epsilon = 0;
  int32_t pixels = 0;    ///< N
  int32_t channels = 0;  ///< D, at most kBlockThreads * kPixelChannels
  int32_t groups = 0;    ///< G, at most kMostNormGroups; D / G is a multiple of kGroupColumns
};

static_assert(kPixelChannels == 2 * kGroupColumns);  // each half of a thread's is of one group

inline constexpr int kNormShares = 128;    ///< Of a map's pixels, one for each block.
inline constexpr int kNormPixels = 128;    ///< That a block normalises.
inline constexpr int kPixelsTogether = 4;  ///< That a thread reads before it computes.

/// How the threads of a block share pixels: as many side by side as a pixel has chunks.
struct PixelThreads {
  int chunks;  ///< Of a pixel.
  int chunk;   ///< This thread's.
  int pixel;   ///< This thread's first; beyond all pixels where it has none.
  int step;    ///< Pixels that the block has at once.

  SAM3TRT_DEVICE PixelThreads(const GroupNormArgs& args, KernelThread at)
      : chunks(args.channels / kPixelChannels),
        chunk(static_cast<int>(at.thread) % chunks),
        pixel(static_cast<int>(at.thread) / chunks),
        step(static_cast<int>(kBlockThreads) / chunks) {
    if (pixel >= step) pixel = args.pixels;
  }
};

/// Of the two halves of each thread's channels.
struct GroupSums {
  float sums[2 * kBlockThreads];
  float squares[2 * kBlockThreads];
};

struct GroupScales {
  double sums[kBlockThreads];
  double squares[kBlockThreads];
  float mean[kMostNormGroups];
  float scale[kMostNormGroups];
};

/// What is subtracted before values are squared and added, so that a mean that is large beside the
/// deviation costs no digits: the group's first value.
template <typename Warp>
[[nodiscard]] SAM3TRT_DEVICE float pivot_of(const GroupNormArgs& args, unsigned row, int group) {
  const int64_t at =
      int64_t{row} * args.pixels * args.channels + int64_t{group} * (args.channels / args.groups);
  return Warp::unpack(args.input[at]).x;
}

/// Calls `use` with the place and the eight values of each of this thread's pixels before `end`.
template <typename Warp, typename Use>
SAM3TRT_DEVICE void for_pixels(const GroupNormArgs& args, const PixelThreads& threads, unsigned row,
                               int begin, int end, const Use& use) {
  const int64_t first = int64_t{row} * args.pixels;
  if (threads.pixel >= args.pixels) return;
  for (int pixel = begin + threads.pixel; pixel < end; pixel += kPixelsTogether * threads.step) {
    SixteenBytes chunks[kPixelsTogether];
    SAM3TRT_UNROLL for (int i = 0; i < kPixelsTogether; ++i) {
      const int own = pixel + i * threads.step;
      if (own >= end) continue;
      chunks[i] = *reinterpret_cast<const SixteenBytes*>(
          args.input + (first + own) * args.channels + int64_t{kPixelChannels} * threads.chunk);
    }
    SAM3TRT_UNROLL for (int i = 0; i < kPixelsTogether; ++i) {
      const int own = pixel + i * threads.step;
      if (own >= end) continue;
      float values[kPixelChannels];
      SAM3TRT_UNROLL for (int j = 0; j < 4; ++j) {
        const auto pair = Warp::unpack(chunks[i].words[j]);
        values[2 * j] = pair.x;
        values[2 * j + 1] = pair.y;
      }
      use((first + own) * args.channels + int64_t{kPixelChannels} * threads.chunk, values);
    }
  }
}

/// The group of half of a thread's channels.
[[nodiscard]] SAM3TRT_DEVICE inline int group_of(const GroupNormArgs& args,
                                                 const PixelThreads& threads, int half) {
  return (threads.chunk * kPixelChannels + half * kGroupColumns) / (args.channels / args.groups);
}

/// Block (x, y) adds share x of row y.
template <typename Warp>
SAM3TRT_DEVICE void group_part_body(const GroupNormArgs& args, KernelThread at, GroupSums& own) {
  const PixelThreads threads(args, at);
  const int share = (args.pixels + kNormShares - 1) / kNormShares;
  const int begin = static_cast<int>(at.block_x) * share;
  const int end = begin + share < args.pixels ? begin + share : args.pixels;
  float pivots[2];
  float sums[2] = {};
  float squares[2] = {};
  SAM3TRT_UNROLL for (int half = 0; half < 2; ++half) {
    pivots[half] = pivot_of<Warp>(args, at.block_y, group_of(args, threads, half));
  }
  for_pixels<Warp>(args, threads, at.block_y, begin, end, [&](int64_t, const float* values) {
    SAM3TRT_UNROLL for (int j = 0; j < kPixelChannels; ++j) {
      const int half = j / kGroupColumns;
      const float value = values[j] - pivots[half];
      sums[half] += value;
      squares[half] = Warp::multiply_add(value, value, squares[half]);
    }
  });
  SAM3TRT_UNROLL for (int half = 0; half < 2; ++half) {
    const int to = 2 * static_cast<int>(at.thread) + half;
    own.sums[to] = sums[half];
    own.squares[to] = squares[half];
  }
}

SAM3TRT_DEVICE inline void group_sum_body(const GroupNormArgs& args, KernelThread at,
                                          GroupSums& own) {
  if (at.thread >= static_cast<unsigned>(args.groups)) return;
  const PixelThreads threads(args, at);
  const int halves = args.channels / args.groups / kGroupColumns;  // of a group
  float sum = 0;
  float squares = 0;
  for (int pixel = 0; pixel < threads.step; ++pixel) {
    const int first = 2 * pixel * threads.chunks + static_cast<int>(at.thread) * halves;
    for (int half = first; half < first + halves; ++half) {
      sum += own.sums[half];
      squares += own.squares[half];
    }
  }
  float* to =
      args.sums + ((int64_t{at.block_y} * kNormShares + at.block_x) * args.groups + at.thread) * 2;
  to[0] = sum;
  to[1] = squares;
}

/// Block (x, y) normalises kNormPixels pixels of row y; first its threads add the shares' sums.
SAM3TRT_DEVICE inline void group_gather_body(const GroupNormArgs& args, KernelThread at,
                                             GroupScales& scales) {
  const int group = static_cast<int>(at.thread) % args.groups;
  const int parts = static_cast<int>(kBlockThreads) / args.groups;
  const int part = static_cast<int>(at.thread) / args.groups;
  double sum = 0;
  double squares = 0;
  for (int share = part; share < kNormShares && part < parts; share += parts) {
    const float* from =
        args.sums + ((int64_t{at.block_y} * kNormShares + share) * args.groups + group) * 2;
    sum += static_cast<double>(from[0]);
    squares += static_cast<double>(from[1]);
  }
  scales.sums[at.thread] = sum;
  scales.squares[at.thread] = squares;
}

template <typename Warp>
SAM3TRT_DEVICE void group_scale_body(const GroupNormArgs& args, KernelThread at,
                                     GroupScales& scales) {
  if (at.thread >= static_cast<unsigned>(args.groups)) return;
  const int group = static_cast<int>(at.thread);
  double sum = 0;
  double squares = 0;
  for (int part = 0; part < static_cast<int>(kBlockThreads) / args.groups; ++part) {
    sum += scales.sums[part * args.groups + group];
    squares += scales.squares[part * args.groups + group];
  }
  const int channels = args.channels / args.groups;
  const double count = static_cast<double>(args.pixels) * static_cast<double>(channels);
  const double mean = sum / count;
  const double variance = squares / count - mean * mean;
  scales.mean[group] = pivot_of<Warp>(args, at.block_y, group) + static_cast<float>(mean);
  scales.scale[group] =
      1.0F / std::sqrt((variance > 0 ? static_cast<float>(variance) : 0.0F) + args.epsilon);
}

template <typename Warp>
SAM3TRT_DEVICE void group_apply_body(const GroupNormArgs& args, KernelThread at,
                                     GroupScales& scales) {
  const PixelThreads threads(args, at);
  const int begin = static_cast<int>(at.block_x) * kNormPixels;
  const int end = begin + kNormPixels < args.pixels ? begin + kNormPixels : args.pixels;
  const int channel = threads.chunk * kPixelChannels;
  float means[2];
  float factors[kPixelChannels];
  float shifts[kPixelChannels];
  SAM3TRT_UNROLL for (int half = 0; half < 2; ++half) {
    const int group = group_of(args, threads, half);
    means[half] = scales.mean[group];
    SAM3TRT_UNROLL for (int j = half * kGroupColumns; j < (half + 1) * kGroupColumns; ++j) {
      factors[j] = scales.scale[group] * args.gain[channel + j];
      shifts[j] = args.shift[channel + j];
    }
  }
  for_pixels<Warp>(args, threads, at.block_y, begin, end, [&](int64_t place, const float* values) {
    SixteenBytes chunk;
    SAM3TRT_UNROLL for (int j = 0; j < 4; ++j) {
      float pair[2];
      SAM3TRT_UNROLL for (int k = 0; k < 2; ++k) {
        const int c = 2 * j + k;
        const float value = values[c] - means[c / kGroupColumns];
        pair[k] = Warp::max(Warp::multiply_add(value, factors[c], shifts[c]), 0.0F);
      }
      chunk.words[j] = Warp::pack(pair[0], pair[1]);
    }
    *reinterpret_cast<SixteenBytes*>(args.result + place) = chunk;
  });
}

}  // namespace sam3trt
