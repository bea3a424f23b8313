#include "verify/repeated_calls.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>

#include "doubling_engine.hpp"
#include "verify/built_in_images.hpp"

namespace sam3trt {
namespace {

class RepeatedCallsTest : public testing::Test {
 protected:
  RepeatedCallsTest() : engine_(std::make_unique<Doubling>(calls_), 2) {}

  float doubled(float x, Shape shape = {1}) {
    const Tensor tensor = Tensor::from_f32(std::move(shape), std::array{x});
    return engine_.run({{"x", &tensor}}).at("y").f32()[0];
  }

  int calls_ = 0;
  RepeatedCalls engine_;
};

TEST_F(RepeatedCallsTest, ACallThatComesAgainIsAnsweredWithoutTheEngine) {
  EXPECT_EQ(doubled(3), 6);
  EXPECT_EQ(doubled(4), 8);
  EXPECT_EQ(doubled(3), 6);
  EXPECT_EQ(doubled(4), 8);
  EXPECT_EQ(calls_, 2);
}

TEST_F(RepeatedCallsTest, OtherShapesAreAnotherCall) {
  EXPECT_EQ(doubled(3, {1}), 6);
  EXPECT_EQ(doubled(3, {1, 1}), 6);
  EXPECT_EQ(calls_, 2);
}

TEST_F(RepeatedCallsTest, TheCallNotAskedForLongestIsForgotten) {
  doubled(1);
  doubled(2);
  doubled(1);
  doubled(3);  // in the place of 2
  EXPECT_EQ(doubled(1), 2);
  EXPECT_EQ(calls_, 3);
  EXPECT_EQ(doubled(2), 4);
  EXPECT_EQ(calls_, 4);
}

TEST(DrawnClip, GoesToAndFroThroughElevenImages) {
  std::set<std::vector<uint8_t>> images;
  for (int64_t frame = 0; frame < 40; ++frame) images.insert(clip_frame(frame).rgb);
  EXPECT_EQ(images.size(), kClipImages);
  EXPECT_EQ(clip_frame(9).rgb, clip_frame(11).rgb);
}

}  // namespace
}  // namespace sam3trt
