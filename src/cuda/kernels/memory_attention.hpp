#pragma once

#include <cstdint>

#include "base/host_device.hpp"
#include "base/own_operators.hpp"
#include "cuda/kernels/attention.hpp"
#include "cuda/kernels/thread.hpp"

namespace sam3trt {

/// Attention of one head of 256 channels to many keys, which are few blocks' work for the queries
/// of one object: blocks share the keys, too. Keys that are there are counted (count), rotated and
/// laid out in tiles with their values (prepare), then each block takes an equal part of all pairs
/// of query tiles and key tiles (attend), then what several blocks found for a query tile becomes
/// one result (join).

/// A part of a tile: 64 rows of 64 channels, placed as AttentionTile<64>::place says.
inline constexpr int kMemoryKeys = 64;
inline constexpr int kMemoryPartChannels = 64;
inline constexpr int kMemoryPartElements = kMemoryKeys * kMemoryPartChannels;
inline constexpr int kMemoryParts = kMemoryHeadDim / kMemoryPartChannels;

/// Elements of a tile: parts of keys, then parts of values.
[[nodiscard]] SAM3TRT_HOST_DEVICE constexpr int64_t memory_tile_elements(int64_t value_dim) {
  return kMemoryKeys * (kMemoryHeadDim + value_dim);
}

/// How many keys of a batch are there, of each kind.
struct MemoryCount {
  int32_t rotated = 0;
  int32_t plain = 0;
  [[nodiscard]] SAM3TRT_HOST_DEVICE int keys() const { return rotated + plain; }
};

/// The keys of a launch, [B, rotated, D] that are rotated and [B, plain, D] that are not.
struct MemoryKeys {
  const MemoryCount* counts = nullptr;  ///< [B], at most as many as below; null: all are there.
  int32_t rotated = 0;
  int32_t plain = 0;

