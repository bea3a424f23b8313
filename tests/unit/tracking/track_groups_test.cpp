#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake_tracker.hpp"
#include "tracking/text_tracker.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;

constexpr size_t kPixels = FakeTracker::kSide * FakeTracker::kSide;

FoundObject found_object(Logits mask) {
  FoundObject object;
  object.score = 0.9F;
  object.bits = BitMask(mask);
  object.mask = std::move(mask);
  return object;
}

/// By Meta's rules, on a frame with one square.
class TrackGroupsTest : public testing::Test {
 protected:
  TrackGroupsTest() {
    model.encode(view_of(image_));
    options.room = 9;
    options.searched = {true};
    options.width = options.height = FakeTracker::kSide;
  }

  TextStep step(std::vector<FoundObject> found, int64_t frame) {
    const TextTracker tracker(model, config_, rules_);
    return tracker.step(all, std::move(found), {frame, false, 16}, options);
  }

  FakeTracker model;
  TextTracks all;
  TextStepOptions options;

 private:
  Image image_ = frame_of({{1, 4, 4, 6}});
  TrackerConfig config_ = small_tracker();
  TrackingRules rules_ = tracking_rules(Semantics::kMeta);
};

TEST_F(TrackGroupsTest, ADetectionWithoutAPixelBeginsAnObjectThatIsNotThere) {
  Logits square(kPixels, -6.0F);
  for (size_t row = 4; row < 10; ++row) {
    for (size_t column = 4; column < 10; ++column) square[row * FakeTracker::kSide + column] = 6;
  }
  (void)step({found_object(square), found_object(Logits(kPixels, -1.0F))}, 0);
  ASSERT_EQ(all.tracks.size(), 2U);
  const FrameRecord& seen = *all.tracks[0].bank.conditioning(0);
  const FrameRecord& absent = *all.tracks[1].bank.conditioning(0);
  EXPECT_EQ(seen.object_score, kMaskScore);
  EXPECT_GT(seen.quality, 0.9F);
  EXPECT_THAT(*seen.pointer, testing::Not(ElementsAre(-1, -1)));
  EXPECT_EQ(absent.object_score, -kMaskScore);
  EXPECT_EQ(absent.quality, 0.0F);
  EXPECT_THAT(*absent.pointer, ElementsAre(-1, -1));
  EXPECT_THAT(model.remembered,
              ElementsAre(testing::Field(&MemoryInput::object_score, kMaskScore),
                          testing::Field(&MemoryInput::object_score, -kMaskScore)));
}

TEST_F(TrackGroupsTest, AnObjectOfWhichOthersTakeAllIsThereAllTheSame) {
  const Logits everywhere(kPixels, 6.0F);
  (void)step({found_object(everywhere), found_object(everywhere)}, 0);
  ASSERT_EQ(all.tracks.size(), 2U);
  for (const TextTrack& track : all.tracks) {
    EXPECT_EQ(track.bank.conditioning(0)->object_score, kMaskScore);
    EXPECT_THAT(*track.bank.conditioning(0)->pointer, testing::Not(ElementsAre(-1, -1)));
  }
  EXPECT_EQ(mask_score(all.tracks[0].bank.conditioning(0)->mask.values()), -kMaskScore);
  EXPECT_EQ(mask_score(all.tracks[1].bank.conditioning(0)->mask.values()), kMaskScore);
}

}  // namespace
}  // namespace sam3trt
