#pragma once

#include <cmath>
#include <cstdint>

#include "base/host_device.hpp"
#include "base/own_operators.hpp"
#include "cuda/kernels/thread.hpp"

namespace sam3trt {

/// The operator kQueryPosition (base/own_operators.hpp). Block x counts groups of
/// kQueryPositionRows rows of the result, block y strips of kBlockThreads of its columns.
struct QueryPositionArgs {
  const float* boxes = nullptr;          ///< [P, queries - unboxed, 4]
  const float* frequencies = nullptr;    ///< [frequency_count]
  const float* hidden_weight = nullptr;  ///< [8 * frequency_count, hidden]
  const float* hidden_bias = nullptr;    ///< [hidden]
  const float* weight = nullptr;         ///< [hidden, width]
  const float* bias = nullptr;           ///< [width]
  float* result = nullptr;               ///< [P, queries, width]
  int32_t prompts = 0;
  int32_t queries = 0;
  int32_t unboxed = 0;
  int32_t frequency_count = 0;
  int32_t hidden = 0;
  int32_t width = 0;

  [[nodiscard]] SAM3TRT_HOST_DEVICE int inputs() const { return 8 * frequency_count; }
};

inline constexpr int kQueryPositionRows = 8;  ///< Of a block, which reads all weights once.

/// Threads that share a column, each with a part of the layer's inputs: one prompt has few blocks,
/// and what they wait for is weights on their way, so that more threads have more of them under
/// way.
inline constexpr int kQueryPositionParts = 4;
inline constexpr unsigned kQueryPositionThreads = kQueryPositionParts * kBlockThreads;

/// Rows next to one another.
using QueryPositionColumns = float (*)[kQueryPositionRows];

/// What a block shares: inputs of both layers, and what each part found for a column; 48 KiB, the
/// most that a kernel has without asking.
struct QueryPositionRows {
  static_assert(kMaxQueryPositionHidden <= kBlockThreads);
  alignas(16) float encoded[kMaxQueryPositionInputs][kQueryPositionRows];
  alignas(16) float hidden[kMaxQueryPositionHidden][kQueryPositionRows];
  alignas(16) float parts[kQueryPositionParts - 1][kBlockThreads][kQueryPositionRows];
};

/// Which column of a strip and which part of the inputs a thread has.
struct QueryPositionShare {
  int column = 0;
  int part = 0;
  int first = 0;  ///< Of the inputs.
  int last = 0;