  [[nodiscard]] SAM3TRT_HOST_DEVICE MemoryCount of(int64_t batch) const {
    return counts == nullptr ? MemoryCount{rotated, plain} : counts[batch];
  }
  /// Of the key tiles of a batch that has all of its keys, as many as lie in memory for each.
  [[nodiscard]] SAM3TRT_HOST_DEVICE int key_tiles() const {
    return tiles_of(rotated + plain, kMemoryKeys);
  }
};

/// Counts the keys that are there, those with a bias of at least 0, for whole frames of `period`
/// keys and for each of the others; they are the first ones. The first frame always is.
struct MemoryCountArgs {
  const float* bias = nullptr;  ///< [B, rotated + plain]
  MemoryCount* counts = nullptr;
  int32_t batches = 0;
  int32_t rotated_keys = 0;
  int32_t plain_keys = 0;
  int32_t period = 0;
};

SAM3TRT_HOST_DEVICE inline void memory_count_body(const MemoryCountArgs& args, KernelThread at) {
  const int64_t batch = at.x();
  if (batch >= args.batches) return;
  const float* bias = args.bias + batch * (args.rotated_keys + args.plain_keys);
  MemoryCount count{args.period, 0};
  for (int key = args.period; key < args.rotated_keys; key += args.period) {
    if (bias[key] >= 0) count.rotated += args.period;
  }
  for (int key = 0; key < args.plain_keys; ++key) {
    if (bias[args.rotated_keys + key] >= 0) ++count.plain;
  }
  args.counts[batch] = count;
}

/// Keys that are there and their values [B, rotated + plain, X] to tiles [B, key_tiles,
/// memory_tile_elements(X)] without gaps; rows of a batch's last tile beyond its last key are zero.
struct MemoryPrepareArgs {
  const uint16_t* rotated = nullptr;
  const uint16_t* plain = nullptr;  ///< Not followed where there are no plain keys.
  const uint16_t* values = nullptr;
  uint16_t* tiles = nullptr;
  const float* cos = nullptr;  ///< [period, D / 2]; key r is rotated by row r % period
  const float* sin = nullptr;
  MemoryKeys keys;
  int32_t batches = 0;
  int32_t period = 0;
};

/// Threads of a row: one for each pair of chunks of keys, one for each chunk of values.
[[nodiscard]] SAM3TRT_HOST_DEVICE constexpr int64_t memory_prepare_threads(int64_t value_dim) {
  return kMemoryHeadDim / 16 + value_dim / 8;
}

/// `thread` of all of a launch.
template <int kValueDim, typename Warp>
SAM3TRT_DEVICE inline void memory_prepare_body(const MemoryPrepareArgs& args, int64_t thread) {
  constexpr int kPairs = kMemoryHeadDim / 16;
  constexpr int kThreads = static_cast<int>(memory_prepare_threads(kValueDim));
  using Place = AttentionTile<kMemoryPartChannels>;
  const int64_t rows = int64_t{args.keys.key_tiles()} * kMemoryKeys;
  const int unit = static_cast<int>(thread % kThreads);
  const int64_t row = thread / kThreads % rows;
  const int64_t batch = thread / kThreads / rows;
  if (batch >= args.batches) return;
  const MemoryCount count = args.keys.of(batch);
  const bool there = row < count.keys();
  if (!there && row / kMemoryKeys >= tiles_of(count.keys(), kMemoryKeys)) return;
  uint16_t* tile = args.tiles + (batch * (rows / kMemoryKeys) + row / kMemoryKeys) *
                                    memory_tile_elements(kValueDim);
  const int line = static_cast<int>(row % kMemoryKeys);
  const auto store = [&](int part, int chunk, const AttentionChunk& value) {
    uint16_t* to = tile + part * kMemoryPartElements + Place::place(line, chunk);
    *reinterpret_cast<AttentionChunk*>(to) = value;
  };
  const auto load = [](const uint16_t* from) {
    return *reinterpret_cast<const AttentionChunk*>(from);
  };
  if (unit >= kPairs) {
    const int chunk = unit - kPairs;
    AttentionChunk value{};
    if (there) {
      const int64_t skipped = row < count.rotated ? 0 : args.keys.rotated - count.rotated;
      const int64_t all = int64_t{args.keys.rotated} + args.keys.plain;
      value = load(args.values + (batch * all + row + skipped) * kValueDim + chunk * 8);
    }
    store(kMemoryParts + chunk / 8, chunk % 8, value);
    return;
  }
  AttentionChunk low{};
  AttentionChunk high{};
  if (there) {
    const bool rotated = row < count.rotated;
    const uint16_t* from =
        (rotated ? args.rotated + (batch * args.keys.rotated + row) * kMemoryHeadDim
                 : args.plain + (batch * args.keys.plain + row - count.rotated) * kMemoryHeadDim) +
        unit * 8;
    low = load(from);
    high = load(from + kMemoryHeadDim / 2);
    if (rotated) {
      const int64_t angle = row % args.period * (kMemoryHeadDim / 2) + unit * 8;
      rotate_chunks<Warp>(low, high, args.cos + angle, args.sin + angle);
    }
  }
  store(unit / 8, unit % 8, low);
  store(kMemoryParts / 2 + unit / 8, unit % 8, high);
}

/// softmax(rotate(Q) K^T) V with float32 sums. Queries carry the factor 1/sqrt(D).
struct MemoryAttentionArgs {
  const uint16_t* query = nullptr;  ///< [B, Q, D]
  const uint16_t* tiles = nullptr;  ///< As memory_prepare_body makes them.
  uint16_t* result = nullptr;       ///< [B, Q, X]
  float* shares = nullptr;     ///< Of query tiles that several blocks share: memory_share_floats.
  const float* cos = nullptr;  ///< [Q, D / 2]
  const float* sin = nullptr;
  MemoryKeys keys;
  int32_t batches = 0;
  int32_t queries = 0;
  int32_t blocks = 0;      ///< Of the launch that attends.
  int32_t query_rows = 0;  ///< Of a query tile.
};

/// Floats of one share: products [queries, X], then the largest scores, then the sums.
[[nodiscard]] SAM3TRT_HOST_DEVICE constexpr int64_t memory_share_floats(int64_t queries,
                                                                        int64_t value_dim) {
  return queries * (value_dim + 2);
}

/// Which block does what: pairs of query tiles and key tiles in order, an equal count for each. A
/// batch has as many key tiles as its keys need. There are fewer than 2^31 pairs.
class MemoryWork {
 public:
  SAM3TRT_DEVICE MemoryWork(const MemoryAttentionArgs& args, int query_rows)
      : args_(args), tiles_(tiles_of(args.queries, query_rows)), total_(first_of(args.batches)) {}

