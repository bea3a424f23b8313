#pragma once

#include <cstdint>

#include "base/host_device.hpp"
#include "base/sigmoid.hpp"
#include "cuda/kernels/thread.hpp"

namespace sam3trt {

/// Most queries of a detector that the kernel takes.
inline constexpr int32_t kMaxQueries = 1024;

/// The detections of P prompts with Q queries each, in M slots per prompt, as select_detections
/// picks them: score = sigmoid(logit) * sigmoid(presence) > threshold, by falling score, equal
/// scores by rising query. All pointers are addresses of the GPU.
struct SelectArgs {
  const float* logits = nullptr;    ///< [P, Q]
  const float* presence = nullptr;  ///< [P]
  const float* boxes = nullptr;     ///< [P, Q, 4] x0 y0 x1 y1 in 0..1
  const float* size = nullptr;      ///< [P, 2] width and height of the prompt's picture in pixels
  int32_t prompts = 0;
  int32_t queries = 0;  ///< At most kMaxQueries.
  int32_t slots = 0;
  float threshold = 0;
  int32_t* count = nullptr;        ///< [P] kept queries; only the first M of them are written
  int64_t* query_index = nullptr;  ///< [P, M] unused slots hold 0
  float* score = nullptr;          ///< [P, M] unused slots hold 0
  float* box = nullptr;            ///< [P, M, 4] pixels, not clipped; unused slots hold 0
};

/// Which of `rows` rows of `count` values hold NaN or infinity. All pointers are addresses of the
/// GPU.
struct FiniteArgs {
  const float* values = nullptr;  ///< [rows, count]
  int64_t rows = 0;
  int64_t count = 0;
  int32_t* broken = nullptr;  ///< [rows] set to 1 then; otherwise left alone.
};

/// x is a value of a row, y a row.
SAM3TRT_HOST_DEVICE inline void find_nonfinite_body(const FiniteArgs& args, KernelThread at) {
  if (at.x() >= args.count) return;
  for (int64_t row = at.block_y; row < args.rows; row += at.blocks_y) {
    const float value = args.values[row * args.count + at.x()];
    // Several threads may get here; volatile stores of different threads do not race on a GPU.
    if (!(value - value == 0.0F)) *static_cast<volatile int32_t*>(args.broken + row) = 1;
  }
}

/// Scores of queries that are not kept; real ones are never negative.
inline constexpr float kNotKept = -1.0F;

/// One block per prompt (x). Before the barrier: `scores`, shared by the block, has Q entries.
SAM3TRT_HOST_DEVICE inline void select_score_body(const SelectArgs& args, KernelThread at,
                                                  float* scores) {
  const float* logits = args.logits + static_cast<int64_t>(at.block_x) * args.queries;
  const float presence = sigmoid(args.presence[at.block_x]);
  for (auto q = static_cast<int32_t>(at.thread); q < args.queries;
       q += static_cast<int32_t>(kBlockThreads)) {
    const float score = sigmoid(logits[q]) * presence;
    scores[q] = score > args.threshold ? score : kNotKept;
  }
}

/// Puts query q of the prompt into `slot`; q < 0 leaves the slot unused.
SAM3TRT_HOST_DEVICE inline void fill_slot(const SelectArgs& args, int64_t prompt, int32_t slot,
                                          int32_t q, float score) {
  const int64_t to = prompt * args.slots + slot;
  args.query_index[to] = q < 0 ? 0 : q;
  args.score[to] = q < 0 ? 0.0F : score;
  for (int i = 0; i < 4; ++i) {
    args.box[to * 4 + i] =
        q < 0 ? 0.0F
              : args.boxes[(prompt * args.queries + q) * 4 + i] * args.size[prompt * 2 + i % 2];
  }
}

/// After the barrier: a query's slot is the number of kept queries that come before it.
SAM3TRT_HOST_DEVICE inline void select_write_body(const SelectArgs& args, KernelThread at,
                                                  const float* scores) {
  constexpr auto kStep = static_cast<int32_t>(kBlockThreads);
  const auto thread = static_cast<int32_t>(at.thread);
  int32_t kept = 0;
  for (int32_t q = 0; q < args.queries; ++q) kept += scores[q] != kNotKept ? 1 : 0;
  if (thread == 0) args.count[at.block_x] = kept;
  for (int32_t q = thread; q < args.queries; q += kStep) {
    if (scores[q] == kNotKept) continue;
    int32_t slot = 0;
    for (int32_t other = 0; other < args.queries; ++other) {
      const bool before = scores[other] > scores[q] || (scores[other] == scores[q] && other < q);
      slot += before ? 1 : 0;
    }
    if (slot < args.slots) fill_slot(args, at.block_x, slot, q, scores[q]);
  }
  for (int32_t slot = kept + thread; slot < args.slots; slot += kStep) {
    fill_slot(args, at.block_x, slot, -1, 0.0F);
  }
}

}  // namespace sam3trt
