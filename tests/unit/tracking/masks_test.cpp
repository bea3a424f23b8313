#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "base/error.hpp"
#include "base/sigmoid.hpp"
#include "fake_tracker.hpp"
#include "image/mask_cleanup.hpp"
#include "image/rle.hpp"
#include "tracking/association.hpp"
#include "tracking/object_input.hpp"
#include "tracking/object_mask.hpp"
#include "tracking/overlaps.hpp"
#include "tracking/track.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Logits from rows of '#' (5) and '.' (-5).
Logits drawn(const std::vector<std::string>& rows) {
  Logits logits;
  for (const std::string& row : rows) {
    for (const char c : row) logits.push_back(c == '#' ? 5.0F : -5.0F);
  }
  return logits;
}

TEST(MaskCleanup, FillsHolesAndTakesSpecksAwayThatTouchNothingEvenDiagonally) {
  Logits mask = drawn({"#####....", "#.#.#..#.", "#####...#", "#####....", "#####....", ".........",
                       ".....##..", ".....##..", "........."});
  Logits expected = mask;
  expected[10] = 0.1F;
  expected[12] = 0.1F;
  expected[16] = -0.1F;
  expected[26] = -0.1F;
  clean_mask(mask, 9, 3);
  EXPECT_EQ(mask, expected);
}

TEST(MaskCleanup, KeepsAnObjectOfWhichASpeckIsMoreThanHalf) {
  const Logits tiny = drawn({"##.", "...", "..."});
  Logits mask = tiny;
  clean_mask(mask, 3, 4);
  EXPECT_EQ(mask, tiny);
}

TEST(MaskCleanup, ABackgroundThatIsSmallItselfIsFilled) {
  Logits mask = drawn({"###", "##.", "##."});
  clean_mask(mask, 3, 2);
  EXPECT_TRUE(std::ranges::all_of(mask, [](float value) { return value > 0.0F; }));
}

TEST(MaskCleanup, IsOffForZero) {
  const Logits holes = drawn({"###", "#.#", "###"});
  Logits mask = holes;
  clean_mask(mask, 3, 0);
  EXPECT_EQ(mask, holes);
}

/// The plain way: component by component, pixel by pixel.
void replace_plainly(Logits& logits, int64_t side, bool foreground, int64_t most, float value) {
  const Logits before = logits;
  const auto at = [&](int64_t x, int64_t y) { return static_cast<size_t>(y * side + x); };
  std::vector<uint8_t> seen(logits.size());
  for (size_t start = 0; start < logits.size(); ++start) {
    if (seen[start] != 0 || (before[start] > 0.0F) != foreground) continue;
    std::vector<size_t> component = {start};
    seen[start] = 1;
    for (size_t next = 0; next < component.size(); ++next) {
      const int64_t y = static_cast<int64_t>(component[next]) / side;
      const int64_t x = static_cast<int64_t>(component[next]) % side;
      for (int64_t v = std::max<int64_t>(y - 1, 0); v <= std::min(y + 1, side - 1); ++v) {
        for (int64_t u = std::max<int64_t>(x - 1, 0); u <= std::min(x + 1, side - 1); ++u) {
          if (seen[at(u, v)] != 0 || (before[at(u, v)] > 0.0F) != foreground) continue;
          seen[at(u, v)] = 1;
          component.push_back(at(u, v));
        }
      }
    }
    if (static_cast<int64_t>(component.size()) > most) continue;
    for (const size_t pixel : component) logits[pixel] = value;
  }
}

