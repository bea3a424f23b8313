#include "verify/object_difference.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "verify/verification.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Of an image of 100 x 100: the first `inside` pixels after `before`.
std::vector<uint32_t> run(uint32_t before, uint32_t inside) {
  return {before, inside, 10000 - before - inside};
}

TrackedObject tracked(int64_t id, std::vector<uint32_t> counts, float probability = 0.9F) {
  TrackedObject object;
  object.id = id;
  object.object_score = probability;
  object.counts = std::move(counts);
  return object;
}

FrameResult frame(int64_t index, std::vector<TrackedObject> objects) {
  return {index, 100, 100, std::move(objects)};
}

ImageResult image(std::vector<MaskCandidate> candidates, float probability = 0.9F) {
  ImageResult result;
  result.width = result.height = 100;
  result.objects.resize(1);
  result.objects[0].object_score = probability;
  result.objects[0].candidates = std::move(candidates);
  return result;
}

TEST(MaskAgreement, IsTheIntersectionOverUnionOfMasksThatShowSomething) {
  EXPECT_DOUBLE_EQ(mask_agreement(run(0, 100), run(0, 100), 10000), 1);
  EXPECT_DOUBLE_EQ(mask_agreement(run(0, 100), run(0, 80), 10000), 0.8);
  EXPECT_DOUBLE_EQ(mask_agreement(run(0, 100), run(100, 100), 10000), 0);
}

TEST(MaskAgreement, MeasuresSpecksAgainstAThousandthOfTheImage) {
  EXPECT_DOUBLE_EQ(mask_agreement(run(0, 1), run(5, 1), 10000), 0.8);
  EXPECT_DOUBLE_EQ(mask_agreement(run(0, 0), run(0, 0), 10000), 1);
  EXPECT_DOUBLE_EQ(mask_agreement(run(0, 0), run(0, 20), 10000), 0);
}

TEST(ObjectDifference, IsThatOfTheWorstMask) {
  const std::vector<ImageResult> a = {
      image({{0.5F, 0, run(0, 100)}, {0.7F, 0, run(500, 100)}}, 0.9F)};
  const std::vector<ImageResult> b = {
      image({{0.5F, 0, run(0, 100)}, {0.625F, 0, run(500, 90)}}, 0.875F)};
  const ObjectDifference found = compare_objects(a, b);
  EXPECT_EQ(found.masks, 2);
  EXPECT_DOUBLE_EQ(found.smallest_mask_iou, 0.9);
  EXPECT_NEAR(found.largest_score_error, 0.075, 1e-6);
}

TEST(ObjectDifference, OfOtherPromptsIsAnError) {
  const std::vector<ImageResult> one = {image({{0.5F, 0, run(0, 100)}})};
  const std::vector<ImageResult> none = {image({})};
  EXPECT_THROW(static_cast<void>(compare_objects(one, none)), Error);
  EXPECT_THROW(static_cast<void>(compare_objects(one, {})), Error);
}

TEST(TrackDifference, CountsObjectsThatOnlyOneHasAndSaysWhereItBegan) {
  const std::vector<FrameResult> a = {frame(0, {tracked(1, run(0, 100))}),
                                      frame(1, {tracked(1, run(0, 100)), tracked(2, run(0, 50))})};
  const std::vector<FrameResult> b = {frame(0, {tracked(1, run(0, 100), 0.8F)}),
                                      frame(1, {tracked(1, run(0, 100)), tracked(3, run(0, 50))})};
  const TrackDifference found = compare_tracks(a, b, 0.02);
  EXPECT_EQ(found.frames, 2);
  EXPECT_EQ(found.matched, 2);
  EXPECT_EQ(found.lost, 1);
  EXPECT_EQ(found.gained, 1);
  EXPECT_EQ(found.first_difference, 1);
  EXPECT_NEAR(found.largest_score_error, 0.1, 1e-6);
}

TEST(TrackDifference, ObjectsWhoseProbabilityIsNextToAHalfMayComeAndGo) {
  const std::vector<FrameResult> a = {frame(0, {tracked(1, run(0, 100), 0.51F)})};
  const std::vector<FrameResult> b = {frame(0, {tracked(2, run(0, 100), 0.505F)})};
  const TrackDifference found = compare_tracks(a, b, 0.02);
  EXPECT_EQ(found.borderline, 2);
  EXPECT_EQ(found.lost + found.gained, 0);
  EXPECT_EQ(found.first_difference, -1);
}

TEST(TrackDifference, GivesTheLowestMeanOfAnObjectForEachTenFrames) {
  std::vector<FrameResult> a;
  std::vector<FrameResult> b;
  for (int64_t i = 0; i < 12; ++i) {
    a.push_back(frame(i, {tracked(1, run(0, 100)), tracked(2, run(500, 100))}));
    b.push_back(frame(i, {tracked(1, run(0, 100)), tracked(2, run(500, i < 5 ? 80 : 100))}));
  }
  b.back().objects[0].counts = run(0, 40);
  EXPECT_THAT(compare_tracks(a, b, 0.02).mask_ious,
              ElementsAre(testing::DoubleEq(0.9), testing::DoubleEq(0.7)));
}

TEST(ResultReport, ObjectsThatDifferAreProblems) {
  ObjectRun reference;
  reference.images = {image({{0.5F, 0, run(0, 100)}})};
  reference.frames = {frame(0, {tracked(1, run(0, 100))})};
  ObjectRun actual = reference;
  ResultReport same;
  verify_objects(reference, actual, Precision::kFp16, Gate::builtin(), same);
  EXPECT_TRUE(same.problems.empty());
  EXPECT_THAT(summary(same), HasSubstr("1 frames tracked with 1 objects on them"));
  actual.images = {image({{0.5F, 0, run(0, 50)}})};
  actual.frames = {frame(0, {})};
  ResultReport other;
  verify_objects(reference, actual, Precision::kFp16, Gate::builtin(), other);
  EXPECT_THAT(other.problems,
              ElementsAre(HasSubstr("mask IoU of an object that was pointed at"),
                          HasSubstr("1 objects are lost and 0 gained, first on frame 0")));
}

TEST(ResultReport, WithoutATrackedClipOnlyClicksAreCompared) {
  ObjectRun run_of_clicks;
  run_of_clicks.images = {image({{0.5F, 0, run(0, 100)}})};
  ResultReport report;
  verify_objects(run_of_clicks, run_of_clicks, Precision::kFp16, Gate::builtin(), report);
  EXPECT_TRUE(report.objects.has_value());
  EXPECT_FALSE(report.tracks.has_value());
  EXPECT_THAT(to_json(report), testing::Not(HasSubstr("tracks")));
}

}  // namespace
}  // namespace sam3trt