  SAM3TRT_HOST_DEVICE QueryPositionShare(KernelThread at, int inputs)
      : column(static_cast<int>(at.thread % kBlockThreads)),
        part(static_cast<int>(at.thread / kBlockThreads)),
        first(inputs * part / kQueryPositionParts),
        last(inputs * (part + 1) / kQueryPositionParts) {}
};

/// Rows times one column of the weights [inputs, outputs], over the inputs of a share.
SAM3TRT_HOST_DEVICE inline void multiply_rows(const float (*rows)[kQueryPositionRows],
                                              const QueryPositionShare& share, const float* weights,
                                              int outputs, int column,
                                              float (&sums)[kQueryPositionRows]) {
  constexpr int kStep = 16;  // weights that are on their way while others are used
  SAM3TRT_UNROLL for (float& sum : sums) sum = 0.0F;
  const auto use = [&](int k, float weight) {
    SAM3TRT_UNROLL for (int r = 0; r < kQueryPositionRows; ++r) {
      sums[r] = std::fma(rows[k][r], weight, sums[r]);
    }
  };
  const float* weight = weights + column;
  float next[kStep];
  const auto load = [&](int first) {
    const float* from = weight + static_cast<int64_t>(first) * outputs;
    SAM3TRT_UNROLL for (int i = 0; i < kStep; ++i, from += outputs) next[i] = *from;
  };
  int k = share.first;
  if (k + kStep <= share.last) load(k);
  for (; k + kStep <= share.last; k += kStep) {
    float now[kStep];
    SAM3TRT_UNROLL for (int i = 0; i < kStep; ++i) now[i] = next[i];
    if (k + 2 * kStep <= share.last) load(k + kStep);
    SAM3TRT_UNROLL for (int i = 0; i < kStep; ++i) use(k + i, now[i]);
  }
  for (; k < share.last; ++k) use(k, weight[static_cast<int64_t>(k) * outputs]);
}

/// Where a part leaves what it found for the columns of a strip; `first` is that of the first part.
[[nodiscard]] SAM3TRT_HOST_DEVICE inline QueryPositionColumns found_by(QueryPositionRows& shared,
                                                                       QueryPositionColumns first,
                                                                       int part) {
  return part == 0 ? first : shared.parts[part - 1];
}

/// What all parts found for a row of a column.
[[nodiscard]] SAM3TRT_HOST_DEVICE inline float sum_of_parts(QueryPositionRows& shared,
                                                            QueryPositionColumns first, int column,
                                                            int row) {
  float sum = first[column][row];
  SAM3TRT_UNROLL for (const auto& part : shared.parts) sum += part[column][row];
  return sum;
}

/// The numbers of a row's box, or null where it has none.
[[nodiscard]] SAM3TRT_HOST_DEVICE inline const float* box_of(const QueryPositionArgs& args,
                                                             int64_t row) {
  const int64_t prompt = row / args.queries;
  const int64_t box = row % args.queries - args.unboxed;
  if (prompt >= args.prompts || box < 0) return nullptr;
  return args.boxes + (prompt * (args.queries - args.unboxed) + box) * 4;
}

/// Before the block waits: sines and cosines.
SAM3TRT_HOST_DEVICE inline void query_position_encode_body(const QueryPositionArgs& args,
                                                           KernelThread at,
                                                           QueryPositionRows& shared) {
  const int64_t first_row = static_cast<int64_t>(at.block_x) * kQueryPositionRows;
  const int per_coordinate = 2 * args.frequency_count;
  const auto count = static_cast<unsigned>(args.inputs() * kQueryPositionRows);
  for (unsigned i = at.thread; i < count; i += kQueryPositionThreads) {
    const auto row = static_cast<int>(i % kQueryPositionRows);
    const auto input = static_cast<int>(i / kQueryPositionRows);
    const float* box = box_of(args, first_row + row);
    float value = 0.0F;
    if (box != nullptr) {
      const int coordinate = input / per_coordinate;
      const int within = input % per_coordinate;
      const bool sine = within < args.frequency_count;
      const float frequency = args.frequencies[sine ? within : within - args.frequency_count];
      // Of cx cy w h the first two change places.
      const float angle = box[coordinate < 2 ? 1 - coordinate : coordinate] * frequency;
      value = sine ? std::sin(angle) : std::cos(angle);
    }
    shared.encoded[input][row] = value;
  }
}

/// Before the block waits again: each part of the first layer.
SAM3TRT_HOST_DEVICE inline void query_position_hidden_body(const QueryPositionArgs& args,
                                                           KernelThread at,
                                                           QueryPositionRows& shared) {
  const QueryPositionShare share(at, args.inputs());
  if (share.column >= args.hidden) return;
  float sums[kQueryPositionRows];
  multiply_rows(shared.encoded, share, args.hidden_weight, args.hidden, share.column, sums);
  const QueryPositionColumns found = found_by(shared, shared.hidden, share.part);
  SAM3TRT_UNROLL for (int r = 0; r < kQueryPositionRows; ++r) found[share.column][r] = sums[r];
}

/// Before it waits again: the first layer as a whole. A thread has some rows of a column.
SAM3TRT_HOST_DEVICE inline void query_position_join_body(const QueryPositionArgs& args,
                                                         KernelThread at,
                                                         QueryPositionRows& shared) {
  const QueryPositionShare share(at, args.inputs());
  if (share.column >= args.hidden) return;
  for (int r = share.part; r < kQueryPositionRows; r += kQueryPositionParts) {
    const float sum =
        args.hidden_bias[share.column] + sum_of_parts(shared, shared.hidden, share.column, r);
    shared.hidden[share.column][r] = sum < 0.0F ? 0.0F : sum;  // NaN stays
  }
}

/// Before it waits again: each part of the second layer. What was encoded is not read any more.
SAM3TRT_HOST_DEVICE inline void query_position_output_body(const QueryPositionArgs& args,
                                                           KernelThread at,
                                                           QueryPositionRows& shared) {
  static_assert(kMaxQueryPositionInputs >= kBlockThreads);
  const QueryPositionShare share(at, args.hidden);
  const int column = static_cast<int>(at.block_y * kBlockThreads) + share.column;
  if (column >= args.width) return;
  float sums[kQueryPositionRows];
  multiply_rows(shared.hidden, share, args.weight, args.width, column, sums);
  const QueryPositionColumns found = found_by(shared, shared.encoded, share.part);
  SAM3TRT_UNROLL for (int r = 0; r < kQueryPositionRows; ++r) found[share.column][r] = sums[r];
}

/// The result; zeros where there is no box.
SAM3TRT_HOST_DEVICE inline void query_position_write_body(const QueryPositionArgs& args,
                                                          KernelThread at,
                                                          QueryPositionRows& shared) {
  const int64_t first_row = static_cast<int64_t>(at.block_x) * kQueryPositionRows;
  const int64_t rows = static_cast<int64_t>(args.prompts) * args.queries;
  const QueryPositionShare share(at, args.hidden);
  const int column = static_cast<int>(at.block_y * kBlockThreads) + share.column;
  if (column >= args.width) return;
  for (int r = share.part; r < kQueryPositionRows; r += kQueryPositionParts) {
    const int64_t row = first_row + r;
    if (row >= rows) continue;
    const float sum = args.bias[column] + sum_of_parts(shared, shared.encoded, share.column, r);
    args.result[row * args.width + column] = row % args.queries >= args.unboxed ? sum : 0.0F;
  }
}

}  // namespace sam3trt