TEST(MaskCleanup, DecidesAsTheFillOfEachComponentDoes) {
  std::mt19937 random(3);
  for (const int64_t side : {1, 2, 7, 63, 64, 65, 130}) {
    for (uint32_t share = 1; share < 8; ++share) {
      const int64_t most = std::array<int64_t, 4>{1, 3, 16, 200}[random() % 4];
      Logits mask(static_cast<size_t>(side * side));
      for (float& value : mask) value = random() % 8 < share ? 2.0F : -2.0F;
      mask[random() % mask.size()] = 0.0F;
      Logits expected = mask;
      Logits holes = mask;
      Logits expected_holes = mask;
      replace_plainly(expected, side, false, most, 0.1F);
      const auto inside = std::ranges::count_if(expected, [](float value) { return value > 0.0F; });
      replace_plainly(expected, side, true, std::min<int64_t>(inside / 2, most), -0.1F);
      clean_mask(mask, side, most);
      EXPECT_EQ(mask, expected) << side << " " << share << " " << most;
      replace_plainly(expected_holes, side, false, most, 10.0F);
      fill_holes(holes, side, most);
      EXPECT_EQ(holes, expected_holes) << side << " " << share << " " << most;
    }
  }
}

TEST(BitMask, CountsAsPixelsDoWhateverTheSize) {
  std::mt19937 random(4);
  for (const size_t size : {0U, 1U, 63U, 64U, 65U, 2000U, 5184U}) {
    Logits a(size, -1.0F);
    Logits b(size, -1.0F);
    for (size_t i = size / 5; i < size; ++i) {
      a[i] = static_cast<float>(random() % 5) - 1.0F;
      b[i] = i < size / 2 ? static_cast<float>(random() % 3) - 1.0F : -1.0F;
    }
    int64_t area = 0;
    int64_t both = 0;
    for (size_t i = 0; i < size; ++i) {
      area += a[i] > 0.5F ? 1 : 0;
      both += a[i] > 0.5F && b[i] > 0.5F ? 1 : 0;
    }
    EXPECT_EQ(BitMask(a, 0.5F).area(), area) << size;
    EXPECT_EQ(BitMask(a, 0.5F).overlap(BitMask(b, 0.5F)), both) << size;
    EXPECT_EQ(BitMask(b, 0.5F).overlap(BitMask(a, 0.5F)), both) << size;
  }
}

TEST(BitMask, CountsAreasAndOverlapsBeyondOneWord) {
  Logits a(200, -1.0F);
  Logits b(200, -1.0F);
  std::fill(a.begin() + 50, a.begin() + 150, 1.0F);
  std::fill(b.begin() + 100, b.begin() + 180, 1.0F);
  EXPECT_EQ(BitMask(a).area(), 100);
  EXPECT_EQ(BitMask(a).overlap(BitMask(b)), 50);
  EXPECT_FLOAT_EQ(mask_iou(BitMask(a), BitMask(b)), 50.0F / 130.0F);
  EXPECT_EQ(mask_iou(BitMask(Logits(4, 0.0F)), BitMask(Logits(4, -1.0F))), 0.0F);
}

class MaskChoice : public testing::Test {
 protected:
  MaskChoice() : single(16 * 16, -1.0F) { std::fill_n(single.begin(), 100, 1.0F); }

  [[nodiscard]] size_t choose(bool multimask) const {
    const auto delta = static_cast<float>(config.stability_delta);
    const auto above = [&](float threshold) -> int64_t {
      return std::ranges::count_if(single, [&](float value) { return value > threshold; });
    };
    const bool stable = is_stable({above(delta), above(-delta)}, config);
    return choose_mask(ious, multimask, hangs_on_single(multimask, config) && !stable);
  }

  TrackerConfig config = small_tracker();
  std::vector<float> ious = {0.9F, 0.5F, 0.7F, 0.7F};
  Logits single;
};

TEST_F(MaskChoice, TakesTheFirstOfTheMasksWithTheHighestIou) {
  EXPECT_EQ(choose(true), 2U);
  EXPECT_EQ(choose_pointer(ious, true), 2U);
}

TEST_F(MaskChoice, TakesTheSingleMaskWhileItIsStable) {
  EXPECT_EQ(choose(false), 0U);
  EXPECT_EQ(choose_pointer(ious, false), 0U);
}

