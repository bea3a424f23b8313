#pragma once

#include <cstdint>

#include "base/host_device.hpp"
#include "base/own_operators.hpp"
#include "cuda/kernels/softmax.hpp"

namespace sam3trt {

/// Rows of a [batch, row, head, dim] tensor; steps in elements, `dim` is packed. Rows of 16-bit
/// floats begin at multiples of 16 bytes.
template <typename Element>
struct AttentionRows {
  Element* data = nullptr;
  int64_t batch = 0;
  int64_t row = 0;
  int64_t head = 0;

  [[nodiscard]] SAM3TRT_DEVICE Element* at(int64_t b, int64_t r, int64_t h) const {
    return data + b * batch + r * row + h * head;
  }
};

/// The rows of one batch and head.
template <typename Element>
struct HeadRows {
  Element* data = nullptr;
  int64_t row = 0;

  [[nodiscard]] SAM3TRT_DEVICE Element* at(int64_t r) const { return data + r * row; }
};

/// softmax(rotate(Q) K^T + bias) V per batch and head, with float32 sums: scores never leave the
/// multiprocessor. Queries carry the factor 1/sqrt(dim),
/// keys are rotated already. Rotation pairs channel i with channel i + dim / 2. Keys that are the
/// cells of a grid, row by row, may have a bias: that of the cell's row plus that of its column.
struct AttentionArgs {
  AttentionRows<const uint16_t> query;  ///< [B, queries, H, dim]
  AttentionRows<const uint16_t> key;    ///< [B, keys, H, dim]
  AttentionRows<const uint16_t> value;  ///< [B, keys, H, dim]
  AttentionRows<uint16_t> result;       ///< [B, queries, H, dim]
  const float* cos = nullptr;           ///< [queries, dim / 2]; null: queries are not rotated
  const float* sin = nullptr;
  AttentionRows<const float> row_bias;     ///< [B, queries, H, rows]
  AttentionRows<const float> column_bias;  ///< [B, queries, H, columns]
  int32_t rows = 0;                        ///< Of the grid.
  int32_t columns = 0;
  int32_t queries = 0;
  int32_t keys = 0;
};

/// Keys [B, keys, H, dim] to rotated keys of another layout.
struct RotateArgs {
  AttentionRows<const uint16_t> source;
  AttentionRows<uint16_t> target;
  const float* cos = nullptr;  ///< [keys, dim / 2]
  const float* sin = nullptr;
  int32_t batches = 0;
  int32_t keys = 0;
  int32_t heads = 0;
};

/// How many tiles of `size` hold `count`; the last one may not be full.
template <typename Count>
[[nodiscard]] SAM3TRT_HOST_DEVICE constexpr Count tiles_of(Count count, Count size) {
  return (count + size - 1) / size;
}

/// Whether a block that has a multiprocessor to itself has the registers that its threads take and
/// give: so many threads that multiply with so many each, and those that copy. More than all have
/// at first would be waited for without end.
[[nodiscard]] constexpr bool registers_suffice(int multiplying, int multiplying_registers,
                                               int copying, int copying_registers) {
  constexpr int kMultiprocessor = 65536;
  const int threads = multiplying + copying;
  return multiplying * multiplying_registers + copying * copying_registers <=
         threads * (kMultiprocessor / threads / 8 * 8);
}

/// 8 elements, which move together.
struct alignas(16) AttentionChunk {
  uint32_t words[4];
};

/// Sizes of the attention of one block: its queries, and the keys that it looks at together. Warps
/// that together have all queries are a team; several teams share the keys.
template <int kHeadDim, int kQueryRows, int kKeyRows, int kTeamCount, bool kHasBias>
struct AttentionSizes {
  static constexpr int kDim = kHeadDim;
  static constexpr int kQueries = kQueryRows;
  static constexpr int kKeys = kKeyRows;
  static constexpr int kTeams = kTeamCount;
  static constexpr bool kBias = kHasBias;
  static constexpr int kChunks = kDim / 8;  ///< Of a row.
  static constexpr int kSharedElements = (kQueries + kTeams * 4 * kKeys) * kDim;

  static_assert(has_attention_kernel(kDim));

