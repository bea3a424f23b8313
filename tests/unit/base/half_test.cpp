#include "base/half.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>

namespace sam3trt {
namespace {

// Reference by definition: sign * 2^(exponent - 15) * 1.mantissa, or 2^-14 * 0.mantissa.
float half_by_definition(uint16_t bits) {
  const float sign = (bits & 0x8000) != 0 ? -1.0F : 1.0F;
  const int exponent = (bits >> 10) & 31;
  const auto mantissa = static_cast<float>(bits & 1023);
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024.0F + mantissa, exponent - 25);
}

TEST(Half, EveryFiniteHalfWidensExactlyAndRoundTrips) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if (((bits >> 10) & 31) == 31) continue;
    const auto half = static_cast<uint16_t>(bits);
    ASSERT_EQ(f16_to_f32(half), half_by_definition(half)) << bits;
    ASSERT_EQ(f32_to_f16(f16_to_f32(half)), half) << bits;
  }
}

TEST(Half, InfinityAndNanSurvive) {
  EXPECT_TRUE(std::isinf(f16_to_f32(0x7C00)));
  EXPECT_LT(f16_to_f32(0xFC00), 0.0F);
  EXPECT_TRUE(std::isnan(f16_to_f32(0x7E01)));
  EXPECT_EQ(f32_to_f16(INFINITY), 0x7C00);
  EXPECT_EQ(f32_to_f16(NAN) & 0x7C00, 0x7C00);
}

TEST(Half, NarrowingRoundsToNearestEvenAndOverflowsToInfinity) {
  EXPECT_EQ(f32_to_f16(1.0F + std::ldexp(1.0F, -11)), 0x3C00);
  EXPECT_EQ(f32_to_f16(1.0F + 3 * std::ldexp(1.0F, -11)), 0x3C02);
  EXPECT_EQ(f32_to_f16(65504.0F), 0x7BFF);
  EXPECT_EQ(f32_to_f16(65520.0F), 0x7C00);
  EXPECT_EQ(f32_to_f16(1e30F), 0x7C00);
  EXPECT_EQ(f32_to_f16(std::ldexp(1.0F, -25)), 0x0000);
  EXPECT_EQ(f32_to_f16(std::ldexp(1.5F, -25)), 0x0001);
}

TEST(Half, Bfloat16IsTheUpperHalfOfAFloat) {
  EXPECT_EQ(bf16_to_f32(0x3F80), 1.0F);
  EXPECT_EQ(bf16_to_f32(0xC049), std::bit_cast<float>(0xC0490000U));
}

}  // namespace
}  // namespace sam3trt
