#include "precision/weight_forms.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/e4m3.hpp"
#include "base/half.hpp"

namespace sam3trt {
namespace {

TEST(WeightForms, NarrowValuesAreRoundedToNearestEven) {
  // 2049 lies halfway between the halves 2048 and 2050.
  const WeightForm form = in_form(std::vector<float>{1.0F, -2.5F, 2049.0F, 2051.0F}, DType::kF16);
  std::vector<uint16_t> bits(4);
  ASSERT_EQ(form.bytes.size(), 8U);
  std::memcpy(bits.data(), form.bytes.data(), 8);
  EXPECT_EQ(f16_to_f32(bits[0]), 1.0F);
  EXPECT_EQ(f16_to_f32(bits[1]), -2.5F);
  EXPECT_EQ(f16_to_f32(bits[2]), 2048.0F);
  EXPECT_EQ(f16_to_f32(bits[3]), 2052.0F);
  EXPECT_EQ(form.overflows, 0);
}

TEST(WeightForms, OverflowsAreCountedFromTheRoundingLimit) {
  // 65519.996 rounds to 65504, 65520 to infinity.
  const WeightForm form = in_form(
      std::vector<float>{65519.996F, 65520.0F, -1.0e6F, std::numeric_limits<float>::quiet_NaN()},
      DType::kF16);
  EXPECT_EQ(form.overflows, 3);
  EXPECT_EQ(in_form(std::vector<float>{1.0e6F}, DType::kBF16).overflows, 0);
  EXPECT_EQ(in_form(std::vector<float>{3.4e38F}, DType::kBF16).overflows, 1);
}

TEST(WeightForms, FlushedAndSubnormalValuesAreCounted) {
  const float exact_subnormal = 0x1p-20F;
  const WeightForm form =
      in_form(std::vector<float>{0.0F, 1.0e-9F, exact_subnormal, 1.2345e-6F, 6.2e-5F}, DType::kF16);
  EXPECT_EQ(form.flushed, 1);
  EXPECT_EQ(form.subnormals, 1);
}

TEST(WeightForms, ScalesAreRoundedUpSoThatNothingSaturates) {
  for (const DType type : {DType::kF16, DType::kBF16}) {
    for (float amax = 1.0e-3F; amax < 1.0e4F; amax *= 1.37F) {
      const float scale = fp8_scale(amax, type);
      EXPECT_LE(amax / scale, kLargestE4m3);
      // At most one step of the type above the exact value: 2^-8 of bf16, subnormal f16 2^-24.
      EXPECT_LE(scale, amax / kLargestE4m3 * (1 + 0x1p-7F) + 0x1p-24F);
    }
    EXPECT_GT(fp8_scale(0.0F, type), 0.0F);
  }
}

TEST(WeightForms, EveryColumnOfAnFp8MatrixHasItsOwnScale) {
  // Columns of very different size; one scale for all would lose the first one.
  const std::vector<float> values = {0.001F, 100.0F, -0.0005F, 448.0F};
  const Fp8Matrix matrix = in_fp8(values, 2, DType::kF16);
  ASSERT_EQ(matrix.scales.size(), 2U);
  EXPECT_EQ(matrix.scales[1], 1.0F);
  EXPECT_NEAR(matrix.scales[0], 0.001F / 448.0F, 0x1p-24F);
  EXPECT_EQ(std::to_integer<int>(matrix.data[3]), 0x7E);
  EXPECT_EQ(std::to_integer<int>(matrix.data[2]) & 0x80, 0x80);
  EXPECT_GT(std::to_integer<int>(matrix.data[0]), 0x70);
  EXPECT_TRUE(matrix.finite);
  EXPECT_FALSE(in_fp8(std::vector<float>{INFINITY}, 1, DType::kF16).finite);
}

}  // namespace
}  // namespace sam3trt
