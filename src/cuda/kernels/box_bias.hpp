#pragma once

#include <cmath>
#include <cstdint>

#include "base/host_device.hpp"
#include "base/own_operators.hpp"
#include "cuda/kernels/thread.hpp"

namespace sam3trt {

/// The bias that rows or columns of a grid have by where the edges of a query's box lie.
struct BoxBiasAxis {
  const float* hidden_weight = nullptr;  ///< [2, hidden]: of the distances to both edges
  const float* hidden_bias = nullptr;    ///< [hidden]
  const float* weight = nullptr;         ///< [hidden, heads]
  const float* bias = nullptr;           ///< [heads]
  float* result = nullptr;               ///< [P, heads, queries, lines]
  int32_t lines = 0;                     ///< Rows or columns of the grid.
  int32_t center = 0;                    ///< Which number of a box is its center; 2 on, its extent.
};

/// MLPs of the signed logarithmic distances of lines to edges (kGridAttention,
/// base/own_operators.hpp). Block y is the axis, z counts groups of kBoxBiasHeads heads.
struct BoxBiasArgs {
  const float* boxes = nullptr;  ///< [P, boxed, 4] cx cy w h in 0..1, of the last queries
  BoxBiasAxis axes[2];
  int32_t prompts = 0;
  int32_t queries = 0;
  int32_t boxed = 0;  ///< Queries that have a box; others have no bias.
  int32_t hidden = 0;
  int32_t heads = 0;
};

inline constexpr int kBoxBiasHeads = 8;  ///< Of one thread.
inline constexpr int kBoxBiasLines = 2;  ///< Of one thread, which reads weights once for both.

/// The weights of a block's axis and heads, which it shares: each hidden value's own, then those of
/// the heads, so that they are read together.
struct BoxBiasWeights {
  struct Hidden {
    alignas(16) float low;  ///< Of the distance to the edge at the smaller coordinate.
    float high;
    float bias;
    float unused;
    alignas(16) float heads[kBoxBiasHeads];
  };
  Hidden hidden[kMaxBoxBiasHidden];
};

/// sign(8 d) log8(|8 d| + 1) (Meta's model/decoder.py, _get_rpb_matrix).
[[nodiscard]] SAM3TRT_HOST_DEVICE inline float log_distance(float line, float edge) {
  constexpr float kPerLog8 = 0.480898346962987773F;  // 1 / ln 8
  const float scaled = 8.0F * (line - edge);
  const float size = std::log(std::fabs(scaled) + 1.0F) * kPerLog8;
  return scaled < 0.0F ? -size : size;
}

/// Before the block waits: the weights.
SAM3TRT_HOST_DEVICE inline void box_bias_load_body(const BoxBiasArgs& args, KernelThread at,
                                                   BoxBiasWeights& shared) {
  const BoxBiasAxis& axis = args.axes[at.block_y];
  const auto first_head = static_cast<int>(at.block_z) * kBoxBiasHeads;
  for (auto m = static_cast<int>(at.thread); m < args.hidden; m += kBlockThreads) {
    shared.hidden[m].low = axis.hidden_weight[m];
    shared.hidden[m].high = axis.hidden_weight[args.hidden + m];
    shared.hidden[m].bias = axis.hidden_bias[m];
  }
  for (auto i = static_cast<int>(at.thread); i < args.hidden * kBoxBiasHeads; i += kBlockThreads) {
    const int m = i / kBoxBiasHeads;
    const int head = first_head + i % kBoxBiasHeads;
    shared.hidden[m].heads[i % kBoxBiasHeads] =
        head < args.heads ? axis.weight[static_cast<int64_t>(m) * args.heads + head] : 0.0F;
  }
}

/// The distances of a line to the edges of its query's box; zeros where there is none.
SAM3TRT_HOST_DEVICE inline void box_distances(const BoxBiasArgs& args, const BoxBiasAxis& axis,
                                              int64_t index, float& low, float& high) {
  const auto query = static_cast<int>(index / axis.lines % args.queries);
  const int64_t prompt = index / axis.lines / args.queries;
  const int box = query - (args.queries - args.boxed);
  low = high = 0.0F;
  if (prompt >= args.prompts || box < 0) return;
  const float* numbers = args.boxes + (prompt * args.boxed + box) * 4 + axis.center;
  const float half = numbers[2] * 0.5F;
  const float line = static_cast<float>(index % axis.lines) / static_cast<float>(axis.lines);
  low = log_distance(line, numbers[0] - half);
  high = log_distance(line, numbers[0] + half);
}

SAM3TRT_HOST_DEVICE inline void box_bias_body(const BoxBiasArgs& args, KernelThread at,
                                              const BoxBiasWeights& shared) {
  const BoxBiasAxis& axis = args.axes[at.block_y];
  const auto first_head = static_cast<int>(at.block_z) * kBoxBiasHeads;
  const int64_t first = static_cast<int64_t>(at.block_x) * kBoxBiasLines * kBlockThreads;
  float low[kBoxBiasLines];
  float high[kBoxBiasLines];
  float sums[kBoxBiasLines][kBoxBiasHeads];
  SAM3TRT_UNROLL for (int n = 0; n < kBoxBiasLines; ++n) {
    const int64_t index = first + n * int64_t{kBlockThreads} + at.thread;
    box_distances(args, axis, index, low[n], high[n]);
    SAM3TRT_UNROLL for (int h = 0; h < kBoxBiasHeads; ++h) {
      sums[n][h] = first_head + h < args.heads ? axis.bias[first_head + h] : 0.0F;
    }
  }
  for (int m = 0; m < args.hidden; ++m) {
    const BoxBiasWeights::Hidden& weights = shared.hidden[m];
    SAM3TRT_UNROLL for (int n = 0; n < kBoxBiasLines; ++n) {
      const float sum =
          std::fma(high[n], weights.high, std::fma(low[n], weights.low, weights.bias));
      const float active = sum < 0.0F ? 0.0F : sum;  // NaN stays
      SAM3TRT_UNROLL for (int h = 0; h < kBoxBiasHeads; ++h) {
        sums[n][h] = std::fma(active, weights.heads[h], sums[n][h]);
      }
    }
  }
  const int64_t per_head = static_cast<int64_t>(args.queries) * axis.lines;
  SAM3TRT_UNROLL for (int n = 0; n < kBoxBiasLines; ++n) {
    const int64_t index = first + n * int64_t{kBlockThreads} + at.thread;
    const int64_t prompt = index / per_head;
    if (prompt >= args.prompts) continue;
    const int64_t within = index % per_head;
    const bool boxed = within / axis.lines >= args.queries - args.boxed;
    SAM3TRT_UNROLL for (int h = 0; h < kBoxBiasHeads; ++h) {
      if (first_head + h >= args.heads) continue;
      float* to = axis.result + (prompt * args.heads + first_head + h) * per_head + within;
      *to = boxed ? sums[n][h] : 0.0F;
    }
  }
}

}  // namespace sam3trt
