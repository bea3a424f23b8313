#include "base/half.hpp"

#include <bit>
#include <cmath>

namespace sam3trt {

float f16_to_f32(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16U;
  uint32_t exponent = (bits >> 10U) & 0x1FU;
  uint32_t mantissa = bits & 0x3FFU;
  if (exponent == 0x1FU) return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13U));
  if (exponent == 0) {
    if (mantissa == 0) return std::bit_cast<float>(sign);
    // A subnormal half is a normal float: shift the leading one into place.
    const auto shift = static_cast<uint32_t>(std::countl_zero(mantissa)) - 21U;
    mantissa = (mantissa << shift) & 0x3FFU;
    exponent = 1U - shift;  // wraps below zero on purpose; the bias added next brings it back
  }
  return std::bit_cast<float>(sign | ((exponent + 112U) << 23U) | (mantissa << 13U));
}

float bf16_to_f32(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16U);
}

uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16U) & 0x8000U);
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<uint16_t>(sign | 0x7E00U);
  if (magnitude >= 0x47800000U) return static_cast<uint16_t>(sign | 0x7C00U);
  uint32_t half = 0;
  uint32_t rest = 0;
  uint32_t midpoint = 0;
  if (magnitude >= 0x38800000U) {
    half = (magnitude - 0x38000000U) >> 13U;
    rest = magnitude & 0x1FFFU;
    midpoint = 0x1000U;
  } else {
    if (magnitude < 0x33000000U) return sign;
    const uint32_t shift = 126U - (magnitude >> 23U);
    const uint32_t mantissa = (magnitude & 0x7FFFFFU) | 0x800000U;
    half = mantissa >> shift;
    rest = mantissa & ((1U << shift) - 1U);
    midpoint = 1U << (shift - 1U);
  }
  if (rest > midpoint || (rest == midpoint && (half & 1U) != 0)) ++half;
  return static_cast<uint16_t>(sign | half);
}

uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16U) | 0x40U);
  const uint32_t odd = (bits >> 16U) & 1U;
  return static_cast<uint16_t>((bits + 0x7FFFU + odd) >> 16U);
}

}  // namespace sam3trt
