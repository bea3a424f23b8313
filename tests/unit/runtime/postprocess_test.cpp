#include "runtime/postprocess.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace sam3trt {
namespace {

constexpr float kCertain = 40.0F;  // its sigmoid is 1 in single precision

std::vector<int64_t> queries_of(const std::vector<Detection>& detections) {
  std::vector<int64_t> queries;
  for (const Detection& detection : detections) queries.push_back(detection.query);
  return queries;
}

TEST(SelectDetections, MultipliesLogitAndPresenceProbabilities) {
  const std::vector<float> logits = {0.0F, 2.0F};
  const std::vector<float> boxes(8);
  const auto kept = select_detections({logits, 1.0F, boxes}, 0.1F, 10, 10);
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_NEAR(kept[0].score, 0.880797 * 0.731059, 1e-6);
  EXPECT_NEAR(kept[1].score, 0.5 * 0.731059, 1e-6);
}

TEST(SelectDetections, KeepsScoresAboveTheThresholdOnly) {
  const std::vector<float> logits = {0.0F, 0.001F, -0.001F};
  const std::vector<float> boxes(12);
  // The first score is exactly 0.5.
  EXPECT_EQ(queries_of(select_detections({logits, kCertain, boxes}, 0.5F, 10, 10)),
            (std::vector<int64_t>{1}));
}

TEST(SelectDetections, KeepsNothingWhenPresenceIsNotAboveTheThreshold) {
  const std::vector<float> logits(5, kCertain);
  const std::vector<float> boxes(20);
  EXPECT_TRUE(select_detections({logits, 0.0F, boxes}, 0.5F, 10, 10).empty());
  EXPECT_EQ(select_detections({logits, 0.01F, boxes}, 0.5F, 10, 10).size(), 5U);
}

TEST(SelectDetections, OrdersByFallingScoreAndThenByQuery) {
  const std::vector<float> logits = {1.0F, 3.0F, 1.0F, 3.0F, -5.0F, 2.0F};
  const std::vector<float> boxes(24);
  EXPECT_EQ(queries_of(select_detections({logits, kCertain, boxes}, 0.5F, 10, 10)),
            (std::vector<int64_t>{1, 3, 5, 0, 2}));
}

TEST(SelectDetections, ScalesBoxesWithoutClippingThem) {
  const std::vector<float> logits = {-kCertain, kCertain};
  const std::vector<float> boxes = {0, 0, 0, 0, -0.25F, 0.5F, 0.75F, 1.125F};
  const auto kept = select_detections({logits, kCertain, boxes}, 0.5F, 200, 80);
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].box, (std::array<float, 4>{-50, 40, 150, 90}));
}

TEST(BinaryMask, ResizesProbabilitiesOrLogitsByTheSemantics) {
  // Doubling a row a, b gives a, 3a/4 + b/4, a/4 + 3b/4, b. The third is sigmoid(2.75) > 0.5 when
  // logits are resized and 0.25 * 1 + 0.75 * 0.047 < 0.5 when probabilities are.
  const std::vector<float> logits = {20, -3, 20, -3};
  const std::vector<uint8_t> hf = {1, 1, 0, 0};
  const std::vector<uint8_t> meta = {1, 1, 1, 0};
  for (const auto& [semantics, row] : {std::pair{Semantics::kHf, hf}, {Semantics::kMeta, meta}}) {
    const auto mask = binary_mask(logits, 2, 4, 3, semantics, 0.5F);
    ASSERT_EQ(mask.size(), 12U);
    for (size_t i = 0; i < mask.size(); ++i) EXPECT_EQ(mask[i], row[i % 4]) << i;
  }
}

TEST(BinaryMask, KeepsProbabilitiesAboveTheThresholdOnly) {
  const std::vector<float> logits = {0.0F, 0.1F, -0.1F, 1.0F};
  for (const Semantics semantics : {Semantics::kHf, Semantics::kMeta}) {
    EXPECT_EQ(binary_mask(logits, 2, 2, 2, semantics, 0.5F), (std::vector<uint8_t>{0, 1, 0, 1}));
    EXPECT_EQ(binary_mask(logits, 2, 2, 2, semantics, 0.6F), (std::vector<uint8_t>{0, 0, 0, 1}));
  }
}

TEST(BinaryMask, WorksForOnePixel) {
  const std::vector<float> logits = {1, 1, 1, 1};
  EXPECT_EQ(binary_mask(logits, 2, 1, 1, Semantics::kHf, 0.5F), (std::vector<uint8_t>{1}));
}

TEST(Sigmoid, IsFiniteForEveryFiniteNumber) {
  EXPECT_FLOAT_EQ(sigmoid(0.0F), 0.5F);
  EXPECT_EQ(sigmoid(1e30F), 1.0F);
  EXPECT_EQ(sigmoid(-1e30F), 0.0F);
}

}  // namespace
}  // namespace sam3trt