  /// A block's first pair.
  [[nodiscard]] SAM3TRT_DEVICE int begin(int block) const {
    return static_cast<int>(int64_t{total_} * block / args_.blocks);
  }
  [[nodiscard]] SAM3TRT_DEVICE int key_tiles(int batch) const {
    return tiles_of(args_.keys.of(batch).keys(), kMemoryKeys);
  }
  [[nodiscard]] SAM3TRT_DEVICE int batch_of(int tile) const { return tile / tiles_; }
  /// Of a query tile, the one among those of its batch.
  [[nodiscard]] SAM3TRT_DEVICE int index_in_batch(int tile) const { return tile % tiles_; }
  /// A query tile's first pair.
  [[nodiscard]] SAM3TRT_DEVICE int first_pair(int tile) const {
    const int batch = batch_of(tile);
    return first_of(batch) + index_in_batch(tile) * key_tiles(batch);
  }

  /// The block that has a pair.
  [[nodiscard]] SAM3TRT_DEVICE int block_of(int pair) const {
    return static_cast<int>(((int64_t{pair} + 1) * args_.blocks - 1) / total_);
  }

  /// Where a block's share of the query tile with that first pair is kept: it has at most two that
  /// are not the whole of their tiles, its first and its last one.
  [[nodiscard]] SAM3TRT_DEVICE int share_of(int block, int first_pair) const {
    return 2 * block + (begin(block) >= first_pair ? 0 : 1);
  }

  /// Calls work(query tile, first key tile, one beyond the last) for all that a block has.
  template <typename Work>
  SAM3TRT_DEVICE void for_each(int block, const Work& work) const {
    int first = begin(block);
    int rest = begin(block + 1) - first;
    if (rest == 0) return;
    int batch = 0;
    int key_tiles = this->key_tiles(batch);
    while (first >= tiles_ * key_tiles) {
      first -= tiles_ * key_tiles;
      key_tiles = this->key_tiles(++batch);
    }
    int tile = batch * tiles_ + first / key_tiles;
    first %= key_tiles;
    while (true) {
      const int last = rest < key_tiles - first ? first + rest : key_tiles;
      work(tile, first, last);
      rest -= last - first;
      if (rest == 0) return;
      first = 0;
      if (++tile % tiles_ == 0) key_tiles = this->key_tiles(++batch);
    }
  }

 private:
  /// A batch's first pair.
  [[nodiscard]] SAM3TRT_DEVICE int first_of(int batch) const {
    int tiles = 0;
    for (int before = 0; before < batch; ++before) tiles += key_tiles(before);
    return tiles * tiles_;
  }

  const MemoryAttentionArgs& args_;
  int tiles_;  // of queries, of a batch
  int total_;
};

/// What a warp does with its 16 queries, whatever instructions multiply; 4 warps with 64 queries
/// are a group. Queries lie in shared memory as parts, group by group.
template <int kQueryRows, int kValueDim, typename Warp>
class MemoryAttentionCore {
 public:
  static constexpr int kQueries = kQueryRows;
  static constexpr int kValues = kValueDim;

 protected:
  using Softmax = RunningSoftmax<1, kMemoryKeys / 8, Warp>;
  using Scores = typename Softmax::Scores;
  using Place = AttentionTile<kMemoryPartChannels>;
  static constexpr int kSteps = kMemoryPartChannels / 16;
  static constexpr int kValueParts = kValueDim / kMemoryPartChannels;
  static constexpr int kQueryElements = kQueryRows * kMemoryHeadDim;
  static constexpr int kKeyElements = kMemoryParts * kMemoryPartElements;
  static constexpr int kValueElements = kValueParts * kMemoryPartElements;
  static constexpr int kPairs = kMemoryHeadDim / 16;  // of chunks that rotate together

  SAM3TRT_DEVICE MemoryAttentionCore(const MemoryAttentionArgs& args, Warp& warp, uint16_t* shared)
      : args_(args),
        warp_(warp),
        shared_(shared),
        work_(args, kQueryRows),
        thread_(warp.thread()),
        lane_(thread_ % 32),
        line_(thread_ / 32 * 16 % 64),
        group_(warp.same_in_warp(thread_ / 128)) {}

  /// The group's queries, a part of their channels.
  [[nodiscard]] SAM3TRT_DEVICE uint16_t* queries(int part) const {
    return shared_ + (group_ * kMemoryParts + part) * kMemoryPartElements;
  }
  [[nodiscard]] SAM3TRT_DEVICE const uint16_t* tile_at(int query_tile, int key_tile) const {
    const int64_t index = int64_t{work_.batch_of(query_tile)} * args_.keys.key_tiles() + key_tile;
    return args_.tiles + index * memory_tile_elements(kValueDim);
  }