TEST_F(MaskChoice, AnUnstableSingleMaskGivesWayButItsPointerStays) {
  std::fill(single.begin() + 97, single.begin() + 100, 0.01F);
  EXPECT_TRUE(hangs_on_single(false, config));
  EXPECT_EQ(choose(false), 2U);
  EXPECT_EQ(choose_pointer(ious, false), 0U);
  config.stability_fallback = false;
  EXPECT_FALSE(hangs_on_single(false, config));
  EXPECT_EQ(choose(false), 0U);
}

TEST_F(MaskChoice, AMaskOfNothingIsStable) {
  std::ranges::fill(single, -1.0F);
  EXPECT_EQ(choose(false), 0U);
}

TEST(ObjectMask, APromptedMaskOfNothingHasThePointerOfNoObject) {
  const TrackSizes sizes{32, 4, 2, 2, 4};
  DecodeOutput decoded;
  decoded.view.pointer = std::make_shared<const std::vector<float>>(2, 2.0F);
  decoded.absent = std::make_shared<const std::vector<float>>(2, 7.0F);
  std::vector<float> mask(32 * 32, 0.0F);
  EXPECT_EQ(view_of_mask(mask, decoded, sizes).pointer->front(), 7.0F);
  mask[40] = 1;
  EXPECT_EQ(view_of_mask(mask, decoded, sizes).pointer->front(), 2.0F);
}

TEST(PreciseSigmoid, LetsLargeLogitsBeToldAgain) {
  for (const double logit : {-30.0, -1.5, 0.0, 14.5561, 20.0, 30.0}) {
    const double probability = precise_sigmoid(logit);
    EXPECT_NEAR(std::log(probability / (1 - probability)), logit, 2e-3) << logit;
  }
}

TEST(ViewOfASmallMask, IsThatOfTheMaskResizedToTheImage) {
  const TrackSizes sizes{56, 4, 2, 2, 4};
  DecodeOutput decoded;
  decoded.view.pointer = std::make_shared<const std::vector<float>>(2, 7.0F);
  decoded.absent = std::make_shared<const std::vector<float>>(2, 2.0F);
  for (const bool there : {true, false}) {
    Logits small(static_cast<size_t>(sizes.mask_side() * sizes.mask_side()), 0.0F);
    if (there) {
      for (const size_t pixel : {17U, 18U, 33U, 34U, 35U, 200U}) small[pixel] = 1.0F;
    }
    const Logits whole = resize_logits(small, sizes.mask_side(), sizes.image);
    const ObjectView expected = view_of_mask(whole, decoded, sizes);
    const ObjectView view = view_of_small_mask(LogitPlane(small), decoded, sizes);
    EXPECT_EQ(view.mask.size(), expected.mask.size());
    EXPECT_THAT(view.mask.values(), testing::ElementsAreArray(expected.mask.values()));
    EXPECT_EQ(view.object_score, expected.object_score);
    EXPECT_EQ(view.pointer->front(), there ? 7.0F : 2.0F);
  }
}

TEST(ObjectInput, CornersComeFirstAndEveryPromptEndsWithATokenThatIsNotAPoint) {
  ObjectPrompt prompt;
  prompt.points = {{10, 5, true}, {20, 10, false}};
  prompt.box = PixelBox{0, 0, 40, 20};
  const auto tokens = prompt_tokens(prompt, 40, 20, 32);
  std::vector<int64_t> labels;
  for (const PromptToken& token : tokens) labels.push_back(token.label);
  EXPECT_THAT(labels, ElementsAre(2, 3, 1, 0, -1));
  EXPECT_EQ(tokens[1].x, 32.0F);
  EXPECT_EQ(tokens[2].x, 8.0F);
  EXPECT_EQ(tokens[2].y, 8.0F);
  EXPECT_EQ(no_tokens().size(), 2U);
  EXPECT_EQ(count_points(prompt), 4);
}

