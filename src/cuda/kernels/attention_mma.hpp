#pragma once

#include "cuda/kernels/attention.hpp"

namespace sam3trt {

/// Attention by mma.m16n8k16, which every GPU of compute capability 8.0 and later has. A warp owns
/// 32 queries, so that each fragment of keys and values that it loads serves two products.
template <typename Sizes, typename Warp>
class MmaAttention : public AttentionCore<Sizes, 2, Warp> {
 public:
  using Core = AttentionCore<Sizes, 2, Warp>;
  using typename Core::Tile;

  SAM3TRT_DEVICE MmaAttention(const AttentionArgs& args, Warp& warp, uint16_t* shared)
      : Core(args, warp, shared) {}

  SAM3TRT_DEVICE void run() {
    const int tiles = this->tiles();
    int tile = this->team_;
    copy(tile, 0);
    this->load_queries();
    if constexpr (Tile::kBias) this->load_bias();
    warp().sync_block();
    read_queries();
    for (int turn = 0; tile < tiles; ++turn, tile += Tile::kTeams) {
      if (tile + Tile::kTeams < tiles) {
        copy(tile + Tile::kTeams, turn + 1);
        warp().template wait_copies<1>();
      } else {
        warp().template wait_copies<0>();
      }
      sync_team();
      multiply_keys(this->keys(turn));
      if constexpr (Tile::kBias) this->add_bias(scores_, tile);
      this->soften(scores_, tile);
      this->rescale();
      multiply_values(this->values(turn));
      sync_team();
    }
    if constexpr (Tile::kTeams > 1) {
      warp().template wait_copies<0>();  // of a team that had nothing to do
      this->join_teams();
    } else {
      this->write();
    }
  }

 private:
  static constexpr int kRowTiles = 2;
  static constexpr int kDim = Tile::kDim;
  static_assert(Tile::kTeams == 1 || Core::kTeamThreads == 32, "a team syncs as a warp or a block");

  [[nodiscard]] SAM3TRT_DEVICE Warp& warp() const { return this->warp_; }

  SAM3TRT_DEVICE void sync_team() {
    if constexpr (Tile::kTeams > 1) {
      warp().sync_warp();
    } else {
      warp().sync_block();
    }
  }

  SAM3TRT_DEVICE void copy(int tile, int turn) {
    this->copy_tile(this->keys(turn), this->key_, tile);
    this->copy_tile(this->values(turn), this->value_, tile);
    warp().commit_copies();
  }

  SAM3TRT_DEVICE void read_queries() {
    for (int m = 0; m < kRowTiles; ++m) {
      for (int k = 0; k < kDim / 16; ++k) {
        const int row = this->own_row_ + m * 16 + this->lane_ % 16;
        const int chunk = 2 * k + this->lane_ / 16;
        warp().load_matrices(query_[m][k], this->shared_ + Tile::place(row, chunk));
      }
    }
  }

  /// scores = Q K^T of this warp's queries.
  SAM3TRT_DEVICE void multiply_keys(const uint16_t* keys) {
    for (int m = 0; m < kRowTiles; ++m) {
      for (int n = 0; n < Core::kKeyTiles; ++n) {
        for (int i = 0; i < 4; ++i) scores_[m][n][i] = 0;
      }
    }
    const int row = this->lane_ / 16 * 8 + this->lane_ % 8;
    const int chunk = this->lane_ / 8 % 2;
    for (int k = 0; k < kDim / 16; ++k) {
      for (int n = 0; n < Core::kKeyTiles; n += 2) {
        uint32_t b[4];
        warp().load_matrices(b, keys + Tile::place(8 * n + row, 2 * k + chunk));
        for (int m = 0; m < kRowTiles; ++m) {
          warp().multiply(scores_[m][n], query_[m][k], b[0], b[1]);
          warp().multiply(scores_[m][n + 1], query_[m][k], b[2], b[3]);
        }
      }
    }
  }

  /// mixed += P V.
  SAM3TRT_DEVICE void multiply_values(const uint16_t* values) {
    const int row = this->lane_ % 16;
    const int chunk = this->lane_ / 16;
    for (int k = 0; k < Tile::kKeys / 16; ++k) {
      uint32_t a[kRowTiles][4];
      for (int m = 0; m < kRowTiles; ++m) Core::Softmax::pack(scores_, m, k, a[m]);
      for (int n = 0; n < kDim / 8; n += 2) {
        uint32_t b[4];
        warp().load_transposed(b, values + Tile::place(16 * k + row, n + chunk));
        for (int m = 0; m < kRowTiles; ++m) {
          warp().multiply(this->mixed_[m][n], a[m], b[0], b[1]);
          warp().multiply(this->mixed_[m][n + 1], a[m], b[2], b[3]);
        }
      }
    }
  }

  typename Core::Scores scores_;
  uint32_t query_[kRowTiles][kDim / 16][4];
};

}  // namespace sam3trt
