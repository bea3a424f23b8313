#pragma once

#include "cuda/kernels/attention.hpp"

namespace sam3trt {

/// Of the form below: the windows of SAM 3's vision encoder are multiples of both.
using WarpgroupTile = AttentionSizes<64, 192, 64, 1, false>;

/// Threads of a block, and what they share: two buffers of keys and three of values, because the
/// products with the values of a tile end after those of the next one are asked for.
inline constexpr int kWarpgroupThreads = WarpgroupTile::kQueries * 2;
inline constexpr int kWarpgroupSharedElements =
    (WarpgroupTile::kQueries + 5 * WarpgroupTile::kKeys) * WarpgroupTile::kDim;

/// Attention by wgmma, the matrix instruction of compute capability 9.0, for heads of 64 channels.
/// While the exponentials of one tile of keys are computed, the scores of the next one and the
/// products with the values of the one before are under way (FlashAttention-3: Shah et al. 2024,
/// section 3.2).
template <typename Warp>
class WarpgroupAttention : public AttentionCore<WarpgroupTile, 1, Warp> {
 public:
  using Core = AttentionCore<WarpgroupTile, 1, Warp>;
  using typename Core::Tile;
  static constexpr int kSharedElements = kWarpgroupSharedElements;
  static_assert(Core::kThreads == kWarpgroupThreads);

  SAM3TRT_DEVICE WarpgroupAttention(const AttentionArgs& args, Warp& warp, uint16_t* shared)
      : Core(args, warp, shared) {}

  SAM3TRT_DEVICE void run() {
    const int tiles = this->tiles();
    copy_keys(0);
    warp().commit_copies();
    this->load_queries();
    if (tiles > 1) copy_keys(1);
    copy_values(0);
    warp().commit_copies();
    warp().template wait_copies<1>();
    make_visible();
    start_scores(scores_[0], 0);
    warp().template wait_products<0>();
    warp().hold(scores_[0][0]);
    int tile = 0;
    for (; tile + 2 < tiles; tile += 2) {
      step(scores_[0], scores_[1], tile);
      step(scores_[1], scores_[0], tile + 1);
    }
    if (tile + 1 < tiles) {
      step(scores_[0], scores_[1], tile);
      last_step(scores_[1], tile + 1);
    } else {
      last_step(scores_[0], tile);
    }
    warp().template wait_products<0>();
    warp().hold(this->mixed_[0]);
    this->write();
  }

 private:
  using typename Core::Scores;
  static constexpr int kSteps = Tile::kKeys / 16;  // as many as of 64 channels
  static constexpr int kTile = Tile::kKeys * Tile::kDim;

  [[nodiscard]] SAM3TRT_DEVICE Warp& warp() const { return this->warp_; }

  [[nodiscard]] SAM3TRT_DEVICE uint16_t* key_buffer(int tile) const {
    return this->shared_ + Tile::kQueries * Tile::kDim + tile % 2 * kTile;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint16_t* value_buffer(int tile) const {
    return this->shared_ + Tile::kQueries * Tile::kDim + (2 + tile % 3) * kTile;
  }
  SAM3TRT_DEVICE void copy_keys(int tile) {
    this->copy_tile(key_buffer(tile), this->args_.key, tile);
  }
  SAM3TRT_DEVICE void copy_values(int tile) {
    this->copy_tile(value_buffer(tile), this->args_.value, tile);
  }

  /// One tile, whose scores are there, and the scores of the next one.
  SAM3TRT_DEVICE void step(Scores& scores, Scores& next, int tile) {
    warp().template wait_copies<0>();
    make_visible();
    if (tile + 2 < this->tiles()) copy_keys(tile + 2);
    copy_values(tile + 1);
    warp().commit_copies();
    start_scores(next, tile + 1);
    this->soften(scores, tile);
    warp().template wait_products<1>();
    warp().hold(this->mixed_[0]);
    mix(scores, tile);
    warp().template wait_products<1>();
    warp().hold(next[0]);
  }

  SAM3TRT_DEVICE void last_step(Scores& scores, int tile) {
    warp().template wait_copies<0>();
    make_visible();
    this->soften(scores, tile);
    warp().template wait_products<0>();
    warp().hold(this->mixed_[0]);
    mix(scores, tile);
  }

  SAM3TRT_DEVICE void mix(Scores& scores, int tile) {
    this->rescale();
    for (int k = 0; k < kSteps; ++k) Core::pack_scores(scores, 0, k, packed_[k]);
    start_mixing(tile);
  }

  /// What all threads stored or copied, to the matrix instructions of all warps.
  SAM3TRT_DEVICE void make_visible() {
    warp().fence_shared();
    warp().sync_block();
  }

  SAM3TRT_DEVICE void start_scores(Scores& scores, int tile) {
    const uint16_t* queries = this->shared_ + this->thread_ / 128 * 64 * Tile::kDim;
    warp().hold(scores[0]);
    warp().fence_products();
    for (int k = 0; k < kSteps; ++k) {
      warp().multiply_shared(scores[0], queries, key_buffer(tile), k);
    }
    warp().commit_products();
  }

  SAM3TRT_DEVICE void start_mixing(int tile) {
    warp().hold(this->mixed_[0]);
    warp().fence_products();
    for (int k = 0; k < kSteps; ++k) {
      warp().multiply_packed(this->mixed_[0], packed_[k], value_buffer(tile), k);
    }
    warp().commit_products();
  }

  Scores scores_[2];
  uint32_t packed_[kSteps][4];
};

}  // namespace sam3trt