TEST(ObjectInput, OneClickGivesSeveralMasksAndABoxOne) {
  const TrackerConfig config = small_tracker();
  EXPECT_TRUE(use_multimask(0, false, config));
  EXPECT_TRUE(use_multimask(1, true, config));
  EXPECT_FALSE(use_multimask(2, true, config));
  TrackerConfig first_only = config;
  first_only.multimask_for_tracking = false;
  EXPECT_FALSE(use_multimask(0, false, first_only));
  EXPECT_TRUE(use_multimask(0, true, first_only));
}

TEST(ObjectInput, RefusesWhatPointsAtNothing) {
  const auto message = [](const ObjectPrompt& prompt) -> std::string {
    try {
      check_object_prompt(prompt);
      check_object_prompt(prompt, 8, 4);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.what();
    }
    return "";
  };
  ObjectPrompt prompt;
  prompt.id = 3;
  EXPECT_THAT(message(prompt), HasSubstr("object 3: nothing points at it"));
  prompt.points = {{1, 1, true}};
  EXPECT_EQ(message(prompt), "");
  prompt.points = {{9, 1, true}};
  EXPECT_THAT(message(prompt), HasSubstr("outside the image of 8x4 pixels"));
  prompt.points = {{NAN, 1, true}};
  EXPECT_THAT(message(prompt), HasSubstr("finite"));
  prompt.points.clear();
  prompt.box = PixelBox{2, 2, 2, 3};
  EXPECT_THAT(message(prompt), HasSubstr("no area"));
  prompt.box = PixelBox{9, 0, 12, 3};
  EXPECT_THAT(message(prompt), HasSubstr("does not touch"));
  prompt.box.reset();
  prompt.mask = ObjectMask{8, 4, {1, 31}};
  EXPECT_EQ(message(prompt), "");
  prompt.mask = ObjectMask{8, 4, {1, 30}};
  EXPECT_THAT(message(prompt), HasSubstr("add up to 31"));
  prompt.mask = ObjectMask{8, 4, {32}};
  EXPECT_THAT(message(prompt), HasSubstr("empty"));
  prompt.mask = ObjectMask{4, 4, {1, 15}};
  EXPECT_THAT(message(prompt), HasSubstr("the image has 8x4 pixels"));
  prompt.mask = ObjectMask{8, 4, {1, 31}};
  prompt.points = {{1, 1, true}};
  EXPECT_THAT(message(prompt), HasSubstr("one or the other"));
  prompt = {};
  prompt.id = -1;
  prompt.points = {{1, 1, true}};
  EXPECT_THAT(message(prompt), HasSubstr("0 or more"));
}

FoundObject found_of(float score, const std::vector<std::string>& rows, size_t concept_index = 0) {
  const Logits mask = drawn(rows);
  return {concept_index, score, mask, BitMask(mask)};
}

TEST(Association, SuppressesWeakerDetectionsThatOverlapAndKeepsTheOrder) {
  std::vector<FoundObject> found = {found_of(0.6F, {"####...."}), found_of(0.9F, {"..####.."}),
                                    found_of(0.7F, {"......##"}), found_of(0.8F, {".......#"})};
  const auto kept = suppress_overlaps(found, 0.1F);
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_EQ(kept[0].score, 0.9F);
  EXPECT_EQ(kept[1].score, 0.8F);
  EXPECT_EQ(suppress_overlaps(found, 1.0F).size(), 4U);
}

TEST(Association, WhatWasSuppressedSuppressesNothing) {
  const std::vector<FoundObject> found = {
      found_of(0.9F, {"####...."}), found_of(0.8F, {"..####.."}), found_of(0.7F, {"....####"})};
  EXPECT_EQ(suppress_overlaps(found, 0.1F).size(), 2U);
}

TEST(Association, WithoutTracksEveryDetectionIsNew) {
  const std::vector<FoundObject> found = {found_of(0.51F, {"##"}), found_of(0.9F, {".#"})};
  EXPECT_THAT(associate(found, {}, small_tracker()).fresh, ElementsAre(0, 1));
}

