#include "tracking/everything.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.hpp"
#include "image/mask_cleanup.hpp"

namespace sam3trt {
namespace {

ObjectResult object_at(float score, const std::array<float, 4>& box) {
  ObjectResult object;
  object.score = score;
  object.box = box;
  return object;
}

TEST(Everything, ClicksAreTheCentresOfEqualParts) {
  const auto clicks = grid_of_clicks({.points_per_side = 2}, 40, 20);
  ASSERT_EQ(clicks.size(), 4);
  const std::array<std::array<double, 2>, 4> expected = {{{10, 5}, {30, 5}, {10, 15}, {30, 15}}};
  for (size_t i = 0; i < clicks.size(); ++i) {
    ASSERT_EQ(clicks[i].points.size(), 1);
    EXPECT_EQ(clicks[i].points[0].x, expected[i][0]);
    EXPECT_EQ(clicks[i].points[0].y, expected[i][1]);
    EXPECT_TRUE(clicks[i].points[0].positive);
  }
}

TEST(Everything, StabilityIsTheShareThatStaysAtAHigherThreshold) {
  EXPECT_DOUBLE_EQ(stability_of(std::vector<float>{2, 0.5, -0.5, -2}), 1.0 / 3);
  EXPECT_EQ(stability_of(std::vector<float>{5, 6, -5}), 1);
  EXPECT_EQ(stability_of(std::vector<float>{-5, -1, -5}), 0);
}

TEST(Everything, OfOverlappingBoxesTheBestScoreStays) {
  const auto kept =
      without_duplicates({object_at(0.90F, {0, 0, 10, 10}), object_at(0.95F, {0, 0, 10, 9}),
                          object_at(0.89F, {20, 0, 30, 10}), object_at(0.97F, {0, 0, 10, 5})},
                         0.7);
  ASSERT_EQ(kept.size(), 3);
  EXPECT_EQ(kept[0].score, 0.97F);
  EXPECT_EQ(kept[1].score, 0.95F);
  EXPECT_EQ(kept[2].score, 0.89F);
  for (size_t i = 0; i < kept.size(); ++i) EXPECT_EQ(kept[i].id, static_cast<int64_t>(i) + 1);
}

TEST(Everything, OptionsOutOfRangeAreRefused) {
  EXPECT_THROW(check_everything({.points_per_side = 0}), Error);
  EXPECT_THROW(check_everything({.points_per_side = 257}), Error);
  EXPECT_THROW(check_everything({.score_threshold = -0.1}), Error);
  EXPECT_THROW(check_everything({.nms_threshold = std::numeric_limits<double>::quiet_NaN()}),
               Error);
  EXPECT_NO_THROW(check_everything({}));
}

TEST(MaskCleanup, HolesUpToTheAreaAreFilledAsMetasPredictorDoes) {
  // a hole of one pixel, one of two diagonal pixels, and the outside
  const int64_t side = 8;
  std::vector<float> logits(64, -3);
  for (size_t y = 1; y < 7; ++y) {
    for (size_t x = 1; x < 7; ++x) logits[y * 8 + x] = 4;
  }
  logits[2 * 8 + 2] = -1;
  logits[4 * 8 + 4] = -1;
  logits[5 * 8 + 5] = -1;
  std::vector<float> expected = logits;
  expected[2 * 8 + 2] = 10;
  fill_holes(logits, side, 1);
  EXPECT_EQ(logits, expected);
  expected[4 * 8 + 4] = 10;
  expected[5 * 8 + 5] = 10;
  fill_holes(logits, side, 2);
  EXPECT_EQ(logits, expected);
}

}  // namespace
}  // namespace sam3trt
