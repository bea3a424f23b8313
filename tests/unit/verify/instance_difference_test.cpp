#include "verify/instance_difference.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace sam3trt {
namespace {

Instance instance(float score, std::vector<uint32_t> counts, std::array<float, 4> box = {}) {
  Instance result;
  result.score = score;
  result.counts = std::move(counts);
  result.box = box;
  return result;
}

ImageResult image(std::vector<Instance> instances, float presence = 0.9F) {
  ImageResult result;
  result.width = 10;
  result.height = 1;
  PromptResult prompt;
  prompt.presence = presence;
  prompt.instances = std::move(instances);
  result.prompts.push_back(std::move(prompt));
  return result;
}

TEST(RleIou, CountsCommonPixels) {
  const std::vector<uint32_t> a = {2, 4, 4};  // pixels 2..5
  const std::vector<uint32_t> b = {4, 4, 2};  // pixels 4..7
  EXPECT_DOUBLE_EQ(rle_iou(a, b), 2.0 / 6.0);
  EXPECT_DOUBLE_EQ(rle_iou(a, a), 1.0);
}

TEST(RleIou, AMaskMayStartWithAnEmptyRun) {
  EXPECT_DOUBLE_EQ(rle_iou(std::vector<uint32_t>{0, 10}, std::vector<uint32_t>{5, 5}), 0.5);
}

TEST(RleIou, EmptyMasksAreEqual) {
  EXPECT_DOUBLE_EQ(rle_iou(std::vector<uint32_t>{10}, std::vector<uint32_t>{10}), 1.0);
}

TEST(RleIou, SizesMustAgree) {
  EXPECT_THROW((void)rle_iou(std::vector<uint32_t>{10}, std::vector<uint32_t>{9}), Error);
}

TEST(InstanceDifference, MatchesByMaskWhateverTheOrder) {
  const auto difference = compare_results(
      image({instance(0.9F, {0, 5, 5}, {1, 2, 3, 4}), instance(0.8F, {5, 5})}),
      image({instance(0.85F, {5, 5}), instance(0.8F, {0, 4, 6}, {1, 2, 3, 6})}, 0.7F), {});
  EXPECT_EQ(difference.matched, 2);
  EXPECT_EQ(difference.lost + difference.gained + difference.borderline, 0);
  EXPECT_DOUBLE_EQ(difference.smallest_mask_iou, 0.8);
  EXPECT_NEAR(difference.largest_score_error, 0.1, 1e-6);
  EXPECT_DOUBLE_EQ(difference.largest_box_error, 2);
  EXPECT_NEAR(difference.largest_presence_error, 0.2, 1e-6);
}

TEST(InstanceDifference, CountsLostAndGainedInstances) {
  const auto difference =
      compare_results(image({instance(0.9F, {0, 5, 5})}), image({instance(0.9F, {5, 5})}), {});
  EXPECT_EQ(difference.lost, 1);
  EXPECT_EQ(difference.gained, 1);
  EXPECT_EQ(difference.matched, 0);
}

TEST(InstanceDifference, AnInstanceNextToTheThresholdIsBorderline) {
  const auto difference = compare_results(image({instance(0.505F, {0, 5, 5})}), image({}), {});
  EXPECT_EQ(difference.borderline, 1);
  EXPECT_EQ(difference.lost, 0);
}

TEST(InstanceDifference, ResultsOfDifferentPicturesCannotBeCompared) {
  ImageResult other = image({});
  other.width = 11;
  EXPECT_THROW((void)compare_results(image({}), other, {}), Error);
}

}  // namespace
}  // namespace sam3trt
