#pragma once

#include <bit>
#include <cstdint>

#include "base/host_device.hpp"
#include "cuda/kernels/thread.hpp"

namespace sam3trt {

/// Floats as an engine takes and gives them.
enum class KernelFloat : int32_t { kF32, kF16, kBF16 };

/// Rows of floats to slots of bfloat16, rounded to nearest even as f32_to_bf16 does it. Rows and
/// slots do not overlap. All pointers are addresses of the GPU; `source` and slots begin at
/// multiples of 16 bytes.
struct KeepArgs {
  const void* source = nullptr;      ///< [rows, count] of `type`
  uint16_t* const* slots = nullptr;  ///< [rows]: where `count` numbers go
  int32_t* broken = nullptr;         ///< [rows]: set to 1 where a number is not finite
  int64_t rows = 0;
  int64_t count = 0;
  KernelFloat type = KernelFloat::kF32;
};

/// The inverse: slots of bfloat16, which may repeat, to rows of floats one after another.
struct GatherArgs {
  const uint16_t* const* slots = nullptr;  ///< [rows]
  void* target = nullptr;                  ///< [rows, count] of `type`
  int64_t rows = 0;
  int64_t count = 0;
  KernelFloat type = KernelFloat::kF32;
};

/// Numbers that a thread moves together: 16 bytes of bfloat16.
inline constexpr int64_t kKeptTogether = 8;

/// 16 bytes, which move together.
struct alignas(16) KeptChunk {
  uint32_t words[4];
};

SAM3TRT_HOST_DEVICE inline uint32_t float_bits(float value) {
#ifdef __CUDA_ARCH__
  return __float_as_uint(value);
#else
  return std::bit_cast<uint32_t>(value);
#endif
}

SAM3TRT_HOST_DEVICE inline float bits_float(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  return std::bit_cast<float>(bits);
#endif
}

/// f16_to_f32, for the bits of a float.
SAM3TRT_HOST_DEVICE inline uint32_t bits_of_f16(uint32_t half) {
  constexpr float kBias = 0x1p112F;  // between the exponents of both; makes subnormals normal, too
  const uint32_t sign = (half & 0x8000U) << 16U;
  const uint32_t magnitude = (half & 0x7FFFU) << 13U;
  if ((half & 0x7C00U) == 0x7C00U) return sign | magnitude | 0x7F800000U;
  return sign | float_bits(bits_float(magnitude) * kBias);
}

/// f32_to_f16, of the bits of a float.
SAM3TRT_HOST_DEVICE inline uint32_t f16_of_bits(uint32_t bits) {
  const uint32_t sign = (bits >> 16U) & 0x8000U;
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return sign | 0x7E00U;
  if (magnitude >= 0x47800000U) return sign | 0x7C00U;
  if (magnitude < 0x38800000U) {
    // The sum's last place is that of subnormal halves, so that adding rounds to it.
    return sign | (float_bits(bits_float(magnitude) + 0.5F) - 0x3F000000U);
  }
  return sign | ((magnitude - 0x38000000U + 0xFFFU + ((magnitude >> 13U) & 1U)) >> 13U);
}

/// f32_to_bf16, of the bits of a float.
SAM3TRT_HOST_DEVICE inline uint32_t bf16_of_bits(uint32_t bits) {
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return (bits >> 16U) | 0x40U;
  return (bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U;
}

SAM3TRT_HOST_DEVICE inline bool is_finite(uint32_t bits) {
  return (bits & 0x7F800000U) != 0x7F800000U;
}

/// Number `index` of an array, as the bits of a float.
SAM3TRT_HOST_DEVICE inline uint32_t load_bits(const void* from, KernelFloat type, int64_t index) {
  if (type == KernelFloat::kF32) return float_bits(static_cast<const float*>(from)[index]);
  const uint32_t half = static_cast<const uint16_t*>(from)[index];
  return type == KernelFloat::kF16 ? bits_of_f16(half) : half << 16U;
}

/// The inverse.
SAM3TRT_HOST_DEVICE inline void store_bits(void* to, KernelFloat type, int64_t index,
                                           uint32_t bits) {
  if (type == KernelFloat::kF32) {
    static_cast<float*>(to)[index] = bits_float(bits);
  } else {
    const uint32_t half = type == KernelFloat::kF16 ? f16_of_bits(bits) : bf16_of_bits(bits);
    static_cast<uint16_t*>(to)[index] = static_cast<uint16_t>(half);
  }
}

/// kKeptTogether of them from `index` on, which is a multiple of that.
SAM3TRT_HOST_DEVICE inline void load_chunk(const void* from, KernelFloat type, int64_t index,
                                           uint32_t (&bits)[kKeptTogether]) {
  if (type == KernelFloat::kF32) {
    const auto* chunks =
        reinterpret_cast<const KeptChunk*>(static_cast<const float*>(from) + index);
    const KeptChunk low = chunks[0];
    const KeptChunk high = chunks[1];
    SAM3TRT_UNROLL
    for (int i = 0; i < 4; ++i) {
      bits[i] = low.words[i];
      bits[i + 4] = high.words[i];
    }
    return;
  }
  const KeptChunk chunk =
      *reinterpret_cast<const KeptChunk*>(static_cast<const uint16_t*>(from) + index);
  SAM3TRT_UNROLL
  for (int i = 0; i < 8; ++i) {
    const uint32_t half = (chunk.words[i / 2] >> (i % 2 * 16)) & 0xFFFFU;
    bits[i] = type == KernelFloat::kF16 ? bits_of_f16(half) : half << 16U;
  }
}

SAM3TRT_HOST_DEVICE inline void store_chunk(void* to, KernelFloat type, int64_t index,
                                            const uint32_t (&bits)[kKeptTogether]) {
  if (type == KernelFloat::kF32) {
    auto* chunks = reinterpret_cast<KeptChunk*>(static_cast<float*>(to) + index);
    chunks[0] = {{bits[0], bits[1], bits[2], bits[3]}};
    chunks[1] = {{bits[4], bits[5], bits[6], bits[7]}};
    return;
  }
  KeptChunk chunk{};
  SAM3TRT_UNROLL
  for (int i = 0; i < 8; ++i) {
    const uint32_t half = type == KernelFloat::kF16 ? f16_of_bits(bits[i]) : bf16_of_bits(bits[i]);
    chunk.words[i / 2] |= half << (i % 2 * 16);
  }
  *reinterpret_cast<KeptChunk*>(static_cast<uint16_t*>(to) + index) = chunk;
}

/// Bytes before row `row` of rows of `count` numbers.
SAM3TRT_HOST_DEVICE inline int64_t row_begin(KernelFloat type, int64_t row, int64_t count) {
  return row * count * (type == KernelFloat::kF32 ? 4 : 2);
}

/// Moves `count` numbers, of which a thread has kKeptTogether; whole chunks where rows begin at
/// multiples of 16 bytes. Returns whether those of the thread are finite.
SAM3TRT_HOST_DEVICE inline bool move_row(const void* from, KernelFloat given, void* to,
                                         KernelFloat wanted, int64_t count, int64_t first) {
  bool finite = true;
  if (count % kKeptTogether == 0) {
    uint32_t bits[kKeptTogether];
    load_chunk(from, given, first, bits);
    SAM3TRT_UNROLL
    for (int64_t i = 0; i < kKeptTogether; ++i) finite = finite && is_finite(bits[i]);
    store_chunk(to, wanted, first, bits);
    return finite;
  }
  for (int64_t i = first; i < first + kKeptTogether && i < count; ++i) {
    const uint32_t bits = load_bits(from, given, i);
    finite = finite && is_finite(bits);
    store_bits(to, wanted, i, bits);
  }
  return finite;
}

/// The same of zeros.
SAM3TRT_HOST_DEVICE inline void clear_row(void* to, KernelFloat wanted, int64_t count,
                                          int64_t first) {
  if (count % kKeptTogether == 0) {
    constexpr uint32_t kZeros[kKeptTogether] = {};
    store_chunk(to, wanted, first, kZeros);
    return;
  }
  for (int64_t i = first; i < first + kKeptTogether && i < count; ++i) {
    store_bits(to, wanted, i, 0);
  }
}

/// x is a group of kKeptTogether numbers of a row, y a row.
SAM3TRT_HOST_DEVICE inline void keep_rows_body(const KeepArgs& args, KernelThread at) {
  const int64_t first = at.x() * kKeptTogether;
  if (first >= args.count) return;
  for (int64_t row = at.block_y; row < args.rows; row += at.blocks_y) {
    const auto* from =
        static_cast<const uint8_t*>(args.source) + row_begin(args.type, row, args.count);
    if (move_row(from, args.type, args.slots[row], KernelFloat::kBF16, args.count, first)) continue;
    // Several threads may get here; volatile stores of different threads do not race on a GPU.
    *static_cast<volatile int32_t*>(args.broken + row) = 1;
  }
}

/// The same.
SAM3TRT_HOST_DEVICE inline void gather_rows_body(const GatherArgs& args, KernelThread at) {
  const int64_t first = at.x() * kKeptTogether;
  if (first >= args.count) return;
  for (int64_t row = at.block_y; row < args.rows; row += at.blocks_y) {
    auto* to = static_cast<uint8_t*>(args.target) + row_begin(args.type, row, args.count);
    if (args.slots[row] == nullptr) {
      clear_row(to, args.type, args.count, first);
      continue;
    }
    move_row(args.slots[row], KernelFloat::kBF16, to, args.type, args.count, first);
  }
}

}  // namespace sam3trt
