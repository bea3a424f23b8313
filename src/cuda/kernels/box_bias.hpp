#pragma once

#include <cmath>
#include <cstdint>

#include "base/host_device.hpp"
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

inline constexpr int kBoxBiasHeads = 8;  ///< Of one thread, which reads the weights for all.
/// Lines of one thread, which reads the weights once for them.
inline constexpr int kBoxBiasLines = 2;

/// sign(8 d) log8(|8 d| + 1) (Meta's model/decoder.py, _get_rpb_matrix).
[[nodiscard]] SAM3TRT_HOST_DEVICE inline float log_distance(float line, float edge) {
  constexpr float kPerLog8 = 0.480898346962987773F;  // 1 / ln 8
  const float scaled = 8.0F * (line - edge);
  const float size = std::log(std::fabs(scaled) + 1.0F) * kPerLog8;
  return scaled < 0.0F ? -size : size;
}

SAM3TRT_HOST_DEVICE inline void box_bias_body(const BoxBiasArgs& args, KernelThread at) {
  const BoxBiasAxis& axis = args.axes[at.block_y];
  const auto first_head = static_cast<int>(at.block_z) * kBoxBiasHeads;
  const int64_t count = static_cast<int64_t>(args.prompts) * args.queries * axis.lines;
  const int64_t first = static_cast<int64_t>(at.block_x) * kBoxBiasLines * kBlockThreads;
  const auto last_head = args.heads - 1;
  int head_of[kBoxBiasHeads];
  float low[kBoxBiasLines];
  float high[kBoxBiasLines];
  float sums[kBoxBiasLines][kBoxBiasHeads];
  SAM3TRT_UNROLL for (int h = 0; h < kBoxBiasHeads; ++h) {
    head_of[h] = first_head + h < last_head ? first_head + h : last_head;
    SAM3TRT_UNROLL for (int n = 0; n < kBoxBiasLines; ++n) sums[n][h] = axis.bias[head_of[h]];
  }
  SAM3TRT_UNROLL for (int n = 0; n < kBoxBiasLines; ++n) {
    const int64_t index = first + n * int64_t{kBlockThreads} + at.thread;
    const auto query = static_cast<int>(index / axis.lines % args.queries);
    const int64_t prompt = index / axis.lines / args.queries;
    const int box = query - (args.queries - args.boxed);
    low[n] = high[n] = 0.0F;
    if (index >= count || box < 0) continue;
    const float* edges = args.boxes + (prompt * args.boxed + box) * 4 + axis.center;
    const float half = edges[2] * 0.5F;
    const float line = static_cast<float>(index % axis.lines) / static_cast<float>(axis.lines);
    low[n] = log_distance(line, edges[0] - half);
    high[n] = log_distance(line, edges[0] + half);
  }
  for (int m = 0; m < args.hidden; ++m) {
    const float of_low = axis.hidden_weight[m];
    const float of_high = axis.hidden_weight[args.hidden + m];
    const float base = axis.hidden_bias[m];
    const float* weight = axis.weight + static_cast<int64_t>(m) * args.heads;
    float active[kBoxBiasLines];
    SAM3TRT_UNROLL for (int n = 0; n < kBoxBiasLines; ++n) {
      const float sum = std::fma(high[n], of_high, std::fma(low[n], of_low, base));
      active[n] = sum < 0.0F ? 0.0F : sum;  // NaN stays
    }
    SAM3TRT_UNROLL for (int h = 0; h < kBoxBiasHeads; ++h) {
      const float of_head = weight[head_of[h]];
      SAM3TRT_UNROLL for (int n = 0; n < kBoxBiasLines; ++n) {
        sums[n][h] = std::fma(active[n], of_head, sums[n][h]);
      }
    }
  }
  SAM3TRT_UNROLL for (int n = 0; n < kBoxBiasLines; ++n) {
    const int64_t index = first + n * int64_t{kBlockThreads} + at.thread;
    if (index >= count) continue;
    const int64_t per_head = static_cast<int64_t>(args.queries) * axis.lines;
    const int64_t prompt = index / per_head;
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
