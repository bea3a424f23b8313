#include "base/e4m3.hpp"

#include <algorithm>
#include <cmath>

namespace sam3trt {

uint8_t f32_to_e4m3(float value) {
  constexpr int kSmallestExponent = -6;
  constexpr int kBias = 7;
  constexpr int kMantissaBits = 3;
  const uint32_t sign = std::signbit(value) ? 0x80U : 0U;
  if (std::isnan(value)) return static_cast<uint8_t>(sign | 0x7FU);
  const float magnitude = std::min(std::abs(value), kLargestE4m3);
  if (magnitude == 0.0F) return static_cast<uint8_t>(sign);
  int exponent = std::max(std::ilogb(magnitude), kSmallestExponent);
  // In units of the last digit: 8..15 for normal numbers, less for subnormal ones.
  const float scaled = std::scalbn(magnitude, kMantissaBits - exponent);
  auto digits = static_cast<uint32_t>(std::nearbyint(scaled));
  if (digits == 16U) {
    digits = 8U;
    ++exponent;
  }
  if (digits < 8U) return static_cast<uint8_t>(sign | digits);
  const auto biased = static_cast<uint32_t>(exponent + kBias);
  return static_cast<uint8_t>(sign | (biased << 3U) | (digits - 8U));
}

}  // namespace sam3trt
