#pragma once

#include <cmath>
#include <cstdint>

#include "base/host_device.hpp"
#include "base/own_operators.hpp"
#include "cuda/kernels/thread.hpp"

namespace sam3trt {

/// The operator kQueryPosition (base/own_operators.hpp). Block x counts groups of
/// kQueryPositionRows rows of the result.
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

/// What a block shares: inputs of both layers, rows next to one another.
struct QueryPositionRows {
  alignas(16) float encoded[kMaxQueryPositionInputs][kQueryPositionRows];
  alignas(16) float hidden[kMaxQueryPositionHidden][kQueryPositionRows];
};

/// sums += rows * one column of the weights [inputs, outputs].
SAM3TRT_HOST_DEVICE inline void multiply_rows(const float (*rows)[kQueryPositionRows], int inputs,
                                              const float* weights, int outputs, int column,
                                              float (&sums)[kQueryPositionRows]) {
  constexpr int kStep = 16;  // weights that are on their way while others are used
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
  int k = 0;
  if (kStep <= inputs) load(0);
  for (; k + kStep <= inputs; k += kStep) {
    float now[kStep];
    SAM3TRT_UNROLL for (int i = 0; i < kStep; ++i) now[i] = next[i];
    if (k + 2 * kStep <= inputs) load(k + kStep);
    SAM3TRT_UNROLL for (int i = 0; i < kStep; ++i) use(k + i, now[i]);
  }
  for (; k < inputs; ++k) use(k, weight[static_cast<int64_t>(k) * outputs]);
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
  for (unsigned i = at.thread; i < count; i += kBlockThreads) {
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

/// Before the block waits again: the first layer.
SAM3TRT_HOST_DEVICE inline void query_position_hidden_body(const QueryPositionArgs& args,
                                                           KernelThread at,
                                                           QueryPositionRows& shared) {
  for (auto column = static_cast<int>(at.thread); column < args.hidden; column += kBlockThreads) {
    float sums[kQueryPositionRows];
    SAM3TRT_UNROLL for (float& sum : sums) sum = args.hidden_bias[column];
    multiply_rows(shared.encoded, args.inputs(), args.hidden_weight, args.hidden, column, sums);
    SAM3TRT_UNROLL for (int r = 0; r < kQueryPositionRows; ++r) {
      shared.hidden[column][r] = sums[r] < 0.0F ? 0.0F : sums[r];  // NaN stays
    }
  }
}

/// The second layer; zeros where there is no box.
SAM3TRT_HOST_DEVICE inline void query_position_output_body(const QueryPositionArgs& args,
                                                           KernelThread at,
                                                           const QueryPositionRows& shared) {
  const int64_t first_row = static_cast<int64_t>(at.block_x) * kQueryPositionRows;
  const int64_t rows = static_cast<int64_t>(args.prompts) * args.queries;
  for (auto column = static_cast<int>(at.thread); column < args.width; column += kBlockThreads) {
    float sums[kQueryPositionRows];
    SAM3TRT_UNROLL for (float& sum : sums) sum = args.bias[column];
    multiply_rows(shared.hidden, args.hidden, args.weight, args.width, column, sums);
    SAM3TRT_UNROLL for (int r = 0; r < kQueryPositionRows; ++r) {
      const int64_t row = first_row + r;
      if (row >= rows) continue;
      const bool boxed = row % args.queries >= args.unboxed;
      args.result[row * args.width + column] = boxed ? sums[r] : 0.0F;
    }
  }
}

}  // namespace sam3trt