TEST(Association, ComparesWithinAConceptOnly) {
  const std::vector<FoundObject> found = {found_of(0.9F, {"##.."}, 0), found_of(0.9F, {"##.."}, 1),
                                          found_of(0.6F, {"..##"}, 0)};
  const std::vector<TrackedMask> tracks = {
      {0, found[0].bits}, {0, BitMask(drawn({"...."}))}, {1, BitMask(drawn({"..##"}))}};
  const Association result = associate(found, tracks, small_tracker());
  EXPECT_THAT(result.fresh, ElementsAre(1));
  EXPECT_THAT(result.unmatched, ElementsAre(2));
  EXPECT_THAT(result.empty, ElementsAre(1));
  EXPECT_THAT(result.matched[0], ElementsAre(0));
  EXPECT_THAT(result.confirmed_by, ElementsAre(0, -1, -1));
}

TEST(Association, ATrackWhoseConceptIsNotLookedForIsNotUnmatched) {
  const std::vector<TrackedMask> tracks = {{0, BitMask(drawn({"##"})), false}};
  EXPECT_TRUE(associate({}, tracks, small_tracker()).unmatched.empty());
}

std::vector<LogitMask> logit_masks(const std::vector<Logits>& masks) {
  std::vector<LogitMask> all;
  for (const Logits& mask : masks) all.emplace_back(mask);
  return all;
}

/// Whose bits must be those of their logits.
std::vector<Logits> logits_of(const std::vector<LogitMask>& masks) {
  std::vector<Logits> all;
  for (const LogitMask& mask : masks) {
    all.push_back(values_of(mask.logits));
    EXPECT_THAT(mask.bits.words(), testing::ElementsAreArray(BitMask(all.back()).words()));
  }
  return all;
}

TextTrack hidden_track(int64_t id, std::optional<int64_t> last) {
  TextTrack track;
  track.id = id;
  track.last_hidden = last;
  return track;
}

TEST(Overlaps, OfTwoThatOverlapTheOneHiddenMoreRecentlyGivesWay) {
  const FrameTime time{10, false, 16};
  std::vector<TextTrack> tracks = {hidden_track(0, 5), hidden_track(1, 3), hidden_track(2, {})};
  auto masks = logit_masks({drawn({"####"}), drawn({"####"}), drawn({"...."})});
  suppress_recently_hidden(tracks, masks, {}, time, small_tracker());
  EXPECT_EQ(logits_of(masks)[0], Logits(4, -10.0F));
  EXPECT_EQ(logits_of(masks)[1], drawn({"####"}));
  EXPECT_EQ(tracks[0].last_hidden, 10);
  EXPECT_EQ(tracks[1].last_hidden, 3);
  EXPECT_EQ(tracks[2].last_hidden, 10);
}

TEST(Overlaps, NothingGivesWayToOneThatWasNeverHidden) {
  std::vector<TextTrack> tracks = {hidden_track(0, 5), hidden_track(1, -1)};
  auto masks = logit_masks({2, drawn({"####"})});
  suppress_recently_hidden(tracks, masks, {}, {10, false, 16}, small_tracker());
  EXPECT_EQ(logits_of(masks)[0], drawn({"####"}));
  EXPECT_EQ(logits_of(masks)[1], drawn({"####"}));
}

TEST(Overlaps, BackwardsTheSmallerFrameIsTheMoreRecent) {
  std::vector<TextTrack> tracks = {hidden_track(0, 15), hidden_track(1, 13)};
  auto masks = logit_masks({2, drawn({"####"})});
  suppress_recently_hidden(tracks, masks, {}, {10, true, 16}, small_tracker());
  EXPECT_EQ(logits_of(masks)[0], drawn({"####"}));
  EXPECT_EQ(logits_of(masks)[1], Logits(4, -10.0F));
}