  /// Where a chunk of a row lies in shared memory, in elements. Chunks of neighbouring rows change
  /// places so that the 8 rows that ldmatrix reads together lie in different banks; for rows of 128
  /// bytes it is the 128-byte swizzle of wgmma.
  static SAM3TRT_DEVICE int place(int row, int chunk) {
    constexpr int kRowsPerLine = 8 / kChunks;
    return (row * kChunks + (chunk ^ ((row / kRowsPerLine) & (kChunks - 1)))) * 8;
  }
};

/// For as many queries as keys.
template <int kDim>
using AttentionTile = AttentionSizes<kDim, 128, 64, 1, false>;

/// For a few queries and the cells of a grid: every warp has the same queries and cells of its own.
template <int kDim>
using GridAttentionTile = AttentionSizes<kDim, 32, kDim == 64 ? 16 : 32, 8, true>;

/// How far apart the bias of two queries lies in shared memory, in floats: not a multiple of 32, so
/// that they lie in different banks.
[[nodiscard]] SAM3TRT_HOST_DEVICE constexpr int32_t bias_step(int32_t lines) { return lines | 1; }

/// Bytes that a block of grid attention shares: tiles, then the bias of its queries.
template <int kDim>
[[nodiscard]] constexpr int64_t grid_shared_bytes(int32_t rows, int32_t columns) {
  using Tile = GridAttentionTile<kDim>;
  const int64_t steps = bias_step(rows) + bias_step(columns);
  return Tile::kSharedElements * int64_t{2} + Tile::kQueries * steps * int64_t{4};
}

/// Four cosines or sines, which move together.
struct alignas(16) AttentionAngles {
  float values[4];
};

/// Of the channels of a chunk.
struct AttentionRotation {
  AttentionAngles cos[2];
  AttentionAngles sin[2];

  /// cos and sin: 8 values at a multiple of 16 bytes.
  SAM3TRT_DEVICE void load(const float* all_cos, const float* all_sin) {
    for (int i = 0; i < 2; ++i) {
      cos[i] = reinterpret_cast<const AttentionAngles*>(all_cos)[i];
      sin[i] = reinterpret_cast<const AttentionAngles*>(all_sin)[i];
    }
  }

  /// Rotates the pairs (low[i], high[i]).
  template <typename Warp>
  SAM3TRT_DEVICE void apply(AttentionChunk& low, AttentionChunk& high) const {
    for (int i = 0; i < 4; ++i) {
      const float* c = cos[i / 2].values + i % 2 * 2;
      const float* s = sin[i / 2].values + i % 2 * 2;
      const auto a = Warp::unpack(low.words[i]);
      const auto b = Warp::unpack(high.words[i]);
      low.words[i] = Warp::pack(a.x * c[0] - b.x * s[0], a.y * c[1] - b.y * s[1]);
      high.words[i] = Warp::pack(a.x * s[0] + b.x * c[0], a.y * s[1] + b.y * c[1]);
    }
  }
};

/// The same, loaded for one use.
template <typename Warp>
SAM3TRT_DEVICE inline void rotate_chunks(AttentionChunk& low, AttentionChunk& high,
                                         const float* cos, const float* sin) {
  AttentionRotation rotation;
  rotation.load(cos, sin);
  rotation.apply<Warp>(low, high);
}

/// One thread of the launch, `thread` of all, rotates one pair of chunks; `kDim / 16` threads per
/// row and head, heads of a row next to one another.
template <int kDim, typename Warp>
SAM3TRT_DEVICE inline void rotate_keys_body(const RotateArgs& args, int64_t thread) {
  constexpr int kPairs = kDim / 16;
  const int pair = static_cast<int>(thread % kPairs);
  const auto head = thread / kPairs % args.heads;
  const auto key = thread / kPairs / args.heads % args.keys;
  const auto batch = thread / kPairs / args.heads / args.keys;
  if (batch >= args.batches) return;
  const uint16_t* source = args.source.at(batch, key, head) + pair * 8;
  uint16_t* target = args.target.at(batch, key, head) + pair * 8;
  AttentionChunk low = *reinterpret_cast<const AttentionChunk*>(source);
  AttentionChunk high = *reinterpret_cast<const AttentionChunk*>(source + kDim / 2);
  const int64_t angle = key * (kDim / 2) + pair * 8;
  rotate_chunks<Warp>(low, high, args.cos + angle, args.sin + angle);
  *reinterpret_cast<AttentionChunk*>(target) = low;
  *reinterpret_cast<AttentionChunk*>(target + kDim / 2) = high;
}

/// What one thread has to do with `kQueries` queries of one head, whatever instructions multiply:
/// block x counts tiles of queries, y heads, z batches. Each warp owns 16 * kRowTiles queries.
/// `Warp` is the thread's way to its warp and block: the GPU's instructions (warp.cuh) or a
/// stand-in for them. Scores and results lie in registers as mma.m16n8k16 has them (PTX ISA,
/// "Matrix Fragments for mma.m16n8k16"): 16 queries by 8 keys or channels each.
template <typename Sizes, int kRowTiles, typename Warp>
class AttentionCore {
 public:
  using Tile = Sizes;
  static constexpr int kTeamThreads = Tile::kQueries / (16 * kRowTiles) * 32;
  static constexpr int kThreads = Tile::kTeams * kTeamThreads;
  static constexpr int kSharedElements = Tile::kSharedElements;

