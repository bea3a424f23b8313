#pragma once

#include <cmath>
#include <cstdint>

#include "base/host_device.hpp"
#include "cuda/kernels/sixteen_bytes.hpp"
#include "cuda/kernels/thread.hpp"

namespace sam3trt {

/// LayerNormalization of rows of 16-bit floats, to the same type or to E4M3: what a product with
/// weights comes after. Sums and results before rounding are float32. With a residual: of its sum
/// with the rows, which is a result, too. With an index: of blocks of rows that it names, which are
/// a result, too.
struct NormaliseArgs {
  const uint16_t* input = nullptr;  ///< [rows, columns]; with an index [blocks, block, columns]
  const float* residual = nullptr;  ///< [rows, columns]
  float* sum = nullptr;             ///< [rows, columns]
  const int64_t* index = nullptr;   ///< [rows / block]: of a block of the input
  uint16_t* gathered = nullptr;     ///< [rows, columns]
  const float* gain = nullptr;      ///< [columns]
  const float* shift = nullptr;     ///< [columns]
  const float* factor = nullptr;    ///< E4M3: what values are multiplied by before rounding
  void* result = nullptr;           ///< [rows, columns]
  float epsilon = 0;
  int32_t rows = 0;
  int32_t columns = 0;  ///< A multiple of 8.
  int32_t block = 1;
  int32_t blocks = 1;
  int32_t padding = 0;
};

/// 16-bit floats to E4M3. A thread of block x rounds kQuantisedTogether of them.
struct QuantiseArgs {
  const uint16_t* input = nullptr;  ///< [count]
  const float* factor = nullptr;    ///< What values are multiplied by before rounding.
  void* result = nullptr;           ///< [count]
  int64_t count = 0;                ///< A multiple of kQuantisedTogether.
};

inline constexpr int kQuantisedTogether = 8;

/// Four values, in turn, as E4M3.
template <typename Warp>
[[nodiscard]] SAM3TRT_DEVICE uint32_t pack_e4m3(const float* values) {
  const uint32_t low = Warp::pack_e4m3(values[0], values[1]);
  return low | Warp::pack_e4m3(values[2], values[3]) << 16U;
}

/// What a kernel normalises.
enum class RowSource { kPlain, kResidual, kIndex };

/// Each warp takes a row, which its lanes keep: kChunks times kTogether values each, so that lanes
/// side by side read and write side by side.
template <int kChunks, bool kFp8, typename Warp, RowSource kSource = RowSource::kPlain>
class NormaliseRows {
 public:
  static constexpr int kThreads = 128;
  static constexpr int kRows = kThreads / 32;  ///< Of a block.
  /// Sixteen bytes of the widest that is read.
  static constexpr int kTogether = kSource == RowSource::kResidual ? 4 : 8;
  static constexpr int kMostColumns = kChunks * 32 * kTogether;
  static constexpr int kSharedElements = 0;

  SAM3TRT_DEVICE NormaliseRows(const NormaliseArgs& args, Warp& warp, uint16_t* /*shared*/)
      : args_(args), warp_(warp) {}

  SAM3TRT_DEVICE void run() {
    const int64_t row = static_cast<int64_t>(warp_.block_x()) * kRows + warp_.thread() / 32;
    if (row >= args_.rows) return;
    float values[kChunks][kTogether];
    load(row, values);
    if constexpr (kSource == RowSource::kResidual) add_residual(row * args_.columns, values);
    float sum = 0;
    SAM3TRT_UNROLL for (int c = 0; c < kChunks; ++c) {
      SAM3TRT_UNROLL for (const float value : values[c]) sum += value;
    }
    const float mean = total(sum) / static_cast<float>(args_.columns);
    float squares = 0;
    SAM3TRT_UNROLL for (int c = 0; c < kChunks; ++c) {
      if (column(c) >= args_.columns) continue;
      SAM3TRT_UNROLL for (float& value : values[c]) {
        value -= mean;
        squares = Warp::multiply_add(value, value, squares);
      }
    }
    const float variance = total(squares) / static_cast<float>(args_.columns);
    const float scale = 1.0F / std::sqrt(variance + args_.epsilon);
    const float factor = kFp8 ? *args_.factor : 1.0F;
    SAM3TRT_UNROLL for (int c = 0; c < kChunks; ++c) {
      if (column(c) >= args_.columns) continue;
      SAM3TRT_UNROLL for (int four = 0; four < kTogether; four += 4) {
        const int at = column(c) + four;
        const FourFloats gain = *reinterpret_cast<const FourFloats*>(args_.gain + at);
        const FourFloats shift = *reinterpret_cast<const FourFloats*>(args_.shift + at);
        SAM3TRT_UNROLL for (int i = 0; i < 4; ++i) {
          float& value = values[c][four + i];
          value = Warp::multiply_add(value * scale, gain.values[i], shift.values[i]) * factor;
        }
      }
      store(row * args_.columns + column(c), values[c]);
    }
  }

