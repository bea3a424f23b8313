#pragma once

#include "cuda/kernels/attention.hpp"

namespace sam3trt {

/// Sizes of the form below: the windows of SAM 3's vision encoder are multiples of both.
using WarpgroupTile = AttentionSizes<64, 192, 64, 1, false>;

/// Threads of a block, and what they share: queries, then stages of one tile of keys and of values
/// each, then two barriers per stage.
inline constexpr int kWarpgroupThreads = WarpgroupTile::kQueries * 2;
inline constexpr int kWarpgroupStages = 4;
inline constexpr int kWarpgroupTileElements = WarpgroupTile::kKeys * WarpgroupTile::kDim;
inline constexpr int kWarpgroupSharedElements = WarpgroupTile::kQueries * WarpgroupTile::kDim +
                                                kWarpgroupStages * 2 * kWarpgroupTileElements +
                                                kWarpgroupStages * 2 * 4;

/// Keys and values [B, keys, H, 64] to tiles as wgmma reads them, keys rotated: per batch and head
/// all tiles in turn, 64 rows of keys and then 64 of values each, placed as WarpgroupTile::place
/// says; rows beyond the last key are zero.
struct TileArgs {
  AttentionRows<const uint16_t> key;
  AttentionRows<const uint16_t> value;
  uint16_t* target = nullptr;
  const float* cos = nullptr;  ///< [keys, 32]
  const float* sin = nullptr;
  int32_t batches = 0;
  int32_t keys = 0;
  int32_t heads = 0;

  [[nodiscard]] SAM3TRT_HOST_DEVICE int64_t tiles() const {
    return tiles_of(keys, WarpgroupTile::kKeys);
  }
};

/// One thread of the launch, `thread` of all, takes two chunks of a key and two of a value; 4
/// threads per row of a tile, heads of a row next to one another.
template <typename Warp>
SAM3TRT_DEVICE inline void tile_keys_body(const TileArgs& args, int64_t thread) {
  constexpr int kPairs = WarpgroupTile::kChunks / 2;
  const int pair = static_cast<int>(thread % kPairs);
  const auto head = thread / kPairs % args.heads;
  const auto row = thread / kPairs / args.heads % (args.tiles() * WarpgroupTile::kKeys);
  const auto batch = thread / kPairs / args.heads / (args.tiles() * WarpgroupTile::kKeys);
  if (batch >= args.batches) return;
  AttentionChunk parts[4] = {};  // of the key, then of the value
  if (row < args.keys) {
    const uint16_t* key = args.key.at(batch, row, head) + pair * 8;
    const uint16_t* value = args.value.at(batch, row, head) + pair * 8;
    for (int i = 0; i < 2; ++i) {
      parts[i] = *reinterpret_cast<const AttentionChunk*>(key + i * WarpgroupTile::kDim / 2);
      parts[2 + i] = *reinterpret_cast<const AttentionChunk*>(value + i * WarpgroupTile::kDim / 2);
    }
    const int64_t angle = row * (WarpgroupTile::kDim / 2) + pair * 8;
    rotate_chunks<Warp>(parts[0], parts[1], args.cos + angle, args.sin + angle);
  }
  const auto tile = row / WarpgroupTile::kKeys;
  const int within = static_cast<int>(row % WarpgroupTile::kKeys);
  uint16_t* target = args.target + ((batch * args.heads + head) * args.tiles() + tile) * 2 *
                                       kWarpgroupTileElements;
  for (int i = 0; i < 4; ++i) {
    uint16_t* to = target + i / 2 * kWarpgroupTileElements +
                   WarpgroupTile::place(within, pair + i % 2 * kPairs);
    *reinterpret_cast<AttentionChunk*>(to) = parts[i];
  }
}

/// Attention by wgmma, the matrix instruction of compute capability 9.0, for heads of 64 channels.
/// Keys and values come as TileArgs lays them; `key` of the arguments names them, rows are not
/// used. Tiles are copied by the hardware into stages; warps meet only where a stage is filled or
/// used up. While the exponentials of one tile are computed, the scores of the next one and the
/// products with the values of the one before are under way (FlashAttention-3: Shah et al. 2024,
/// section 3).
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
    if (this->thread_ == 0) {
      for (int stage = 0; stage < kWarpgroupStages; ++stage) {
        warp().init_barrier(filled(stage), 1);
        warp().init_barrier(used(stage), kWarpgroupThreads / 32);
      }
      warp().fence_barriers();
      for (int tile = 0; tile < kAhead && tile < tiles; ++tile) fill(tile);
    }
    this->load_queries();
    warp().fence_shared();
    warp().sync_block();
    wait_filled(0);
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
  static constexpr int kAhead = 2;                 // tiles that are being filled