 protected:
  static constexpr int kDim = Tile::kDim;
  static constexpr int kRows = 16 * kRowTiles;
  static constexpr int kKeyTiles = Tile::kKeys / 8;
  using Softmax = RunningSoftmax<kRowTiles, kKeyTiles, Warp>;
  using Scores = typename Softmax::Scores;

  SAM3TRT_DEVICE AttentionCore(const AttentionArgs& args, Warp& warp, uint16_t* shared)
      : args_(args),
        warp_(warp),
        shared_(shared),
        thread_(warp.thread()),
        lane_(thread_ % 32),
        team_(thread_ / kTeamThreads),
        own_row_(thread_ % kTeamThreads / 32 * kRows),
        first_query_(warp.block_x() * Tile::kQueries),
        key_(rows_of(args.key)),
        value_(rows_of(args.value)) {
    softmax_.start();
    for (int m = 0; m < kRowTiles; ++m) {
      for (int n = 0; n < kDim / 8; ++n) {
        for (int i = 0; i < 4; ++i) mixed_[m][n][i] = 0;
      }
    }
  }

  [[nodiscard]] SAM3TRT_DEVICE int tiles() const { return tiles_of(args_.keys, Tile::kKeys); }

  /// Two buffers of keys and two of values per team, used in turns.
  [[nodiscard]] SAM3TRT_DEVICE uint16_t* keys(int turn) const {
    return shared_ + (Tile::kQueries + (4 * team_ + turn % 2) * Tile::kKeys) * kDim;
  }
  [[nodiscard]] SAM3TRT_DEVICE uint16_t* values(int turn) const { return keys(turn) + kBoth; }

  /// One tile of keys or values by kCopying threads, without waiting; rows beyond the last key
  /// become zero.
  template <int kCopying = kTeamThreads>
  SAM3TRT_DEVICE void copy_tile(uint16_t* to, const HeadRows<const uint16_t>& from, int tile) {
    constexpr int kStep = kCopying / Tile::kChunks;
    static_assert(Tile::kKeys % kStep == 0);
    const int chunk = thread_ % Tile::kChunks;
    const int first = thread_ % kCopying / Tile::kChunks;
    const uint16_t* source = from.at(tile * Tile::kKeys + first) + chunk * 8;
    SAM3TRT_UNROLL for (int row = first; row < first + Tile::kKeys; row += kStep) {
      const bool valid = tile * Tile::kKeys + row < args_.keys;
      warp_.copy_chunk(to + Tile::place(row, chunk), valid ? source : from.data, valid);
      source += kStep * from.row;
    }
  }

  /// Two pairs of chunks of a thread are on their way together, where a thread has few queries and
  /// so the registers.
  SAM3TRT_DEVICE void load_queries() {
    constexpr int kPairs = Tile::kChunks / 2;
    constexpr int kItems = Tile::kQueries * kPairs;
    constexpr int kTogether = kItems % (2 * kThreads) == 0 && kRowTiles == 1 ? 2 : 1;
    for (int first = thread_; first < kItems; first += kTogether * kThreads) {
      AttentionChunk low[kTogether] = {};
      AttentionChunk high[kTogether] = {};
      AttentionRotation rotation[kTogether] = {};
      SAM3TRT_UNROLL for (int k = 0; k < kTogether; ++k) {
        const int pair = (first + k * kThreads) % kPairs;
        const int query = first_query_ + (first + k * kThreads) / kPairs;
        if (query >= args_.queries) continue;
        const uint16_t* source = args_.query.at(warp_.block_z(), query, warp_.block_y()) + pair * 8;
        low[k] = *reinterpret_cast<const AttentionChunk*>(source);
        high[k] = *reinterpret_cast<const AttentionChunk*>(source + kDim / 2);
        if (args_.cos == nullptr) continue;
        const int64_t angle = static_cast<int64_t>(query) * (kDim / 2) + pair * 8;
        rotation[k].load(args_.cos + angle, args_.sin + angle);
      }
      SAM3TRT_UNROLL for (int k = 0; k < kTogether; ++k) {
        const int row = (first + k * kThreads) / kPairs;
        const int pair = (first + k * kThreads) % kPairs;
        if (args_.cos != nullptr) rotation[k].template apply<Warp>(low[k], high[k]);
        *reinterpret_cast<AttentionChunk*>(shared_ + Tile::place(row, pair)) = low[k];
        *reinterpret_cast<AttentionChunk*>(shared_ + Tile::place(row, pair + kPairs)) = high[k];
      }
    }
  }

