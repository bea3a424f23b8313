#pragma once

#include "cuda/kernels/attention.hpp"

namespace sam3trt {

/// Sizes of a block of the form below, which has a multiprocessor to itself: a warpgroup per 64
/// queries, which multiplies, and one that copies; the keys that are looked at together, and
/// registers of a thread of each.
template <int kDim>
struct WarpgroupTile;
/// SAM 3's fusion encoder: 5184 queries.
template <>
struct WarpgroupTile<32> {
  static constexpr int kQueries = 192;
  static constexpr int kKeys = 96;
  static constexpr int kMultiplyingRegisters = 160;
  static constexpr int kCopyingRegisters = 32;
};
/// SAM 3's vision encoder: windows of 576 queries, and 5184. With more keys registers would not do.
template <>
struct WarpgroupTile<64> {
  static constexpr int kQueries = 256;
  static constexpr int kKeys = 64;
  static constexpr int kMultiplyingRegisters = 112;
  static constexpr int kCopyingRegisters = 32;
};

/// And what follows from them.
template <int kDim>
struct WarpgroupSizes : WarpgroupTile<kDim> {
  using Tile =
      AttentionSizes<kDim, WarpgroupTile<kDim>::kQueries, WarpgroupTile<kDim>::kKeys, 1, false>;
  static constexpr int kMultiplyingThreads = Tile::kQueries * 2;
  static constexpr int kCopyingThreads = 128;
  static constexpr int kThreads = kMultiplyingThreads + kCopyingThreads;
  static_assert(registers_suffice(kMultiplyingThreads, WarpgroupTile<kDim>::kMultiplyingRegisters,
                                  kCopyingThreads, WarpgroupTile<kDim>::kCopyingRegisters));

  static constexpr int kStages = 4;  ///< Of one tile of keys and one of values each.
  static constexpr int kTileElements = Tile::kKeys * kDim;
  /// Queries, then stages, then two barriers per stage.
  static constexpr int kSharedElements =
      Tile::kQueries * kDim + kStages * (2 * kTileElements + 2 * 4);
};

/// Attention by wgmma, the matrix instruction of compute capability 9.0. The last warpgroup copies
/// tiles of keys and values into stages, the others multiply; warps meet only where a stage is
/// filled or used up. While the exponentials of one tile are computed, the products with the values
/// of the one before are under way, and the scores of other warpgroups (FlashAttention-3: Shah et
/// al. 2024, section 3). The top that exponentials are relative to stays while it can, so that they
/// need not wait for the largest score of their tile.
template <int kHeadDim, typename Warp>
class WarpgroupAttention : public AttentionCore<typename WarpgroupSizes<kHeadDim>::Tile, 1, Warp> {
 public:
  using Core = AttentionCore<typename WarpgroupSizes<kHeadDim>::Tile, 1, Warp>;
  using typename Core::Tile;
  using Sizes = WarpgroupSizes<kHeadDim>;
  static constexpr int kThreads = Sizes::kThreads;
  static constexpr int kSharedElements = Sizes::kSharedElements;
  static_assert(Core::kThreads == Sizes::kMultiplyingThreads);
  // As copy_tile numbers threads.
  static_assert(Sizes::kMultiplyingThreads % Sizes::kCopyingThreads == 0);

  SAM3TRT_DEVICE WarpgroupAttention(const AttentionArgs& args, Warp& warp, uint16_t* shared)
      : Core(args, warp, shared),
        queries_(shared + warp.same_in_warp(warp.thread() / 128) * 64 * kHeadDim) {}

  SAM3TRT_DEVICE void run() {
    const bool copies = this->thread_ >= Sizes::kMultiplyingThreads;
    if (this->thread_ == 0) make_barriers();
    if (copies) {
      for (int tile = 0; tile < kAhead; ++tile) copy(tile);
    } else {
      this->load_queries();
      warp().fence_shared();
    }
    warp().sync_block();
    if (copies) {
      warp().template give_registers<Sizes::kCopyingRegisters>();
      copy_all();
    } else {
      warp().template take_registers<Sizes::kMultiplyingRegisters>();
      if (this->thread_ / 128 < groups()) multiply_all();
    }
  }

 private:
  using typename Core::Scores;
  static constexpr int kTile = Sizes::kTileElements;
  static constexpr int kScoreSteps = kHeadDim / 16;
  static constexpr int kMixSteps = Tile::kKeys / 16;
  static constexpr int kAhead = 2;  // tiles whose copies are under way
  // A tile is used up only after the next one was filled.
  static_assert(kAhead + 1 <= Sizes::kStages);

  [[nodiscard]] SAM3TRT_DEVICE Warp& warp() const { return this->warp_; }

  /// Warpgroups that have queries.
  [[nodiscard]] SAM3TRT_DEVICE int groups() const {
    const int rest = tiles_of(this->args_.queries - this->first_query_, 64);
    return rest < Tile::kQueries / 64 ? rest : Tile::kQueries / 64;
  }