  /// This warp's queries of a tile, rotated, to shared memory; nothing is found for them yet.
  SAM3TRT_DEVICE void begin_tile(int tile) {
    keys_ = args_.keys.of(work_.batch_of(tile)).keys();
    for (int i = lane_; i < 16 * kPairs; i += 32) {
      const int line = line_ + i / kPairs;
      const int pair = i % kPairs;
      const int query = query_of(tile, group_ * 64 + line);
      AttentionChunk low{};
      AttentionChunk high{};
      if (query < args_.queries) {
        const uint16_t* from = row_of(args_.query, tile, query, kMemoryHeadDim) + pair * 8;
        low = *reinterpret_cast<const AttentionChunk*>(from);
        high = *reinterpret_cast<const AttentionChunk*>(from + kMemoryHeadDim / 2);
        const int64_t angle = int64_t{query} * (kMemoryHeadDim / 2) + pair * 8;
        rotate_chunks<Warp>(low, high, args_.cos + angle, args_.sin + angle);
      }
      uint16_t* to = queries(pair / 8) + Place::place(line, pair % 8);
      *reinterpret_cast<AttentionChunk*>(to) = low;
      *reinterpret_cast<AttentionChunk*>(to + kMemoryParts / 2 * kMemoryPartElements) = high;
    }
    softmax_.start();
    for (int part = 0; part < kValueParts; ++part) {
      for (int n = 0; n < 8; ++n) {
        for (int i = 0; i < 4; ++i) mixed_[part][n][i] = 0;
      }
    }
  }

  template <bool kPutsOff = false>
  SAM3TRT_DEVICE void soften(Scores& scores, int key_tile) {
    hide_missing_keys(scores, key_tile);
    softmax_.template soften<kPutsOff>(scores, warp_);
  }

  SAM3TRT_DEVICE void hide_missing_keys(Scores& scores, int key_tile) const {
    const int there = keys_ - key_tile * kMemoryKeys;
    if (there >= kMemoryKeys) return;
    for (int n = 0; n < kMemoryKeys / 8; ++n) {
      for (int i = 0; i < 4; ++i) {
        if (8 * n + lane_ % 4 * 2 + i % 2 >= there) scores[0][n][i] = kNoScore;
      }
    }
  }

  SAM3TRT_DEVICE void rescale() {
    for (int part = 0; part < kValueParts; ++part) {
      for (int n = 0; n < 8; ++n) {
        for (int i = 0; i < 4; ++i) mixed_[part][n][i] *= softmax_.scale(0, i / 2);
      }
    }
  }

  /// What was found for this warp's queries with the key tiles from `first` on.
  SAM3TRT_DEVICE void end_tile(int tile, int first, int last) {
    if (first == 0 && last == tiles_of(keys_, kMemoryKeys)) {
      write_result(tile);
    } else {
      write_share(tile);
    }
  }

  const MemoryAttentionArgs& args_;
  Warp& warp_;
  uint16_t* shared_;
  const MemoryWork work_;
  const int thread_;
  const int lane_;
  const int line_;   // first of this warp's among the lines of its group
  const int group_;  // of warps
  int keys_ = 0;     // of the batch that the query tile at hand is of
  float mixed_[kValueParts][8][4];
  Softmax softmax_;

 private:
  [[nodiscard]] SAM3TRT_DEVICE int query_of(int tile, int row) const {
    return work_.index_in_batch(tile) * kQueryRows + row;
  }
  template <typename Element>
  [[nodiscard]] SAM3TRT_DEVICE Element* row_of(Element* all, int tile, int query, int width) const {
    return all + (int64_t{work_.batch_of(tile)} * args_.queries + query) * width;
  }

