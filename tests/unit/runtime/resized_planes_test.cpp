#include "runtime/resized_planes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/error.hpp"

namespace sam3trt {
namespace {

// Expected values are those of PyTorch: interpolate to 48 without antialias, then to 16 with it.
TEST(ResizedPlanes, GoThroughAnotherSideWithAntialiasInTheLastStep) {
  std::vector<float> mask;
  for (int i = 0; i < 4; ++i) {
    for (int j = 0; j < 4; ++j) mask.push_back(static_cast<float>((i * 5 + j * 3) % 7) - 3.0F);
  }
  const ResizedPlane plane{LogitPlane(mask), 4, 48};
  const Tensor resized = resize_planes({&plane, 1}, 16);
  const auto found = resized.f32();
  const std::vector<float> expected = {
      -3.0F,        -2.98611116F, -2.61111116F,  -1.875F,     -1.125F,      -0.374999881F,
      0.375000119F, 1.12500024F,  1.87500024F,   2.59259295F, 2.46759248F,  1.49999976F,
      0.499999732F, -0.48148182F, -0.981481612F, -1.0F,       -2.97685194F, -2.96311331F};
  ASSERT_EQ(found.size(), 256U);
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], 3e-6F) << i;
}

TEST(ResizedPlanes, OfTheRightSideAreLeftAsTheyAre) {
  const std::vector<float> values = {1, -2, 3, 4.5F};
  const ResizedPlane planes[] = {{LogitPlane(values), 2}, {LogitPlane(values), 2}};
  const Tensor resized = resize_planes(planes, 2);
  EXPECT_EQ(resized.shape(), (Shape{2, 1, 2, 2}));
  EXPECT_THAT(resized.f32().first(4), testing::ElementsAreArray(values));
  EXPECT_THAT(resized.f32().last(4), testing::ElementsAreArray(values));
}

TEST(ResizedPlanes, RefusesSizesThatDoNotFit) {
  const std::vector<float> values(4);
  const ResizedPlane good{LogitPlane(values), 2};
  const ResizedPlane bad{LogitPlane(values), 3};
  EXPECT_THROW((void)resize_planes({&bad, 1}, 8), Error);
  EXPECT_THROW((void)resize_planes({&good, 1}, 0), Error);
  EXPECT_THROW((void)resize_planes({}, 8), Error);
}

}  // namespace
}  // namespace sam3trt
