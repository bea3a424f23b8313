#pragma once

#include <cmath>
#include <cstdint>

#include "base/host_device.hpp"
#include "cuda/kernels/thread.hpp"

namespace sam3trt {

/// LayerNormalization of rows of 16-bit floats, to the same type or to E4M3: what a product with
/// weights comes after. Sums and results before rounding are float32.
struct NormaliseArgs {
  const uint16_t* input = nullptr;  ///< [rows, columns]
  const float* gain = nullptr;      ///< [columns]
  const float* shift = nullptr;     ///< [columns]
  const float* factor = nullptr;    ///< E4M3: what values are multiplied by before rounding
  void* result = nullptr;           ///< [rows, columns]
  float epsilon = 0;
  int32_t rows = 0;
  int32_t columns = 0;  ///< A multiple of 8.
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

struct alignas(16) SixteenBytes {
  uint32_t words[4];
};
struct alignas(8) EightBytes {
  uint32_t words[2];
};

/// Eight values, in turn, as E4M3.
template <typename Warp>
[[nodiscard]] SAM3TRT_DEVICE EightBytes pack_e4m3(const float (&values)[8]) {
  EightBytes packed;
  SAM3TRT_UNROLL for (int i = 0; i < 2; ++i) {
    const uint32_t low = Warp::pack_e4m3(values[4 * i], values[4 * i + 1]);
    packed.words[i] = low | Warp::pack_e4m3(values[4 * i + 2], values[4 * i + 3]) << 16U;
  }
  return packed;
}

template <typename Warp>
SAM3TRT_DEVICE void unpack_values(const uint16_t* from, float (&values)[8]) {
  const SixteenBytes chunk = *reinterpret_cast<const SixteenBytes*>(from);
  SAM3TRT_UNROLL for (int i = 0; i < 4; ++i) {
    const auto pair = Warp::unpack(chunk.words[i]);
    values[2 * i] = pair.x;
    values[2 * i + 1] = pair.y;
  }
}

/// Each warp takes a row, which its lanes keep: kChunks times eight values each.
template <int kChunks, bool kFp8, typename Warp>
class NormaliseRows {
 public:
  static constexpr int kThreads = 256;
  static constexpr int kRows = kThreads / 32;  ///< Of a block.
  static constexpr int kMostColumns = kChunks * 256;
  static constexpr int kSharedElements = 0;

  SAM3TRT_DEVICE NormaliseRows(const NormaliseArgs& args, Warp& warp, uint16_t* /*shared*/)
      : args_(args), warp_(warp) {}

  SAM3TRT_DEVICE void run() {
    const int64_t row = static_cast<int64_t>(warp_.block_x()) * kRows + warp_.thread() / 32;
    if (row >= args_.rows) return;
    float values[kChunks][8];
    const uint16_t* from = args_.input + row * args_.columns;
    float sum = 0;
    SAM3TRT_UNROLL for (int c = 0; c < kChunks; ++c) {
      SAM3TRT_UNROLL for (float& value : values[c]) value = 0;
      if (column(c) >= args_.columns) continue;
      unpack_values<Warp>(from + column(c), values[c]);
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
      SAM3TRT_UNROLL for (int i = 0; i < 8; ++i) {
        values[c][i] = Warp::multiply_add(values[c][i] * scale, args_.gain[column(c) + i],
                                          args_.shift[column(c) + i]);
      }
      store(row * args_.columns + column(c), values[c], factor);
    }
  }

 private:
  [[nodiscard]] SAM3TRT_DEVICE int column(int chunk) const {
    return (chunk * 32 + warp_.thread() % 32) * 8;
  }

  [[nodiscard]] SAM3TRT_DEVICE float total(float value) {
    SAM3TRT_UNROLL for (int bit = 16; bit > 0; bit /= 2) value += warp_.exchange(value, bit);
    return value;
  }

  SAM3TRT_DEVICE void store(int64_t to, float (&values)[8], float factor) const {
    if constexpr (kFp8) {
      SAM3TRT_UNROLL for (float& value : values) value *= factor;
      *reinterpret_cast<EightBytes*>(static_cast<uint8_t*>(args_.result) + to) =
          pack_e4m3<Warp>(values);
    } else {
      SixteenBytes packed;
      SAM3TRT_UNROLL for (int i = 0; i < 4; ++i) {
        packed.words[i] = Warp::pack(values[2 * i], values[2 * i + 1]);
      }
      *reinterpret_cast<SixteenBytes*>(static_cast<uint16_t*>(args_.result) + to) = packed;
    }
  }

  const NormaliseArgs& args_;
  Warp& warp_;
};

template <typename Warp>
SAM3TRT_DEVICE void quantise_body(const QuantiseArgs& args, KernelThread at) {
  const int64_t first = at.x() * kQuantisedTogether;
  if (first >= args.count) return;
  float values[8];
  unpack_values<Warp>(args.input + first, values);
  const float factor = *args.factor;
  SAM3TRT_UNROLL for (float& value : values) value *= factor;
  *reinterpret_cast<EightBytes*>(static_cast<uint8_t*>(args.result) + first) =
      pack_e4m3<Warp>(values);
}

}  // namespace sam3trt
