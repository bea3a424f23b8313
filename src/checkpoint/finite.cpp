#include "checkpoint/finite.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "base/error.hpp"

namespace sam3trt {
namespace {

// Elements that are looked at together. The number is fixed, so that compilers make vector
// instructions of the loop whatever their level of optimisation.
constexpr size_t kBlock = 1024;

/// `Bits` is the unsigned type of an element and `kLimit` the smallest magnitude (the bits without
/// the sign) that is not finite: magnitudes are ordered as numbers are.
template <typename Bits, Bits kLimit>
struct Scan {
  static constexpr Bits kSign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
  static constexpr Bits kMagnitude = static_cast<Bits>(~kSign);
  // Added to a magnitude it sets the sign bit from the limit on.
  static constexpr Bits kRest = static_cast<Bits>(kSign - kLimit);

  static bool is_finite(Bits bits) {
    return (static_cast<Bits>((bits & kMagnitude) + kRest) & kSign) == 0;
  }

  static bool all_finite(const std::array<Bits, kBlock>& block) {
    Bits seen = 0;
    for (size_t i = 0; i < kBlock; ++i) {
      seen = static_cast<Bits>(seen | static_cast<Bits>((block[i] & kMagnitude) + kRest));
    }
    return (seen & kSign) == 0;
  }

  static NonFiniteCount count(std::span<const std::byte> bytes) {
    NonFiniteCount result;
    const size_t size = bytes.size() / sizeof(Bits);
    std::array<Bits, kBlock> block;
    for (size_t begin = 0; begin < size; begin += kBlock) {
      const size_t here = std::min(kBlock, size - begin);
      if (here < kBlock) block.fill(0);
      std::memcpy(block.data(), bytes.data() + begin * sizeof(Bits), here * sizeof(Bits));
      if (all_finite(block)) continue;
      for (size_t i = 0; i < here; ++i) {
        if (is_finite(block[i])) continue;
        if (result.count == 0) result.first = static_cast<int64_t>(begin + i);
        ++result.count;
      }
    }
    return result;
  }
};

// All exponent bits set; for float64 the midpoint of the largest float32 and the next power of two,
// which rounding to even takes to infinity.
using F32 = Scan<uint32_t, 0x7F800000U>;
using F16 = Scan<uint16_t, 0x7C00U>;
using BF16 = Scan<uint16_t, 0x7F80U>;
using F64 = Scan<uint64_t, 0x47EFFFFFF0000000U>;

}  // namespace

NonFiniteCount count_non_finite(std::span<const std::byte> bytes, DType dtype) {
  if (dtype == DType::kF32) return F32::count(bytes);
  if (dtype == DType::kF16) return F16::count(bytes);
  if (dtype == DType::kBF16) return BF16::count(bytes);
  if (dtype == DType::kF64) return F64::count(bytes);
  throw Error(ErrorCode::kInternal,
              "values of type " + std::string(name_of(dtype)) + " are not checked for NaN");
}

}  // namespace sam3trt