  /// Through shared memory, over this warp's queries, so that whole chunks are stored.
  SAM3TRT_DEVICE void write_result(int tile) {
    for (int r = 0; r < 2; ++r) {
      const float factor = 1.0F / softmax_.total(0, r, warp_);
      const int line = line_ + r * 8 + lane_ / 4;
      for (int part = 0; part < kValueParts; ++part) {
        for (int n = 0; n < 8; ++n) {
          auto* to = reinterpret_cast<uint32_t*>(queries(part) + Place::place(line, n)) + lane_ % 4;
          *to = Warp::pack(mixed_[part][n][2 * r] * factor, mixed_[part][n][2 * r + 1] * factor);
        }
      }
    }
    warp_.sync_warp();
    for (int i = lane_; i < 16 * kValueDim / 8; i += 32) {
      const int line = line_ + i / (kValueDim / 8);
      const int chunk = i % (kValueDim / 8);
      const int query = query_of(tile, group_ * 64 + line);
      if (query >= args_.queries) continue;
      uint16_t* to = row_of(args_.result, tile, query, kValueDim) + chunk * 8;
      *reinterpret_cast<AttentionChunk*>(to) = *reinterpret_cast<const AttentionChunk*>(
          queries(chunk / 8) + Place::place(line, chunk % 8));
    }
  }

  SAM3TRT_DEVICE void write_share(int tile) {
    float* share = args_.shares + work_.share_of(warp_.block_x(), work_.first_pair(tile)) *
                                      memory_share_floats(kQueryRows, kValueDim);
    for (int r = 0; r < 2; ++r) {
      const float sum = softmax_.total(0, r, warp_);
      const int row = group_ * 64 + line_ + r * 8 + lane_ / 4;
      for (int part = 0; part < kValueParts; ++part) {
        for (int n = 0; n < 8; ++n) {
          float* to = share + row * kValueDim + part * 64 + n * 8 + lane_ % 4 * 2;
          to[0] = mixed_[part][n][2 * r];
          to[1] = mixed_[part][n][2 * r + 1];
        }
      }
      if (lane_ % 4 != 0) continue;
      share[kQueryRows * kValueDim + row] = softmax_.top(0, r);
      share[kQueryRows * (kValueDim + 1) + row] = sum;
    }
  }
};

/// Rows of a query tile that a block joins.
inline constexpr int kMemoryJoinRows = 16;

/// Block x counts query tiles, y groups of their rows; what several blocks found becomes the
/// result.
template <int kValueDim, typename Warp>
SAM3TRT_DEVICE inline void memory_join_body(const MemoryAttentionArgs& args, KernelThread at) {
  constexpr int kChunks = kValueDim / 8;
  using Softmax = RunningSoftmax<1, 1, Warp>;
  const int rows = args.query_rows;
  const int64_t share_floats = memory_share_floats(rows, kValueDim);
  const MemoryWork work(args, rows);
  const int tile = static_cast<int>(at.block_x);
  const int first_pair = work.first_pair(tile);
  const int first = work.block_of(first_pair);
  const int last = work.block_of(first_pair + work.key_tiles(work.batch_of(tile)) - 1);
  if (first == last) return;
  const int first_query = work.index_in_batch(tile) * rows;
  for (int i = static_cast<int>(at.thread); i < kMemoryJoinRows * kChunks; i += kBlockThreads) {
    const int row = static_cast<int>(at.block_y) * kMemoryJoinRows + i / kChunks;
    const int chunk = i % kChunks;
    if (first_query + row >= args.queries) continue;
    float top = kNoScore;
    for (int block = first; block <= last; ++block) {
      const float* share = args.shares + work.share_of(block, first_pair) * share_floats;
      top = Warp::max(top, share[rows * kValueDim + row]);
    }
    float total = 0;
    float values[8] = {};
    for (int block = first; block <= last; ++block) {
      const float* share = args.shares + work.share_of(block, first_pair) * share_floats;
      const float part = Softmax::part(share[rows * kValueDim + row], top);
      total = Warp::multiply_add(share[rows * (kValueDim + 1) + row], part, total);
      const float* from = share + row * kValueDim + chunk * 8;
      for (int k = 0; k < 8; ++k) values[k] = Warp::multiply_add(from[k], part, values[k]);
    }
    const float factor = 1.0F / total;
    AttentionChunk result;
    for (int k = 0; k < 4; ++k) {
      result.words[k] = Warp::pack(values[2 * k] * factor, values[2 * k + 1] * factor);
    }
    uint16_t* to = args.result +
                   (int64_t{work.batch_of(tile)} * args.queries + first_query + row) * kValueDim +
                   chunk * 8;
    *reinterpret_cast<AttentionChunk*>(to) = result;
  }
}

}  // namespace sam3trt
