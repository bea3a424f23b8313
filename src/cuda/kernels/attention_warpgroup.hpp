#pragma once

#include "cuda/kernels/attention.hpp"

namespace sam3trt {

/// Attention by wgmma, the matrix instruction of compute capability 9.0, for heads of 64 channels.
/// The exponentials of one tile of keys are computed while the products with the values of the one
/// before run (FlashAttention-3: Shah et al. 2024, section 3.2).
template <typename Warp>
class WarpgroupAttention : public AttentionCore<AttentionTile<64>, 1, Warp> {
 public:
  using Core = AttentionCore<AttentionTile<64>, 1, Warp>;
  using typename Core::Tile;

  SAM3TRT_DEVICE WarpgroupAttention(const AttentionArgs& args, Warp& warp, uint16_t* shared)
      : Core(args, warp, shared) {}

  SAM3TRT_DEVICE void run() {
    const int tiles = this->tiles();
    this->copy_tile(this->keys(0), this->args_.key, 0);
    warp().commit_copies();
    this->load_queries();
    if (tiles > 1) this->copy_tile(this->keys(1), this->args_.key, 1);
    this->copy_tile(this->values(0), this->args_.value, 0);
    warp().commit_copies();
    warp().template wait_copies<1>();
    make_visible();
    start_scores(0);
    warp().template wait_products<0>();
    warp().hold(this->scores_[0]);
    this->soften(0);
    pack();
    for (int tile = 1; tile < tiles; ++tile) {
      warp().template wait_copies<0>();
      make_visible();
      if (tile + 1 < tiles) this->copy_tile(this->keys(tile + 1), this->args_.key, tile + 1);
      this->copy_tile(this->values(tile), this->args_.value, tile);
      warp().commit_copies();
      start_scores(tile);
      start_mixing(tile - 1);
      warp().template wait_products<1>();
      warp().hold(this->scores_[0]);
      this->soften(tile);
      warp().template wait_products<0>();
      warp().hold(this->mixed_[0]);
      this->rescale();
      pack();
    }
    warp().template wait_copies<0>();
    make_visible();
    start_mixing(tiles - 1);
    warp().template wait_products<0>();
    warp().hold(this->mixed_[0]);
    this->write();
  }

 private:
  static constexpr int kSteps = Tile::kKeys / 16;  // as many as of 64 channels

  [[nodiscard]] SAM3TRT_DEVICE Warp& warp() const { return this->warp_; }

  /// What all threads stored or copied, to the matrix instructions of all warps.
  SAM3TRT_DEVICE void make_visible() {
    warp().fence_shared();
    warp().sync_block();
  }

  SAM3TRT_DEVICE void start_scores(int tile) {
    const uint16_t* queries = this->shared_ + this->thread_ / 128 * 64 * 64;
    warp().hold(this->scores_[0]);
    warp().fence_products();
    for (int k = 0; k < kSteps; ++k) {
      warp().multiply_shared(this->scores_[0], queries, this->keys(tile), k);
    }
    warp().commit_products();
  }

  SAM3TRT_DEVICE void start_mixing(int tile) {
    warp().hold(this->mixed_[0]);
    warp().fence_products();
    for (int k = 0; k < kSteps; ++k) {
      warp().multiply_packed(this->mixed_[0], packed_[k], this->values(tile), k);
    }
    warp().commit_products();
  }

  SAM3TRT_DEVICE void pack() {
    for (int k = 0; k < kSteps; ++k) this->pack_scores(0, k, packed_[k]);
  }

  uint32_t packed_[kSteps][4];
};

}  // namespace sam3trt