TEST(Overlaps, AMaskThatKeepsLittleOfItselfIsGivenUp) {
  auto masks = logit_masks({{5, 5, 5, 5, -5, -5}, {6, 6, 6, 1, -20, 2}, {9, 9, 9, 9, 9, 9}});
  const std::vector<size_t> concepts = {0, 0, 1};
  HostPlanes host;
  suppress_shrunk(masks, concepts, host);
  EXPECT_THAT(logits_of(masks)[0], ElementsAre(-10, -10, -10, -10, -10, -10));
  EXPECT_THAT(logits_of(masks)[1], ElementsAre(6, 6, 6, 1, -20, 2));
  EXPECT_THAT(logits_of(masks)[2], testing::Each(9.0F));
}

TEST(Overlaps, AnEmptyMaskBesideOthersOfItsConceptIsGivenUp) {
  auto masks = logit_masks({{-1, -2, -30}, {4, -5, -6}, {-1, -2, -30}});
  const std::vector<size_t> concepts = {0, 0, 1};
  HostPlanes host;
  suppress_shrunk(masks, concepts, host);
  EXPECT_THAT(logits_of(masks)[0], ElementsAre(-10, -10, -30));
  EXPECT_TRUE(masks[0].bits.empty());
  EXPECT_THAT(logits_of(masks)[1], ElementsAre(4, -5, -6));
  EXPECT_THAT(logits_of(masks)[2], ElementsAre(-1, -2, -30));  // alone
}

TEST(Overlaps, AreasThatAreKeptAreThoseOfEveryPixelByItself) {
  std::mt19937 random(9);
  constexpr size_t kSize = 9001;
  for (int repeat = 0; repeat < 10; ++repeat) {
    std::vector<Logits> masks(3 + random() % 4);
    std::vector<size_t> concepts;
    for (Logits& mask : masks) {
      concepts.push_back(random() % 2);
      const auto share = static_cast<uint32_t>(1 + random() % 6);
      for (size_t i = 0; i < kSize; ++i) {
        mask.push_back(random() % 8 < share ? static_cast<float>(random() % 6) : -1.0F);
      }
    }
    std::vector<Logits> expected = masks;
    for (size_t i = 0; i < masks.size(); ++i) {
      const auto of_concept = std::ranges::count(concepts, concepts[i]);
      int64_t kept = 0;
      int64_t area = 0;
      for (size_t pixel = 0; pixel < kSize; ++pixel) {
        bool keeps = masks[i][pixel] > 0.0F;
        area += keeps ? 1 : 0;
        for (size_t j = 0; j < masks.size(); ++j) {
          if (concepts[j] != concepts[i]) continue;
          const bool wins =
              j < i ? masks[j][pixel] >= masks[i][pixel] : masks[j][pixel] > masks[i][pixel];
          if (j != i && wins) keeps = false;
        }
        kept += keeps ? 1 : 0;
      }
      if (of_concept < 2 || static_cast<float>(kept) / static_cast<float>(area) >= 0.3F) continue;
      for (float& value : expected[i]) value = std::min(value, -10.0F);
    }
    auto parted = logit_masks(masks);
    HostPlanes host;
    suppress_shrunk(parted, concepts, host);
    EXPECT_EQ(logits_of(parted), expected);
  }
}

TEST(Overlaps, PixelsArePartedAlikeHoweverManyRunsMasksHave) {
  constexpr int64_t kHeight = 37;
  constexpr int64_t kWidth = 41;
  std::mt19937 random(11);
  for (const uint32_t cell : {1U, 2U, 9U, 60U}) {
    std::vector<std::vector<uint8_t>> pixels(7);
    std::vector<ShownMask> masks;
    for (size_t i = 0; i < pixels.size(); ++i) {
      std::vector<uint8_t> cells(kHeight * kWidth);
      for (uint8_t& value : cells) value = random() % 3 == 0 ? 1 : 0;
      for (uint32_t pixel = 0; pixel < kHeight * kWidth; ++pixel) {
        pixels[i].push_back(cells[pixel / kWidth / cell * kWidth + pixel % kWidth / cell]);
      }
      const auto score = static_cast<float>(random() % 4) - 0.5F;
      masks.push_back({i % 2, score, rle_counts(pixels[i], kHeight, kWidth)});
    }
    const std::vector<ShownMask> given = masks;
    part_pixels(masks, kHeight, kWidth);
    for (size_t i = 0; i < masks.size(); ++i) {
      std::vector<uint8_t> expected = pixels[i];
      for (size_t j = 0; j < masks.size(); ++j) {
        const bool first = given[j].object_score > given[i].object_score ||
                           (given[j].object_score == given[i].object_score && j < i);
        if (j == i || given[j].concept_index != given[i].concept_index || !first) continue;
        for (size_t pixel = 0; pixel < expected.size(); ++pixel) {
          if (pixels[j][pixel] != 0) expected[pixel] = 0;
        }
      }
      if (!(given[i].object_score > 0.0F)) expected.assign(expected.size(), 0);
      EXPECT_EQ(masks[i].counts, rle_counts(expected, kHeight, kWidth)) << cell << " " << i;
    }
  }
}

