#include "checkpoint/finite.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/half.hpp"

namespace sam3trt {
namespace {

template <typename T>
NonFiniteCount count(const std::vector<T>& values, DType dtype) {
  return count_non_finite(std::as_bytes(std::span(values)), dtype);
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Finite, CountsAndFindsTheFirstInEverySizeAndPlace) {
  for (const size_t size : {1U, 7U, 1023U, 1024U, 1025U, 5000U}) {
    std::vector<float> values(size, -std::numeric_limits<float>::max());
    EXPECT_EQ(count(values, DType::kF32).count, 0);
    EXPECT_EQ(count(values, DType::kF32).first, -1);
    for (const size_t at : {size_t{0}, size / 2, size - 1}) {
      for (const float bad : {kInfinity, -kInfinity, kNan, -kNan}) {
        auto broken = values;
        broken[at] = bad;
        EXPECT_EQ(count(broken, DType::kF32).count, 1) << size << " " << at;
        EXPECT_EQ(count(broken, DType::kF32).first, static_cast<int64_t>(at));
      }
    }
  }
  EXPECT_EQ(count(std::vector<float>{}, DType::kF32).count, 0);
  EXPECT_EQ(count(std::vector<float>(3000, kNan), DType::kF32).count, 3000);
}

TEST(Finite, AgreesWithEveryHalfPrecisionNumber) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const std::vector<uint16_t> one{static_cast<uint16_t>(bits)};
    EXPECT_EQ(count(one, DType::kF16).count == 0, std::isfinite(f16_to_f32(one[0]))) << bits;
    EXPECT_EQ(count(one, DType::kBF16).count == 0, std::isfinite(bf16_to_f32(one[0]))) << bits;
  }
}

TEST(Finite, ADoubleThatRoundsToInfinityCounts) {
  const double limit = 0x1.ffffffp127;  // between the largest float and the next power of two
  const std::vector<double> fine{std::nextafter(limit, 0.0), -std::nextafter(limit, 0.0),
                                 std::numeric_limits<double>::denorm_min(), 0.0};
  EXPECT_EQ(count(fine, DType::kF64).count, 0);
  for (const double value : fine) EXPECT_TRUE(std::isfinite(static_cast<float>(value)));
  const std::vector<double> over{limit, -limit, 1e300, std::numeric_limits<double>::infinity(),
                                 std::numeric_limits<double>::quiet_NaN()};
  EXPECT_EQ(count(over, DType::kF64).count, 5);
}

}  // namespace
}  // namespace sam3trt