 private:
  struct alignas(kTogether * sizeof(uint16_t)) Chunk {
    uint32_t words[kTogether / 2];
  };

  [[nodiscard]] SAM3TRT_DEVICE int column(int chunk) const {
    return (chunk * 32 + warp_.thread() % 32) * kTogether;
  }

  /// Where a row begins in the input.
  [[nodiscard]] SAM3TRT_DEVICE int64_t source(int64_t row) const {
    if constexpr (kSource != RowSource::kIndex) return row * args_.columns;
    const int64_t block = index_or_first(args_.index[row / args_.block], args_.blocks);
    return (block * args_.block + row % args_.block) * args_.columns;
  }

  /// Values of columns that are not there are 0.
  SAM3TRT_DEVICE void load(int64_t row, float (&values)[kChunks][kTogether]) const {
    const uint16_t* from = args_.input + source(row);
    Chunk chunks[kChunks];
    SAM3TRT_UNROLL for (int c = 0; c < kChunks; ++c) {
      chunks[c] = {};
      if (column(c) >= args_.columns) continue;
      chunks[c] = *reinterpret_cast<const Chunk*>(from + column(c));
    }
    if constexpr (kSource == RowSource::kIndex) {
      SAM3TRT_UNROLL for (int c = 0; c < kChunks; ++c) {
        if (column(c) >= args_.columns) continue;
        *reinterpret_cast<Chunk*>(args_.gathered + row * args_.columns + column(c)) = chunks[c];
      }
    }
    SAM3TRT_UNROLL for (int c = 0; c < kChunks; ++c) {
      SAM3TRT_UNROLL for (int i = 0; i < kTogether / 2; ++i) {
        const auto pair = Warp::unpack(chunks[c].words[i]);
        values[c][2 * i] = pair.x;
        values[c][2 * i + 1] = pair.y;
      }
    }
  }

  SAM3TRT_DEVICE void add_residual(int64_t at, float (&values)[kChunks][kTogether]) const {
    static_assert(kTogether == 4);
    FourFloats chunks[kChunks];
    SAM3TRT_UNROLL for (int c = 0; c < kChunks; ++c) {
      if (column(c) >= args_.columns) continue;
      chunks[c] = *reinterpret_cast<const FourFloats*>(args_.residual + at + column(c));
    }
    SAM3TRT_UNROLL for (int c = 0; c < kChunks; ++c) {
      if (column(c) >= args_.columns) continue;
      SAM3TRT_UNROLL for (int i = 0; i < 4; ++i) {
        values[c][i] += chunks[c].values[i];
        chunks[c].values[i] = values[c][i];
      }
      *reinterpret_cast<FourFloats*>(args_.sum + at + column(c)) = chunks[c];
    }
  }

  [[nodiscard]] SAM3TRT_DEVICE float total(float value) {
    SAM3TRT_UNROLL for (int bit = 16; bit > 0; bit /= 2) value += warp_.exchange(value, bit);
    return value;
  }

  SAM3TRT_DEVICE void store(int64_t to, const float (&values)[kTogether]) const {
    if constexpr (kFp8) {
      static_assert(kTogether == 8);
      *reinterpret_cast<EightBytes*>(static_cast<uint8_t*>(args_.result) +
                                     to) = {{pack_e4m3<Warp>(values), pack_e4m3<Warp>(values + 4)}};
    } else {
      Chunk chunk;
      SAM3TRT_UNROLL for (int i = 0; i < kTogether / 2; ++i) {
        chunk.words[i] = Warp::pack(values[2 * i], values[2 * i + 1]);
      }
      *reinterpret_cast<Chunk*>(static_cast<uint16_t*>(args_.result) + to) = chunk;
    }
  }

  const NormaliseArgs& args_;
  Warp& warp_;
};

template <typename Warp>
SAM3TRT_DEVICE void quantise_body(const QuantiseArgs& args, KernelThread at) {
  const int64_t first = at.x() * kQuantisedTogether;
  if (first >= args.count) return;
  const SixteenBytes chunk = *reinterpret_cast<const SixteenBytes*>(args.input + first);
  const float factor = *args.factor;
  float values[kQuantisedTogether];
  SAM3TRT_UNROLL for (int i = 0; i < 4; ++i) {
    const auto pair = Warp::unpack(chunk.words[i]);
    values[2 * i] = pair.x * factor;
    values[2 * i + 1] = pair.y * factor;
  }
  *reinterpret_cast<EightBytes*>(static_cast<uint8_t*>(args.result) +
                                 first) = {{pack_e4m3<Warp>(values), pack_e4m3<Warp>(values + 4)}};
}

}  // namespace sam3trt