  [[nodiscard]] SAM3TRT_DEVICE Warp& warp() const { return this->warp_; }

  [[nodiscard]] SAM3TRT_DEVICE uint16_t* keys_of(int tile) const {
    return this->shared_ + Tile::kQueries * Tile::kDim +
           tile % kWarpgroupStages * 2 * kWarpgroupTileElements;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint16_t* values_of(int tile) const {
    return keys_of(tile) + kWarpgroupTileElements;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint64_t* filled(int tile) const {
    auto* barriers =
        reinterpret_cast<uint64_t*>(keys_of(0) + kWarpgroupStages * 2 * kWarpgroupTileElements);
    return barriers + tile % kWarpgroupStages;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint64_t* used(int tile) const {
    return filled(tile) + kWarpgroupStages;
  }
  /// How often a stage was filled before it took this tile, by its last bit.
  [[nodiscard]] static SAM3TRT_DEVICE int round_of(int tile) { return tile / kWarpgroupStages % 2; }

  /// Starts to copy a tile into its stage. One thread of the block.
  SAM3TRT_DEVICE void fill(int tile) {
    constexpr int kBytes = 2 * kWarpgroupTileElements * 2;
    const uint16_t* from =
        this->key_.data + static_cast<int64_t>(tile) * 2 * kWarpgroupTileElements;
    warp().copy_bulk(keys_of(tile), from, kBytes, filled(tile));
  }

  SAM3TRT_DEVICE void wait_filled(int tile) { warp().wait_barrier(filled(tile), round_of(tile)); }

  /// One tile, whose scores are there, and the scores of the next one.
  SAM3TRT_DEVICE void step(Scores& scores, Scores& next, int tile) {
    if (this->thread_ == 0 && tile + kAhead < this->tiles()) {
      const int refilled = tile + kAhead;
      if (refilled >= kWarpgroupStages) {
        warp().wait_barrier(used(refilled), round_of(refilled - kWarpgroupStages));
      }
      fill(refilled);
    }
    warp().sync_warp();
    wait_filled(tile + 1);
    start_scores(next, tile + 1);
    this->soften(scores, tile);
    warp().template wait_products<1>();
    warp().hold(this->mixed_[0]);
    if (tile > 0 && this->lane_ == 0) warp().arrive(used(tile - 1));
    mix(scores, tile);
    warp().template wait_products<1>();
    warp().hold(next[0]);
  }

  SAM3TRT_DEVICE void last_step(Scores& scores, int tile) {
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

  SAM3TRT_DEVICE void start_scores(Scores& scores, int tile) {
    const uint16_t* queries = this->shared_ + this->thread_ / 128 * 64 * Tile::kDim;
    warp().hold(scores[0]);
    warp().fence_products();
    for (int k = 0; k < kSteps; ++k) {
      warp().multiply_shared(scores[0], queries, keys_of(tile), k);
    }
    warp().commit_products();
  }

  SAM3TRT_DEVICE void start_mixing(int tile) {
    warp().hold(this->mixed_[0]);
    warp().fence_products();
    for (int k = 0; k < kSteps; ++k) {
      warp().multiply_packed(this->mixed_[0], packed_[k], values_of(tile), k);
    }
    warp().commit_products();
  }

  Scores scores_[2];
  uint32_t packed_[kSteps][4];
};

}  // namespace sam3trt