  /// The bias of the block's queries to shared memory, behind the tiles.
  SAM3TRT_DEVICE void load_bias() {
    load_bias(row_bias(), args_.row_bias, args_.rows);
    load_bias(column_bias(), args_.column_bias, args_.columns);
  }

  /// What the cells of a tile add to the scores.
  SAM3TRT_DEVICE void add_bias(Scores& scores, int tile) const {
    const float* rows = row_bias() + (own_row_ + lane_ / 4) * bias_step(args_.rows);
    const float* columns = column_bias() + (own_row_ + lane_ / 4) * bias_step(args_.columns);
    const int first = key_of(tile, 0, 0);
    int row = first / args_.columns;
    int column = first - row * args_.columns;
    SAM3TRT_UNROLL for (int n = 0; n < kKeyTiles; ++n) {
      SAM3TRT_UNROLL for (int i = 0; i < 2; ++i) {
        const int valid =
            row < args_.rows ? row : args_.rows - 1;  // of a missing key: hidden later
        SAM3TRT_UNROLL for (int m = 0; m < kRowTiles; ++m) {
          SAM3TRT_UNROLL for (int r = 0; r < 2; ++r) {
            const int query = 16 * m + 8 * r;
            scores[m][n][2 * r + i] += rows[query * bias_step(args_.rows) + valid] +
                                       columns[query * bias_step(args_.columns) + column];
          }
        }
        column += i == 0 ? 1 : 7;  // to the lane's next key
        if (column >= args_.columns) {
          row += column / args_.columns;
          column %= args_.columns;
        }
      }
    }
  }

  /// Scores become exp(score - top).
  SAM3TRT_DEVICE void soften(Scores& scores, int tile) {
    hide_missing_keys(scores, tile);
    softmax_.soften(scores, warp_);
  }

  SAM3TRT_DEVICE void hide_missing_keys(Scores& scores, int tile) const {
    if ((tile + 1) * Tile::kKeys <= args_.keys) return;
    for (int n = 0; n < kKeyTiles; ++n) {
      for (int i = 0; i < 4; ++i) {
        if (key_of(tile, n, i) < args_.keys) continue;
        for (int m = 0; m < kRowTiles; ++m) scores[m][n][i] = kNoScore;
      }
    }
  }

  SAM3TRT_DEVICE void rescale() {
    for (int m = 0; m < kRowTiles; ++m) {
      for (int n = 0; n < kDim / 8; ++n) {
        for (int i = 0; i < 4; ++i) mixed_[m][n][i] *= softmax_.scale(m, i / 2);
      }
    }
  }

  /// Through shared memory, whose rows of queries are this warp's own, so that whole chunks are
  /// stored.
  SAM3TRT_DEVICE void write() {
    for (int m = 0; m < kRowTiles; ++m) {
      for (int r = 0; r < 2; ++r) {
        const float factor = 1.0F / softmax_.total(m, r, warp_);
        const int row = own_row_ + m * 16 + r * 8 + lane_ / 4;
        for (int n = 0; n < kDim / 8; ++n) {
          auto* to = reinterpret_cast<uint32_t*>(shared_ + Tile::place(row, n)) + lane_ % 4;
          *to = Warp::pack(mixed_[m][n][2 * r] * factor, mixed_[m][n][2 * r + 1] * factor);
        }
      }
    }
    warp_.sync_warp();
    for (int i = lane_; i < kRows * Tile::kChunks; i += 32) {
      const int row = own_row_ + i / Tile::kChunks;
      const int chunk = i % Tile::kChunks;
      const int query = first_query_ + row;
      if (query >= args_.queries) continue;
      uint16_t* to = args_.result.at(warp_.block_z(), query, warp_.block_y()) + chunk * 8;
      *reinterpret_cast<AttentionChunk*>(to) =
          *reinterpret_cast<const AttentionChunk*>(shared_ + Tile::place(row, chunk));
    }
  }

