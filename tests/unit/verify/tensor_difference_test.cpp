#include "verify/tensor_difference.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/error.hpp"

namespace sam3trt {
namespace {

TEST(TensorDifference, EqualTensorsDoNotDiffer) {
  const std::vector<float> values = {1, -2, 3};
  const TensorDifference difference = compare_tensors(values, values);
  EXPECT_DOUBLE_EQ(difference.cosine, 1);
  EXPECT_EQ(difference.largest_error, 0);
  EXPECT_EQ(difference.relative_error, 0);
  EXPECT_TRUE(difference.finite);
}

TEST(TensorDifference, AWrongScaleKeepsTheCosineButShowsInTheError) {
  const TensorDifference difference = compare_tensors(std::vector<float>{3, 4}, {{6.0F, 8.0F}});
  EXPECT_DOUBLE_EQ(difference.cosine, 1);
  EXPECT_DOUBLE_EQ(difference.largest_error, 4);
  EXPECT_DOUBLE_EQ(difference.relative_error, 1);
}

TEST(TensorDifference, ZeroedOutputHasNoCosine) {
  const TensorDifference difference = compare_tensors(std::vector<float>{1, 2}, {{0.0F, 0.0F}});
  EXPECT_EQ(difference.cosine, 0);
  EXPECT_DOUBLE_EQ(difference.relative_error, 1);
}

TEST(TensorDifference, NotANumberAndInfinityAreNotFinite) {
  const std::vector<float> reference = {1, 2};
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const TensorDifference difference = compare_tensors(reference, {{1.0F, bad}});
    EXPECT_FALSE(difference.finite);
    EXPECT_EQ(difference.cosine, 0);
  }
}

TEST(TensorDifference, SizesMustAgree) {
  EXPECT_THROW((void)compare_tensors(std::vector<float>{1}, {{1.0F, 2.0F}}), Error);
}

}  // namespace
}  // namespace sam3trt
