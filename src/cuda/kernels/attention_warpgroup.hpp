#pragma once

#include "cuda/kernels/attention.hpp"

namespace sam3trt {

/// Queries and keys of a block of the form below: the windows of SAM 3's vision encoder (576) and
/// its grid (5184) are multiples of both.
inline constexpr int kWarpgroupQueries = 192;
inline constexpr int kWarpgroupKeys = 96;

/// Threads of a block: a warpgroup per 64 queries, which multiplies, and one that copies. Registers
/// of a thread of each; a block has all of its multiprocessor.
inline constexpr int kMultiplyingThreads = kWarpgroupQueries * 2;
inline constexpr int kCopyingThreads = 128;
inline constexpr int kWarpgroupThreads = kMultiplyingThreads + kCopyingThreads;
inline constexpr int kMultiplyingRegisters = 160;
inline constexpr int kCopyingRegisters = 32;
static_assert(kMultiplyingThreads * kMultiplyingRegisters + kCopyingThreads * kCopyingRegisters ==
              65536);

/// Tiles of keys and values that a block has room for.
inline constexpr int kWarpgroupStages = 4;

/// For heads of 64 and of 32 channels. A block shares queries, then stages of one tile of keys and
/// of values each, then two barriers per stage, then a float of each thread that multiplies.
template <int kDim>
struct WarpgroupSizes {
  using Tile = AttentionSizes<kDim, kWarpgroupQueries, kWarpgroupKeys, 1, false>;
  static constexpr int kTileElements = kWarpgroupKeys * kDim;
  static constexpr int kSharedElements = kWarpgroupQueries * kDim +
                                         kWarpgroupStages * 2 * kTileElements +
                                         kWarpgroupStages * 2 * 4 + kMultiplyingThreads * 2;
};

/// Attention by wgmma, the matrix instruction of compute capability 9.0. The last warpgroup copies
/// tiles of keys and values into stages, the others multiply; warps meet only where a stage is
/// filled or used up. While the exponentials of one tile are computed, the products with the values
/// of the one before are under way, and the scores of other warpgroups (FlashAttention-3: Shah et
/// al. 2024, section 3).
template <int kHeadDim, typename Warp>
class WarpgroupAttention : public AttentionCore<typename WarpgroupSizes<kHeadDim>::Tile, 1, Warp> {
 public:
  using Core = AttentionCore<typename WarpgroupSizes<kHeadDim>::Tile, 1, Warp>;
  using typename Core::Tile;
  static constexpr int kThreads = kWarpgroupThreads;
  static constexpr int kSharedElements = WarpgroupSizes<kHeadDim>::kSharedElements;
  static_assert(Core::kThreads == kMultiplyingThreads);
  static_assert(kMultiplyingThreads % kCopyingThreads == 0);  // as copy_tile numbers threads

  SAM3TRT_DEVICE WarpgroupAttention(const AttentionArgs& args, Warp& warp, uint16_t* shared)
      : Core(args, warp, shared) {}

  SAM3TRT_DEVICE void run() {
    const bool copies = this->thread_ >= kMultiplyingThreads;
    if (this->thread_ == 0) make_barriers();
    if (copies) {
      for (int tile = 0; tile < kAhead; ++tile) copy(tile);
    } else {
      this->load_queries();
      warp().fence_shared();
    }
    warp().sync_block();
    if (copies) {
      warp().template give_registers<kCopyingRegisters>();
      copy_all();
    } else {
      warp().template take_registers<kMultiplyingRegisters>();
      multiply_all();
    }
  }

 private:
  using typename Core::Scores;
  static constexpr int kTile = WarpgroupSizes<kHeadDim>::kTileElements;
  static constexpr int kScoreSteps = kHeadDim / 16;
  static constexpr int kMixSteps = Tile::kKeys / 16;
  static constexpr int kAhead = 2;  // tiles whose copies are under way
  // A tile is used up only after the next one was filled.
  static_assert(kAhead + 1 <= kWarpgroupStages);

  [[nodiscard]] SAM3TRT_DEVICE Warp& warp() const { return this->warp_; }

  SAM3TRT_DEVICE void make_barriers() {
    for (int stage = 0; stage < kWarpgroupStages; ++stage) {
      warp().init_barrier(filled(stage), kCopyingThreads / 32);
      warp().init_barrier(used(stage), kMultiplyingThreads / 32);
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
      if (next >= kWarpgroupStages && next < tiles) {
        warp().wait_barrier(used(next), round_of(next - kWarpgroupStages));
      }
      copy(next);
    }
  }

  /// Starts to copy a tile into its stage; a group of no copies where there is no such tile.
  SAM3TRT_DEVICE void copy(int tile) {
    if (tile < this->tiles()) {
      this->template copy_tile<kCopyingThreads>(keys_of(tile), this->key_, tile);
      this->template copy_tile<kCopyingThreads>(values_of(tile), this->value_, tile);
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
    return this->shared_ + Tile::kQueries * Tile::kDim + tile % kWarpgroupStages * 2 * kTile;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint16_t* values_of(int tile) const { return keys_of(tile) + kTile; }
  [[nodiscard]] SAM3TRT_DEVICE uint64_t* filled(int tile) const {
    auto* barriers = reinterpret_cast<uint64_t*>(keys_of(0) + kWarpgroupStages * 2 * kTile);
    return barriers + tile % kWarpgroupStages;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint64_t* used(int tile) const {
    return filled(tile) + kWarpgroupStages;
  }
  [[nodiscard]] SAM3TRT_DEVICE float* unread() const {
    return reinterpret_cast<float*>(filled(0) + 2 * kWarpgroupStages) + this->thread_;
  }
  /// How often a stage was filled before it took this tile, by its last bit.
  [[nodiscard]] static SAM3TRT_DEVICE int round_of(int tile) { return tile / kWarpgroupStages % 2; }

  SAM3TRT_DEVICE void wait_filled(int tile) { warp().wait_barrier(filled(tile), round_of(tile)); }

  /// The scores of a tile, and the products with the values of the one before.
  SAM3TRT_DEVICE void step(int tile) {
    wait_filled(tile);
    start_scores(tile);
    start_mixing(tile - 1);
    warp().template wait_products<1>();
    warp().hold(scores_[0]);
    this->soften(scores_, tile);
    // The compiler knows no reason to compute exponentials before it waits for products.
    warp().settle(this->softmax_.sum(0, 0) + this->softmax_.sum(0, 1), unread());
    warp().template wait_products<0>();
    warp().hold(this->mixed_[0]);
    if (this->lane_ == 0) warp().arrive(used(tile - 1));
    this->rescale();
    pack();
  }

  SAM3TRT_DEVICE void pack() {
    for (int k = 0; k < kMixSteps; ++k) Core::Softmax::pack(scores_, 0, k, packed_[k]);
  }

  SAM3TRT_DEVICE void start_scores(int tile) {
    const uint16_t* queries = this->shared_ + this->thread_ / 128 * 64 * Tile::kDim;
    warp().hold(scores_[0]);
    warp().fence_products();
    for (int k = 0; k < kScoreSteps; ++k) {
      warp().template multiply_shared<kHeadDim>(scores_[0], queries, keys_of(tile), k, k > 0);
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

  Scores scores_;
  uint32_t packed_[kMixSteps][4];
};

}  // namespace sam3trt
