#pragma once

#include "cuda/kernels/memory_attention.hpp"

namespace sam3trt {

/// Memory attention by mma.m16n8k16, which every GPU of compute capability 8.0 and later has. One
/// buffer of keys and one of values: the next keys come while values are mixed, the next values
/// while scores are made.
template <int kValueDim, typename Warp>
class MmaMemoryAttention : public MemoryAttentionCore<64, kValueDim, Warp> {
 public:
  using Core = MemoryAttentionCore<64, kValueDim, Warp>;
  static constexpr int kThreads = 128;
  static constexpr int kSharedElements =
      Core::kQueryElements + Core::kKeyElements + Core::kValueElements;

  SAM3TRT_DEVICE MmaMemoryAttention(const MemoryAttentionArgs& args, Warp& warp, uint16_t* shared)
      : Core(args, warp, shared) {}

  SAM3TRT_DEVICE void run() {
    this->work_.for_each(warp().block_x(), [&](int tile, int first, int last) {
      warp().sync_block();  // nobody reads keys, values or queries any more
      copy_keys(tile, first);
      copy_values(tile, first);
      this->begin_tile(tile);
      for (int key = first; key < last; ++key) step(tile, key, key + 1 < last);
      this->end_tile(tile, first, last);
    });
  }

 private:
  using typename Core::Scores;

  [[nodiscard]] SAM3TRT_DEVICE Warp& warp() const { return this->warp_; }
  [[nodiscard]] SAM3TRT_DEVICE uint16_t* keys() const {
    return this->shared_ + Core::kQueryElements;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint16_t* values() const { return keys() + Core::kKeyElements; }

  /// The tiles lie as shared memory wants them.
  template <int kElements>
  SAM3TRT_DEVICE void copy(uint16_t* to, const uint16_t* from) {
    for (int i = this->thread_; i < kElements / 8; i += kThreads) {
      warp().copy_chunk(to + i * 8, from + i * 8, true);
    }
    warp().commit_copies();
  }
  SAM3TRT_DEVICE void copy_keys(int tile, int key) {
    copy<Core::kKeyElements>(keys(), this->tile_at(tile, key));
  }
  SAM3TRT_DEVICE void copy_values(int tile, int key) {
    copy<Core::kValueElements>(values(), this->tile_at(tile, key) + Core::kKeyElements);
  }

  SAM3TRT_DEVICE void step(int tile, int key, bool more) {
    warp().template wait_copies<1>();
    warp().sync_block();
    multiply_keys();
    warp().sync_block();
    if (more) {
      copy_keys(tile, key + 1);
    } else {
      warp().commit_copies();
    }
    this->soften(scores_, key);
    this->rescale();
    warp().template wait_copies<1>();
    warp().sync_block();
    multiply_values();
    warp().sync_block();
    if (more) {
      copy_values(tile, key + 1);
    } else {
      warp().commit_copies();
    }
  }

  /// scores = Q K^T of this warp's queries.
  SAM3TRT_DEVICE void multiply_keys() {
    for (int n = 0; n < kMemoryKeys / 8; ++n) {
      for (int i = 0; i < 4; ++i) scores_[0][n][i] = 0;
    }
    const int row = this->lane_ / 16 * 8 + this->lane_ % 8;
    for (int part = 0; part < kMemoryParts; ++part) {
      const uint16_t* keys = this->keys() + part * kMemoryPartElements;
      for (int k = 0; k < Core::kSteps; ++k) {
        uint32_t a[4];
        warp().load_matrices(
            a, this->queries(part) +
                   Core::Place::place(this->line_ + this->lane_ % 16, 2 * k + this->lane_ / 16));
        for (int n = 0; n < kMemoryKeys / 8; n += 2) {
          uint32_t b[4];
          warp().load_matrices(b,
                               keys + Core::Place::place(8 * n + row, 2 * k + this->lane_ / 8 % 2));
          warp().multiply(scores_[0][n], a, b[0], b[1]);
          warp().multiply(scores_[0][n + 1], a, b[2], b[3]);
        }
      }
    }
  }

  /// mixed += P V.
  SAM3TRT_DEVICE void multiply_values() {
    for (int k = 0; k < kMemoryKeys / 16; ++k) {
      uint32_t a[4];
      Core::Softmax::pack(scores_, 0, k, a);
      SAM3TRT_UNROLL for (int part = 0; part < Core::kValueParts; ++part) {
        const uint16_t* values = this->values() + part * kMemoryPartElements;
        for (int n = 0; n < 8; n += 2) {
          uint32_t b[4];
          warp().load_transposed(
              b, values + Core::Place::place(16 * k + this->lane_ % 16, n + this->lane_ / 16));
          warp().multiply(this->mixed_[part][n], a, b[0], b[1]);
          warp().multiply(this->mixed_[part][n + 1], a, b[2], b[3]);
        }
      }
    }
  }

  Scores scores_;
};

}  // namespace sam3trt
