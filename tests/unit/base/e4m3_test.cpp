#include "base/e4m3.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/half.hpp"

namespace sam3trt {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Value of an E4M3 code by its definition: sign, 4 bits of exponent (bias 7), 3 of mantissa.
float e4m3_value(uint32_t code) {
  const auto exponent = static_cast<int>((code >> 3U) & 0xFU);
  const auto mantissa = static_cast<float>(code & 7U);
  const float magnitude = exponent == 0 ? std::ldexp(mantissa / 8.0F, -6)
                                        : std::ldexp(1.0F + mantissa / 8.0F, exponent - 7);
  return (code & 0x80U) != 0 ? -magnitude : magnitude;
}

TEST(Bf16, EveryValueKeepsItsBits) {
  for (uint32_t bits = 0; bits < 0x10000U; ++bits) {
    const float value = bf16_to_f32(static_cast<uint16_t>(bits));
    if (std::isnan(value)) continue;
    ASSERT_EQ(f32_to_bf16(value), bits);
  }
}

TEST(Bf16, HalfwayGoesToTheEvenNeighbour) {
  for (uint32_t bits = 0; bits < 0x7F7FU; ++bits) {
    const float low = bf16_to_f32(static_cast<uint16_t>(bits));
    const float high = bf16_to_f32(static_cast<uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;
    ASSERT_EQ(f32_to_bf16(middle), bits + bits % 2);
    ASSERT_EQ(f32_to_bf16(-middle), 0x8000U + bits + bits % 2);
    ASSERT_EQ(f32_to_bf16(std::nextafter(middle, 0.0F)), bits);
    ASSERT_EQ(f32_to_bf16(std::nextafter(middle, kInfinity)), bits + 1);
  }
}

TEST(Bf16, OverflowAndNan) {
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7F80U);
  EXPECT_EQ(f32_to_bf16(-kInfinity), 0xFF80U);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(E4m3, EveryValueKeepsItsBits) {
  for (uint32_t code = 0; code < 256; ++code) {
    if ((code & 0x7FU) == 0x7FU) continue;  // NaN
    ASSERT_EQ(f32_to_e4m3(e4m3_value(code)), code) << code;
  }
}

TEST(E4m3, HalfwayGoesToTheEvenNeighbour) {
  for (uint32_t code = 0; code < 0x7EU; ++code) {
    const float low = e4m3_value(code);
    const float middle = low + (e4m3_value(code + 1) - low) / 2;
    ASSERT_EQ(f32_to_e4m3(middle), code + code % 2) << code;
    ASSERT_EQ(f32_to_e4m3(-middle), 0x80U + code + code % 2) << code;
    ASSERT_EQ(f32_to_e4m3(std::nextafter(middle, 0.0F)), code);
    ASSERT_EQ(f32_to_e4m3(std::nextafter(middle, kInfinity)), code + 1);
  }
}

TEST(E4m3, LargeValuesSaturateAndNanStays) {
  EXPECT_EQ(f32_to_e4m3(448.0F), 0x7EU);
  EXPECT_EQ(f32_to_e4m3(1.0e9F), 0x7EU);
  EXPECT_EQ(f32_to_e4m3(-kInfinity), 0xFEU);
  EXPECT_EQ(f32_to_e4m3(std::numeric_limits<float>::quiet_NaN()) & 0x7FU, 0x7FU);
}

}  // namespace
}  // namespace sam3trt