  /// What the teams found with their keys becomes one result; no copy may be under way.
  SAM3TRT_DEVICE void join_teams() {
    constexpr int kTeamFloats = Tile::kQueries * (kDim + 2);
    static_assert(2 * Tile::kTeams * kTeamFloats <= Tile::kSharedElements);
    auto* all = reinterpret_cast<float*>(shared_);
    float* own = all + team_ * kTeamFloats;
    warp_.sync_block();  // nobody reads keys or values any more
    for (int m = 0; m < kRowTiles; ++m) {
      for (int r = 0; r < 2; ++r) {
        const float sum = softmax_.total(m, r, warp_);
        const int row = own_row_ + m * 16 + r * 8 + lane_ / 4;
        for (int n = 0; n < kDim / 8; ++n) {
          float* to = own + row * kDim + n * 8 + lane_ % 4 * 2;
          to[0] = mixed_[m][n][2 * r];
          to[1] = mixed_[m][n][2 * r + 1];
        }
        own[Tile::kQueries * kDim + row] = softmax_.top(m, r);
        own[Tile::kQueries * (kDim + 1) + row] = sum;
      }
    }
    warp_.sync_block();
    for (int i = thread_; i < Tile::kQueries * Tile::kChunks; i += kThreads) {
      const int row = i / Tile::kChunks;
      const int query = first_query_ + row;
      if (query < args_.queries) write_joined(all, kTeamFloats, row, i % Tile::kChunks);
    }
  }

  const AttentionArgs& args_;
  Warp& warp_;
  uint16_t* shared_;
  const int thread_;
  const int lane_;
  const int team_;
  const int own_row_;  // first of this warp's rows of the tile
  const int first_query_;
  const HeadRows<const uint16_t> key_;
  const HeadRows<const uint16_t> value_;

  float mixed_[kRowTiles][kDim / 8][4];
  Softmax softmax_;

 private:
  static constexpr int kBoth = 2 * Tile::kKeys * kDim;  // buffers of keys

  template <typename Element>
  [[nodiscard]] SAM3TRT_DEVICE HeadRows<Element> rows_of(const AttentionRows<Element>& all) const {
    return {all.at(warp_.block_z(), 0, warp_.block_y()), all.row};
  }

  [[nodiscard]] SAM3TRT_DEVICE float* row_bias() const {
    return reinterpret_cast<float*>(shared_ + kSharedElements);
  }
  [[nodiscard]] SAM3TRT_DEVICE float* column_bias() const {
    return row_bias() + Tile::kQueries * bias_step(args_.rows);
  }

  SAM3TRT_DEVICE void load_bias(float* to, const AttentionRows<const float>& bias, int lines) {
    const HeadRows<const float> from = rows_of(bias);
    for (int i = thread_; i < Tile::kQueries * lines; i += kThreads) {
      const int row = i / lines;
      const int line = i - row * lines;
      const int query = first_query_ + row;
      to[row * bias_step(lines) + line] =
          from.at(query < args_.queries ? query : args_.queries - 1)[line];
    }
  }

  /// The key of a lane's element of scores.
  [[nodiscard]] SAM3TRT_DEVICE int key_of(int tile, int n, int i) const {
    return tile * Tile::kKeys + 8 * n + lane_ % 4 * 2 + i % 2;
  }

  /// One chunk of a query's result.
  SAM3TRT_DEVICE void write_joined(const float* all, int team_floats, int row, int chunk) {
    float top = kNoScore;
    for (int t = 0; t < Tile::kTeams; ++t) {
      top = Warp::max(top, all[t * team_floats + Tile::kQueries * kDim + row]);
    }
    float total = 0;
    float values[8] = {};
    for (int t = 0; t < Tile::kTeams; ++t) {
      const float* team = all + t * team_floats;
      const float scale = Softmax::part(team[Tile::kQueries * kDim + row], top);
      total = Warp::multiply_add(team[Tile::kQueries * (kDim + 1) + row], scale, total);
      for (int i = 0; i < 8; ++i) {
        values[i] = Warp::multiply_add(team[row * kDim + chunk * 8 + i], scale, values[i]);
      }
    }
    const float factor = 1.0F / total;
    AttentionChunk result;
    for (int i = 0; i < 4; ++i) {
      result.words[i] = Warp::pack(values[2 * i] * factor, values[2 * i + 1] * factor);
    }
    uint16_t* to = args_.result.at(warp_.block_z(), first_query_ + row, warp_.block_y());
    *reinterpret_cast<AttentionChunk*>(to + chunk * 8) = result;
  }
};

}  // namespace sam3trt
