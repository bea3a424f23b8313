#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "fake_tracker.hpp"
#include "tracking/tracking_session.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ObjectPrompt click(int64_t id, double x, double y) {
  ObjectPrompt prompt;
  prompt.id = id;
  prompt.points = {{x, y, true}};
  return prompt;
}

std::vector<int64_t> ids_of(const FrameResult& result) {
  std::vector<int64_t> ids;
  for (const TrackedObject& object : result.objects) ids.push_back(object.id);
  return ids;
}

class TrackingSessionTest : public testing::Test {
 protected:
  TrackingSession& session(const TrackOptions& options = {}) {
    if (!session_) session_ = std::make_unique<TrackingSession>(model, config, options);
    return *session_;
  }

  /// The results of one frame that releases at most one.
  std::vector<FrameResult> step(int64_t frame, std::initializer_list<Square> squares) {
    const Image image = frame_of(squares);
    return session().step(view_of(image), frame);
  }

  template <typename Work>
  static std::string refusal(const Work& work) {
    try {
      work();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.what();
    }
    return "";
  }

  FakeTracker model;
  TrackerConfig config = small_tracker();

 private:
  std::unique_ptr<TrackingSession> session_;
};

using Visual = TrackingSessionTest;

TEST_F(Visual, FollowsAClickedObjectAndTellsItsBoxAndArea) {
  session().add(click(7, 3, 4), 0);
  const auto first = step(0, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  ASSERT_EQ(first.size(), 1U);
  ASSERT_THAT(ids_of(first[0]), ElementsAre(7));
  EXPECT_THAT(first[0].objects[0].box, ElementsAre(2, 3, 5, 6));
  EXPECT_EQ(first[0].objects[0].area, 16);
  EXPECT_FALSE(first[0].objects[0].prompt.has_value());
  EXPECT_EQ(first[0].objects[0].score, static_cast<float>(first[0].objects[0].object_score));
  const auto second = step(1, {{1, 6, 3, 4}, {2, 10, 10, 4}});
  ASSERT_THAT(ids_of(second[0]), ElementsAre(7));
  EXPECT_THAT(second[0].objects[0].box, ElementsAre(6, 3, 9, 6));
  EXPECT_THAT(session().objects(), ElementsAre(7));
}

TEST_F(Visual, AnObjectThatIsGoneIsNotShownButStaysKnown) {
  session().add(click(1, 3, 4), 0);
  (void)step(0, {{1, 2, 3, 4}});
  EXPECT_THAT(step(1, {})[0].objects, IsEmpty());
  EXPECT_THAT(session().objects(), ElementsAre(1));
  EXPECT_THAT(ids_of(step(2, {{1, 2, 3, 4}})[0]), ElementsAre(1));
}

TEST_F(Visual, WithLogitsObjectsAreListedWhereTheyHaveNoPixel) {
  session({.logits = true}).add(click(1, 3, 4), 0);
  const auto first = step(0, {{1, 2, 3, 4}});
  const MaskLogits& logits = first[0].objects[0].logits;
  EXPECT_EQ(logits.side, model.sizes().mask_side());
  ASSERT_EQ(logits.values.size(), static_cast<size_t>(logits.side * logits.side));
  EXPECT_THAT(logits.values, testing::Contains(testing::Gt(0.0F)));
  const auto gone = step(1, {});
  ASSERT_THAT(ids_of(gone[0]), ElementsAre(1));
  EXPECT_EQ(gone[0].objects[0].area, 0);
  EXPECT_THAT(gone[0].objects[0].box, ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(gone[0].objects[0].logits.values, testing::Each(testing::Le(0.0F)));
}

TEST_F(Visual, LogitsAreThereOnlyWhereTheyWereAskedFor) {
  session().add(click(1, 3, 4), 0);
  EXPECT_TRUE(step(0, {{1, 2, 3, 4}})[0].objects[0].logits.values.empty());
}

TEST_F(Visual, PointsThatOnlyFillUpAreTokensOfTheirOwnAndLieNowhere) {
  ObjectPrompt prompt = click(1, 3, 4);
  prompt.points.resize(3, {.x = -10, .y = -10, .padding = true});
  session().add(prompt, 0);
  EXPECT_THAT(ids_of(step(0, {{1, 2, 3, 4}})[0]), ElementsAre(1));
  std::vector<int64_t> labels;
  for (const PromptToken& token : model.decoded[0].tokens) labels.push_back(token.label);
  EXPECT_THAT(labels, ElementsAre(1, -10, -10, -1));
}

TEST_F(Visual, PromptsWaitForTheirFrame) {
  session().add(click(1, 3, 4), 0);
  session().add(click(2, 11, 11), 2);
  EXPECT_THAT(ids_of(step(0, {{1, 2, 3, 4}, {2, 10, 10, 4}})[0]), ElementsAre(1));
  EXPECT_THAT(ids_of(step(1, {{1, 2, 3, 4}, {2, 10, 10, 4}})[0]), ElementsAre(1));
  EXPECT_THAT(ids_of(step(2, {{1, 2, 3, 4}, {2, 10, 10, 4}})[0]), ElementsAre(1, 2));
}

TEST_F(Visual, MemoriesOfAFrameAreBinaryWhereAnythingWasPointedAt) {
  session().add(click(1, 3, 4), 0);
  session().add(click(2, 11, 11), 2);
  for (int64_t frame = 0; frame < 4; ++frame) (void)step(frame, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  std::vector<bool> binary;
  for (const MemoryInput& input : model.remembered) binary.push_back(input.binary);
  EXPECT_THAT(binary, ElementsAre(true, false, true, true, false, false));
}

TEST_F(Visual, APromptOnANewFrameUsesNoMemoryAndConditionsTheFramesAfterIt) {
  session().add(click(1, 3, 4), 0);
  session().add(click(1, 3, 4), 2);
  for (int64_t frame = 0; frame < 4; ++frame) (void)step(frame, {{1, 2, 3, 4}});
  ASSERT_EQ(model.decoded.size(), 4U);
  EXPECT_EQ(model.decoded[0].features, FrameFeatures::kNoMemory);
  EXPECT_EQ(model.decoded[1].features, FrameFeatures::kMemory);
  EXPECT_EQ(model.decoded[2].features, FrameFeatures::kNoMemory);
  EXPECT_THAT(model.decoded[3].memory.times, testing::UnorderedElementsAre(6, 6, 1));
}

TEST_F(Visual, ACorrectionOfAFrameThatWasFollowedUsesMemoryAndIsKeptWhenTheFrameIsRunAgain) {
  session().add(click(1, 3, 4), 0);
  (void)step(0, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  (void)step(1, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  session().add(click(1, 11, 11), 1);
  const auto corrected = step(1, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  EXPECT_EQ(model.decoded.back().features, FrameFeatures::kMemory);
  EXPECT_THAT(corrected[0].objects[0].box, ElementsAre(10, 10, 13, 13));
  const size_t runs = model.decoded.size();
  const auto again = step(1, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  EXPECT_EQ(model.decoded.size(), runs);
  EXPECT_THAT(again[0].objects[0].box, ElementsAre(10, 10, 13, 13));
  EXPECT_THAT(session().state().visual[0].bank.conditioning(), testing::SizeIs(1));
}

TEST_F(Visual, TakesAMaskAsItIs) {
  ObjectPrompt prompt;
  prompt.id = 4;
  prompt.mask = ObjectMask{16, 16, {2 * 16 + 3, 4, 12, 4, 12, 4, 12, 4, 16 * 10 + 9}};
  session().add(prompt, 0);
  const auto result = step(0, {{1, 2, 3, 4}});
  ASSERT_THAT(ids_of(result[0]), ElementsAre(4));
  EXPECT_EQ(model.decoded[0].features, FrameFeatures::kRaw);
  EXPECT_EQ(model.decoded[0].mask.size(), 32U * 32U);
  EXPECT_EQ(model.decoded[0].tokens.size(), 2U);
  EXPECT_THAT(ids_of(step(1, {{1, 6, 3, 4}})[0]), ElementsAre(4));
}

TEST_F(Visual, RunsBackwards) {
  session().add(click(1, 3, 4), 9);
  EXPECT_THAT(ids_of(step(9, {{1, 2, 3, 4}})[0]), ElementsAre(1));
  EXPECT_THAT(ids_of(step(8, {{1, 2, 3, 4}})[0]), ElementsAre(1));
  EXPECT_THAT(ids_of(step(6, {{1, 2, 3, 4}})[0]), ElementsAre(1));
  EXPECT_THAT(model.decoded.back().memory.times, testing::UnorderedElementsAre(6, 1));
}

TEST_F(Visual, ACallThatThrowsLeavesTheSessionAsItWas) {
  session().add(click(1, 3, 4), 0);
  (void)step(0, {{1, 2, 3, 4}});
  session().add(click(2, 11, 11), 1);
  for (const char* call : {"encode", "decode", "remember"}) {
    model.fail_on = call;
    EXPECT_THROW((void)step(1, {{1, 2, 3, 4}, {2, 10, 10, 4}}), Error);
    EXPECT_EQ(session().state().last, 0);
    EXPECT_THAT(session().objects(), ElementsAre(1));
  }
  model.fail_on.clear();
  EXPECT_THAT(ids_of(step(1, {{1, 2, 3, 4}, {2, 10, 10, 4}})[0]), ElementsAre(1, 2));
}

TEST_F(Visual, RefusesPromptsThatDoNotFitTheirFrame) {
  session().add(click(1, 30, 4), 0);
  EXPECT_THAT(refusal([&] { (void)step(0, {}); }), HasSubstr("outside the image"));
  session().remove(1);
  EXPECT_THAT(step(0, {})[0].objects, IsEmpty());
  EXPECT_THAT(refusal([&] { session().add(click(1, 1, 1), -1); }), HasSubstr("frame -1"));
  EXPECT_THAT(refusal([&] { session().remove(5); }), HasSubstr("no object 5"));
}

TEST_F(Visual, RefusesMoreObjectsThanAreAllowed) {
  TrackOptions options;
  options.max_objects = 1;
  session(options).add(click(1, 3, 4), 0);
  session().add(click(1, 3, 4), 5);
  EXPECT_THAT(refusal([&] { session().add(click(2, 3, 4), 0); }), HasSubstr("one more than the 1"));
}

TEST_F(Visual, KnownLengthsOfShortClipsCountPointers) {
  TrackOptions options;
  options.frames = 5;
  session(options).add(click(1, 3, 4), 0);
  (void)step(0, {{1, 2, 3, 4}});
  (void)step(1, {{1, 2, 3, 4}});
  EXPECT_THAT(model.decoded.back().memory.pointer_times, ElementsAre(0.25F));
}

TEST(TrackingSession, RefusesOptionsOutOfRange) {
  FakeTracker model;
  const TrackerConfig config = small_tracker();
  std::vector<TrackOptions> wrong(6);
  wrong[0].hot_start = -1;
  wrong[1].det_nms = 0.0;
  wrong[2].det_nms = 1.5;
  wrong[3].fill_holes = -1;
  wrong[4].max_objects = 0;
  wrong[5].frames = 0;
  for (const TrackOptions& options : wrong) {
    EXPECT_THROW(TrackingSession(model, config, options), Error);
  }
}

class Texts : public TrackingSessionTest {
 protected:
  /// Everything that a video gives, frame by frame.
  std::vector<FrameResult> run(int64_t frames, const std::vector<Square>& squares) {
    std::vector<FrameResult> results;
    for (int64_t frame = 0; frame < frames; ++frame) {
      Image image = frame_of({});
      for (const Square& square : squares) {
        const Image one = frame_of({square});
        for (size_t i = 0; i < one.rgb.size(); ++i) {
          if (one.rgb[i] != 0) image.rgb[i] = one.rgb[i];
        }
      }
      std::ranges::move(session().step(view_of(image), frame_base + frame),
                        std::back_inserter(results));
    }
    return results;
  }

  int64_t frame_base = 0;
};

TEST_F(Texts, GivesResultsLaterByTheHotStartAndTheRestAtTheEnd) {
  session().add({"ab", {}});
  const auto results = run(20, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  ASSERT_EQ(results.size(), 6U);
  EXPECT_EQ(results.front().frame, 0);
  EXPECT_THAT(ids_of(results.front()), ElementsAre(0, 1));
  EXPECT_EQ(results.front().objects[0].prompt, "ab");
  EXPECT_FLOAT_EQ(results.front().objects[0].score, 0.9F);
  const auto rest = session().finish();
  ASSERT_EQ(rest.size(), 14U);
  EXPECT_EQ(rest.back().frame, 19);
  EXPECT_THAT(session().finish(), IsEmpty());
}

TEST_F(Texts, TheSameTextIsNoNewOneAndOthersHaveObjectsOfTheirOwn) {
  session({.hot_start = 0}).add({"a", {}});
  session().add({"a", {}});
  session().add({"b", {}});
  const auto results = run(1, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  ASSERT_THAT(ids_of(results[0]), ElementsAre(0, 1));
  EXPECT_EQ(results[0].objects[1].prompt, "b");
}

TEST_F(Texts, AnObjectThatIsNeverConfirmedIsRemovedAsIfItHadNotBeen) {
  session().add({"ab", {}});
  (void)run(1, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  model.scores[2] = 0.1F;
  frame_base = 1;
  const auto results = run(20, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  EXPECT_THAT(ids_of(results.front()), ElementsAre(0));
  EXPECT_THAT(session().objects(), ElementsAre(0));
}

TEST_F(Texts, IdsOfRemovedObjectsAreNotGivenAgain) {
  session().add({"a", {}});
  (void)run(1, {{1, 2, 3, 4}});
  model.scores[1] = 0.1F;
  frame_base = 1;
  (void)run(10, {{1, 2, 3, 4}});
  EXPECT_THAT(session().objects(), IsEmpty());
  model.scores[1] = 0.9F;
  frame_base = 11;
  (void)run(1, {{1, 2, 3, 4}});
  EXPECT_THAT(session().objects(), ElementsAre(1));
}

TEST_F(Texts, AfterTheTrialAnObjectStaysWithoutDetections) {
  session().add({"a", {}});
  (void)run(16, {{1, 2, 3, 4}});
  model.scores[1] = 0.1F;
  frame_base = 16;
  (void)run(40, {{1, 2, 3, 4}});
  EXPECT_THAT(session().objects(), ElementsAre(0));
}

TEST_F(Texts, WithoutHotStartResultsComeAtOnceAndAreNotConfirmedUntilTheTrialIsOver) {
  session({.hot_start = 0}).add({"a", {}});
  const auto results = run(17, {{1, 2, 3, 4}});
  ASSERT_EQ(results.size(), 17U);
  EXPECT_FALSE(results[14].objects[0].confirmed);
  EXPECT_TRUE(results[15].objects[0].confirmed);
}

TEST_F(Texts, LiveNothingIsRemovedButWhatWouldBeIsNeverConfirmed) {
  session({.live = true}).add({"ab", {}});
  (void)run(1, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  model.scores[2] = 0.1F;
  frame_base = 1;
  const auto results = run(30, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  ASSERT_EQ(results.size(), 30U);
  ASSERT_THAT(ids_of(results.back()), ElementsAre(0, 1));
  EXPECT_TRUE(results.back().objects[0].confirmed);
  EXPECT_FALSE(results.back().objects[1].confirmed);
}

TEST_F(Texts, LivePointerTimesCountInTheFramesSoFar) {
  session({.live = true}).add({"a", {}});
  (void)run(4, {{1, 2, 3, 4}});
  EXPECT_THAT(model.decoded.back().memory.pointer_times,
              testing::UnorderedElementsAre(1.0F, 1.0F / 3.0F, 2.0F / 3.0F));
}

TEST_F(Texts, NewObjectsMakeTheMemoriesOfAllOthersAnewAndBinary) {
  session().add({"ab", {}});
  (void)run(2, {{1, 2, 3, 4}});
  ASSERT_EQ(model.remembered.size(), 2U);
  EXPECT_TRUE(model.remembered[0].binary);
  EXPECT_FALSE(model.remembered[1].binary);
  frame_base = 2;
  (void)run(1, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  ASSERT_EQ(model.remembered.size(), 4U);
  EXPECT_TRUE(model.remembered[2].binary);
  EXPECT_FLOAT_EQ(model.remembered[2].object_score, 6.0F);
  EXPECT_TRUE(model.remembered[3].binary);
}

TEST_F(Texts, EverySixteenthFrameConditionsWhatADetectionConfirms) {
  session().add({"a", {}});
  (void)run(18, {{1, 2, 3, 4}});
  const MemoryBank& bank = session().state().text.tracks[0].bank;
  ASSERT_EQ(bank.conditioning().size(), 2U);
  EXPECT_EQ(bank.conditioning()[1].frame, 16);
  EXPECT_EQ(bank.rolling(16), nullptr);
}

TEST_F(Texts, RemembersTheMaskOfTheDetectionWhereTheModelSaysSo) {
  config.recondition_on_trk_masks = false;
  session().add({"a", {}});
  (void)run(17, {{1, 2, 3, 4}});
  const auto mask = model.remembered.back().mask.values();
  EXPECT_EQ(*std::ranges::max_element(mask), 1.0F);
  EXPECT_EQ(*std::ranges::min_element(mask), 0.0F);
  EXPECT_EQ(model.remembered.back().object_score, 10.0F);
}

TEST_F(Texts, FollowsNoMoreObjectsThanAreAllowedAndTakesTheBest) {
  TrackOptions options;
  options.max_objects = 1;
  model.scores[1] = 0.75F;
  session(options).add({"ab", {}});
  (void)run(3, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  ASSERT_THAT(session().state().text.tracks, testing::SizeIs(1));
  EXPECT_FLOAT_EQ(session().state().text.tracks[0].score, 0.9F);
}

TEST_F(Texts, ClickedObjectsAreFollowedBesideThoseOfTextsAndLeftAlone) {
  session({.hot_start = 0}).add({"a", {}});
  session().add(click(5, 3, 4), 0);
  const auto results = run(3, {{1, 2, 3, 4}});
  ASSERT_THAT(ids_of(results.back()), ElementsAre(5, 6));
  EXPECT_EQ(results.back().objects[0].area, 16);
  EXPECT_EQ(results.back().objects[1].area, 16);
  EXPECT_EQ(model.shown, 3);  // all masks of a frame at once
  EXPECT_THAT(refusal([&] { session().add(click(6, 3, 4), 5); }), HasSubstr("found by a text"));
  frame_base = 2;
  EXPECT_THAT(refusal([&] { (void)run(1, {}); }), HasSubstr("every frame is given once"));
}

TEST_F(Texts, ExamplesWithoutTextFindObjectsOnTheirFrameAndAreNotMissedLater) {
  session({.hot_start = 0});
  session().add({std::nullopt, {{{1, 1, 5, 5}, true}}});
  (void)run(2, {{1, 2, 3, 4}});
  EXPECT_THAT(session().objects(), IsEmpty());
  EXPECT_TRUE(session().state().concepts[0].boxes.empty());
}

TEST_F(Texts, TheDirectionTurnsOnlyWhenNothingIsHeldBack) {
  session().add({"a", {}});
  frame_base = 10;
  (void)run(2, {{1, 2, 3, 4}});
  EXPECT_THAT(refusal([&] { (void)step(9, {}); }), HasSubstr("finish this direction first"));
  EXPECT_EQ(session().finish().size(), 2U);
  EXPECT_THAT(step(9, {{1, 2, 3, 4}}), IsEmpty());
  EXPECT_TRUE(session().state().reverse);
}

TEST_F(Texts, ARemovedObjectIsGoneFromResultsThatAreHeldBack) {
  session().add({"ab", {}});
  (void)run(2, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  session().remove(0);
  const auto results = session().finish();
  EXPECT_THAT(ids_of(results[0]), ElementsAre(1));
}

TEST_F(Texts, AfterAResetTheSessionIsAsNew) {
  session().add({"a", {}});
  session().add(click(9, 3, 4), 0);
  (void)run(2, {{1, 2, 3, 4}});
  session().reset();
  EXPECT_THAT(session().objects(), IsEmpty());
  EXPECT_THAT(session().finish(), IsEmpty());
  const auto results = run(1, {{1, 2, 3, 4}});
  EXPECT_THAT(results[0].objects, IsEmpty());
}

TEST_F(Texts, MemoryDoesNotGrowWithTheNumberOfFrames) {
  config.recondition_every_nth_frame = 0;
  session({.hot_start = 0}).add({"ab", {}});
  session().add(click(9, 3, 4), 0);
  const auto bytes = [&] {
    size_t sum = 0;
    for (const TextTrack& track : session().state().text.tracks) sum += track.bank.size_bytes();
    for (const VisualTrack& track : session().state().visual) sum += track.bank.size_bytes();
    return sum;
  };
  (void)run(40, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  const size_t early = bytes();
  frame_base = 40;
  (void)run(300, {{1, 2, 3, 4}, {2, 10, 10, 4}});
  EXPECT_EQ(bytes(), early);
}

}  // namespace
}  // namespace sam3trt
