#pragma once

#include "cuda/kernels/memory_attention.hpp"

namespace sam3trt {

/// Sizes of a block of the form below: warpgroups that multiply, 64 queries each, and stages of
/// keys and of values; registers of a thread that multiplies, and of one that copies. A block has a
/// multiprocessor to itself. kKeepsTop: exponentials are relative to a top that stays while it can,
/// which is quicker except where products take nearly all of the time: keys then have to stay until
/// it is known.
template <int kValueDim>
struct MemoryWarpgroupSizes;
template <>
struct MemoryWarpgroupSizes<64> {
  static constexpr int kGroups = 3;
  static constexpr int kKeyStages = 3;
  static constexpr int kValueStages = 3;
  static constexpr int kRegisters = 160;
  static constexpr int kCopyingRegisters = 32;
  static constexpr bool kKeepsTop = true;
};
template <>
struct MemoryWarpgroupSizes<256> {
  static constexpr int kGroups = 2;
  static constexpr int kKeyStages = 3;
  static constexpr int kValueStages = 2;
  static constexpr int kRegisters = 232;
  static constexpr int kCopyingRegisters = 40;
  static constexpr bool kKeepsTop = false;
};

/// Memory attention by wgmma, the matrix instruction of compute capability 9.0. The last warpgroup
/// copies keys and values into stages, the others multiply (FlashAttention-3: Shah et al. 2024,
/// section 3). While one of them computes exponentials, its products with the values of the tile
/// before and the products of the others are under way.
template <int kValueDim, typename Warp>
class WarpgroupMemoryAttention
    : public MemoryAttentionCore<64 * MemoryWarpgroupSizes<kValueDim>::kGroups, kValueDim, Warp> {
 public:
  using Sizes = MemoryWarpgroupSizes<kValueDim>;
  using Core = MemoryAttentionCore<64 * Sizes::kGroups, kValueDim, Warp>;
  static constexpr int kMultiplying = 128 * Sizes::kGroups;  // threads
  static constexpr int kThreads = kMultiplying + 128;
  static constexpr int kBarriers = 2 * (Sizes::kKeyStages + Sizes::kValueStages);
  /// Queries, stages, barriers, then a float of each thread that multiplies.
  static constexpr int kSharedElements =
      Core::kQueryElements + Sizes::kKeyStages * Core::kKeyElements +
      Sizes::kValueStages * Core::kValueElements + kBarriers * 4 + kMultiplying * 2;

  SAM3TRT_DEVICE WarpgroupMemoryAttention(const MemoryAttentionArgs& args, Warp& warp,
                                          uint16_t* shared)
      : Core(args, warp, shared) {}

  SAM3TRT_DEVICE void run() {
    if (this->thread_ == 0) make_barriers();
    warp().sync_block();
    if (this->thread_ >= kMultiplying) {
      warp().template give_registers<Sizes::kCopyingRegisters>();
      if (this->thread_ == kMultiplying) copy_all();
    } else {
      warp().template take_registers<Sizes::kRegisters>();
      multiply_all();
    }
  }

 private:
  using typename Core::Scores;
  static_assert(registers_suffice(kMultiplying, Sizes::kRegisters, kThreads - kMultiplying,
                                  Sizes::kCopyingRegisters));
  // Values are used up one tile later than keys.
  static_assert(Sizes::kKeyStages >= 2 && Sizes::kValueStages >= 2);

  [[nodiscard]] SAM3TRT_DEVICE Warp& warp() const { return this->warp_; }

  /// The turn-th tile that this block copies, whichever it is.
  [[nodiscard]] SAM3TRT_DEVICE uint16_t* keys(int turn) const {
    return this->shared_ + Core::kQueryElements + turn % Sizes::kKeyStages * Core::kKeyElements;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint16_t* values(int turn) const {
    return this->shared_ + Core::kQueryElements + Sizes::kKeyStages * Core::kKeyElements +
           turn % Sizes::kValueStages * Core::kValueElements;
  }

  /// Barriers of the stages: of keys that are there, of keys that are used up, the same of values.
  [[nodiscard]] SAM3TRT_DEVICE uint64_t* barriers() const {
    return reinterpret_cast<uint64_t*>(this->shared_ + kSharedElements - kMultiplying * 2) -
           kBarriers;
  }
  [[nodiscard]] SAM3TRT_DEVICE float* unread() const {
    return reinterpret_cast<float*>(barriers() + kBarriers) + this->thread_;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint64_t* keys_filled(int turn) const {
    return barriers() + turn % Sizes::kKeyStages;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint64_t* keys_used(int turn) const {
    return keys_filled(turn) + Sizes::kKeyStages;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint64_t* values_filled(int turn) const {
    return barriers() + 2 * Sizes::kKeyStages + turn % Sizes::kValueStages;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint64_t* values_used(int turn) const {
    return values_filled(turn) + Sizes::kValueStages;
  }
  /// How often a stage was filled before it took this tile, by its last bit.
  [[nodiscard]] static SAM3TRT_DEVICE int round_of(int turn, int stages) {
    return turn / stages % 2;
  }

  SAM3TRT_DEVICE void make_barriers() {
    for (int i = 0; i < Sizes::kKeyStages; ++i) {
      warp().init_barrier(keys_filled(i), 1);
      warp().init_barrier(keys_used(i), kMultiplying / 32);
    }
    for (int i = 0; i < Sizes::kValueStages; ++i) {
      warp().init_barrier(values_filled(i), 1);
      warp().init_barrier(values_used(i), kMultiplying / 32);
    }
    warp().fence_shared();
  }

  SAM3TRT_DEVICE void copy_all() {
    int turn = 0;
    this->work_.for_each(warp().block_x(), [&](int tile, int first, int last) {
      const uint16_t* from = this->tile_at(tile, first);
      for (int key = first; key < last; ++key, ++turn) {
        if (turn >= Sizes::kKeyStages) {
          warp().wait_barrier(keys_used(turn), round_of(turn, Sizes::kKeyStages) ^ 1);
        }
        warp().template copy_bulk<Core::kKeyElements>(keys(turn), from, keys_filled(turn));
        if (turn >= Sizes::kValueStages) {
          warp().wait_barrier(values_used(turn), round_of(turn, Sizes::kValueStages) ^ 1);
        }
        warp().template copy_bulk<Core::kValueElements>(values(turn), from + Core::kKeyElements,
                                                        values_filled(turn));
        from += memory_tile_elements(kValueDim);
      }
    });
  }

  SAM3TRT_DEVICE void multiply_all() {
    int turn = 0;
    this->work_.for_each(warp().block_x(), [&](int tile, int first, int last) {
      warp().sync_group();  // nobody reads the group's queries any more
      this->begin_tile(tile);
      warp().fence_shared();
      warp().sync_group();
      start_scores(turn);
      soften_scores(first);
      release(keys_used(turn));
      pack_scores();
      for (int key = first + 1; key < last; ++key, ++turn) {
        start_scores(turn + 1);
        start_mixing(turn);
        soften_and_mix(key, turn + 1);
        release(values_used(turn));
        pack_scores();
      }
      start_mixing(turn);
      end_mixing();
      release(values_used(turn++));
      this->end_tile(tile, first, last);
    });
  }

  /// What start_scores() began becomes exponentials, with a top of its own.
  SAM3TRT_DEVICE void soften_scores(int key) {
    warp().template wait_products<0>();
    warp().hold(scores_[0]);
    this->soften(scores_, key);
  }

  /// The same while products with values go on, to their end.
  SAM3TRT_DEVICE void soften_and_mix(int key, int turn) {
    warp().template wait_products<1>();
    warp().hold(scores_[0]);
    if constexpr (Sizes::kKeepsTop) {
      keep_top(key, turn);
      release(keys_used(turn));
    } else {
      release(keys_used(turn));
      this->template soften<true>(scores_, key);
      warp().settle(this->softmax_.sum(0, 0) + this->softmax_.sum(0, 1), unread());
      end_mixing();
      if (this->softmax_.raised(warp())) this->rescale();
    }
  }

  /// With the top as it is, if it can stay: the group decides together, as it multiplies together.
  SAM3TRT_DEVICE void keep_top(int key, int turn) {
    this->hide_missing_keys(scores_, key);
    const bool fits = this->softmax_.soften_below(scores_);
    const bool again = warp().any_in_group(!fits);
    end_mixing();
    if (again) {
      start_scores(turn);
      soften_scores(key);
      this->rescale();
    } else {
      this->softmax_.keep();
    }
  }

  SAM3TRT_DEVICE void pack_scores() {
    SAM3TRT_UNROLL for (int k = 0; k < Core::kSteps; ++k) {
      Core::Softmax::pack(scores_, 0, k, packed_[k]);
    }
  }

  SAM3TRT_DEVICE void end_mixing() {
    warp().template wait_products<0>();
    SAM3TRT_UNROLL for (int part = 0; part < Core::kValueParts; ++part) {
      warp().hold(this->mixed_[part]);
    }
  }

  SAM3TRT_DEVICE void release(uint64_t* used) {
    if (this->lane_ == 0) warp().arrive(used);
  }

  SAM3TRT_DEVICE void start_mixing(int turn) {
    warp().wait_barrier(values_filled(turn), round_of(turn, Sizes::kValueStages));
    SAM3TRT_UNROLL for (int part = 0; part < Core::kValueParts; ++part) {
      warp().hold(this->mixed_[part]);
    }
    warp().fence_products();
    SAM3TRT_UNROLL for (int part = 0; part < Core::kValueParts; ++part) {
      SAM3TRT_UNROLL for (int k = 0; k < Core::kSteps; ++k) {
        warp().template multiply_packed<kMemoryPartChannels>(
            this->mixed_[part], packed_[k], values(turn) + part * kMemoryPartElements, k);
      }
    }
    warp().commit_products();
  }

  SAM3TRT_DEVICE void start_scores(int turn) {
    warp().wait_barrier(keys_filled(turn), round_of(turn, Sizes::kKeyStages));
    warp().hold(scores_[0]);
    warp().fence_products();
    SAM3TRT_UNROLL for (int part = 0; part < kMemoryParts; ++part) {
      SAM3TRT_UNROLL for (int k = 0; k < Core::kSteps; ++k) {
        warp().template multiply_shared<kMemoryPartChannels>(
            scores_[0], this->queries(part), keys(turn) + part * kMemoryPartElements, k,
            part + k > 0);
      }
    }
    warp().commit_products();
  }

  Scores scores_;
  uint32_t packed_[Core::kSteps][4];
};

}  // namespace sam3trt