TEST(Overlaps, APixelGoesToTheHigherScoreOfAConceptAndToTheFirstOfEquals) {
  std::vector<ShownMask> masks = {
      {0, 0.5F, {0, 2, 1}}, {0, 0.9F, {1, 2}}, {1, 0.1F, {0, 3}}, {0, 0.9F, {1, 2}}};
  part_pixels(masks, 1, 3);
  EXPECT_THAT(masks[0].counts, ElementsAre(0, 1, 2));
  EXPECT_THAT(masks[1].counts, ElementsAre(1, 2));
  EXPECT_THAT(masks[2].counts, ElementsAre(0, 3));
  EXPECT_THAT(masks[3].counts, ElementsAre(3));
}

/// The rule, pixel by pixel.
std::vector<std::vector<uint8_t>> parted(const std::vector<std::vector<uint8_t>>& masks,
                                         const std::vector<size_t>& concepts,
                                         const std::vector<float>& scores) {
  std::vector<std::vector<uint8_t>> result(masks.size(), std::vector<uint8_t>(masks[0].size()));
  for (size_t pixel = 0; pixel < masks[0].size(); ++pixel) {
    for (size_t i = 0; i < masks.size(); ++i) {
      bool keeps = masks[i][pixel] != 0 && scores[i] > 0.0F;
      for (size_t j = 0; j < masks.size(); ++j) {
        const bool first = scores[j] > scores[i] || (scores[j] == scores[i] && j < i);
        if (first && concepts[j] == concepts[i] && masks[j][pixel] != 0) keeps = false;
      }
      result[i][pixel] = keeps ? 1 : 0;
    }
  }
  return result;
}

TEST(Overlaps, RunsArePartedAsPixelsAre) {
  std::mt19937 random(8);
  constexpr int64_t kHeight = 7;
  constexpr int64_t kWidth = 9;
  for (int repeat = 0; repeat < 100; ++repeat) {
    const size_t count = 2 + random() % 6;
    std::vector<std::vector<uint8_t>> pixels;
    std::vector<size_t> concepts;
    std::vector<float> scores;
    std::vector<ShownMask> masks;
    for (size_t i = 0; i < count; ++i) {
      auto& mask = pixels.emplace_back(kHeight * kWidth);
      for (uint8_t& pixel : mask) pixel = random() % 2;
      concepts.push_back(random() % 2);
      scores.push_back(static_cast<float>(random() % 4) / 4.0F);
      masks.push_back({concepts[i], scores[i], rle_counts(mask, kHeight, kWidth)});
    }
    part_pixels(masks, kHeight, kWidth);
    const auto expected = parted(pixels, concepts, scores);
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(masks[i].counts, rle_counts(expected[i], kHeight, kWidth)) << i;
    }
  }
}

TEST(Overlaps, RunsThatDoNotFillTheFrameAreRefused) {
  std::vector<ShownMask> masks = {{0, 0.5F, {0, 2, 1}}, {0, 0.9F, {1, 3}}};
  EXPECT_THROW(part_pixels(masks, 1, 3), Error);
}

}  // namespace
}  // namespace sam3trt