  SAM3TRT_DEVICE void make_barriers() {
    for (int stage = 0; stage < Sizes::kStages; ++stage) {
      warp().init_barrier(filled(stage), Sizes::kCopyingThreads / 32);
      warp().init_barrier(used(stage), groups() * 4);
    }
  }

  SAM3TRT_DEVICE void copy_all() {
    const int tiles = this->tiles();
    for (int tile = 0; tile < tiles; ++tile) {
      warp().template wait_copies<kAhead - 1>();
      warp().fence_shared();
      warp().sync_warp();
      if (this->lane_ == 0) warp().arrive(filled(tile));
      const int next = tile + kAhead;
      if (next >= Sizes::kStages && next < tiles) {
        warp().wait_barrier(used(next), round_of(next - Sizes::kStages));
      }
      copy(next);
    }
  }

  /// Starts to copy a tile into its stage; a group of no copies where there is no such tile.
  SAM3TRT_DEVICE void copy(int tile) {
    if (tile < this->tiles()) {
      this->template copy_tile<Sizes::kCopyingThreads>(keys_of(tile), this->key_, tile);
      this->template copy_tile<Sizes::kCopyingThreads>(values_of(tile), this->value_, tile);
    }
    warp().commit_copies();
  }

  SAM3TRT_DEVICE void multiply_all() {
    const int tiles = this->tiles();
    wait_filled(0);
    start_scores(0);
    warp().template wait_products<0>();
    warp().hold(scores_[0]);
    this->soften(scores_, 0);
    pack();
    for (int tile = 1; tile < tiles; ++tile) step(tile);
    start_mixing(tiles - 1);
    warp().template wait_products<0>();
    warp().hold(this->mixed_[0]);
    this->write();
  }

  [[nodiscard]] SAM3TRT_DEVICE uint16_t* keys_of(int tile) const {
    return this->shared_ + Tile::kQueries * Tile::kDim + tile % Sizes::kStages * 2 * kTile;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint16_t* values_of(int tile) const { return keys_of(tile) + kTile; }
  [[nodiscard]] SAM3TRT_DEVICE uint64_t* filled(int tile) const {
    auto* barriers = reinterpret_cast<uint64_t*>(keys_of(0) + Sizes::kStages * 2 * kTile);
    return barriers + tile % Sizes::kStages;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint64_t* used(int tile) const {
    return filled(tile) + Sizes::kStages;
  }
  /// How often a stage was filled before it took this tile, by its last bit.
  [[nodiscard]] static SAM3TRT_DEVICE int round_of(int tile) { return tile / Sizes::kStages % 2; }

  SAM3TRT_DEVICE void wait_filled(int tile) { warp().wait_barrier(filled(tile), round_of(tile)); }

  /// The scores of a tile, and the products with the values of the one before.
  SAM3TRT_DEVICE void step(int tile) {
    wait_filled(tile);
    start_scores(tile);
    start_mixing(tile - 1);
    warp().template wait_products<1>();
    warp().hold(scores_[0]);
    this->hide_missing_keys(scores_, tile);
    const bool fits = this->softmax_.soften_below(scores_);
    // The warpgroup decides together, as it multiplies together.
    if (warp().any_in_group(!fits)) {
      soften_again(tile);
    } else {
      this->softmax_.keep();
      end_mixing();
    }
    if (this->lane_ == 0) warp().arrive(used(tile - 1));
    pack();
  }

  SAM3TRT_DEVICE void end_mixing() {
    warp().template wait_products<0>();
    warp().hold(this->mixed_[0]);
  }

  /// The scores of a tile once more, and their softmax with a new top.
  SAM3TRT_DEVICE void soften_again(int tile) {
    end_mixing();
    start_scores(tile);
    warp().template wait_products<0>();
    warp().hold(scores_[0]);
    this->soften(scores_, tile);
    this->rescale();
  }

  SAM3TRT_DEVICE void pack() {
    for (int k = 0; k < kMixSteps; ++k) Core::Softmax::pack(scores_, 0, k, packed_[k]);
  }

  SAM3TRT_DEVICE void start_scores(int tile) {
    warp().hold(scores_[0]);
    warp().fence_products();
    for (int k = 0; k < kScoreSteps; ++k) {
      warp().template multiply_shared<kHeadDim>(scores_[0], queries_, keys_of(tile), k, k > 0);
    }
    warp().commit_products();
  }

  SAM3TRT_DEVICE void start_mixing(int tile) {
    warp().hold(this->mixed_[0]);
    warp().fence_products();
    for (int k = 0; k < kMixSteps; ++k) {
      warp().template multiply_packed<kHeadDim>(this->mixed_[0], packed_[k], values_of(tile), k);
    }
    warp().commit_products();
  }

  const uint16_t* queries_;  // of this warpgroup
  Scores scores_;
  uint32_t packed_[kMixSteps][4];
};

}  // namespace sam3trt
