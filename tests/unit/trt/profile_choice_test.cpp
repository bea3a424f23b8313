#include "trt/profile_choice.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.hpp"

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// One prompt, and one to sixteen, of one to eight boxes each.
std::vector<Profile> one_and_several() {
  return {{{"ids", {{1, 32}, {1, 32}, {1, 32}}}, {"boxes", {{1, 1}, {1, 1}, {1, 8}}}},
          {{"ids", {{1, 32}, {16, 32}, {16, 32}}}, {"boxes", {{1, 1}, {16, 1}, {16, 8}}}}};
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return {};
}

TEST(ChooseProfile, TakesTheFirstThatHoldsAllShapes) {
  const auto profiles = one_and_several();
  EXPECT_EQ(choose_profile(profiles, {{"ids", {1, 32}}, {"boxes", {1, 8}}}), 0U);
  EXPECT_EQ(choose_profile(profiles, {{"ids", {2, 32}}, {"boxes", {2, 1}}}), 1U);
  EXPECT_EQ(choose_profile(profiles, {{"ids", {1, 32}}, {"boxes", {2, 1}}}), 1U);
  EXPECT_EQ(choose_profile(profiles, {{"ids", {16, 32}}, {"boxes", {1, 1}}}), 1U);
}

TEST(ChooseProfile, NamesTheInputThatTheWidestDoesNotHold) {
  const auto profiles = one_and_several();
  EXPECT_THAT(message_of([&] {
                (void)choose_profile(profiles, {{"ids", {2, 32}}, {"boxes", {2, 9}}});
              }),
              AllOf(HasSubstr("boxes has the shape [2, 9]"), HasSubstr("[1, 1] to [16, 8]"),
                    HasSubstr("--max-boxes")));
  EXPECT_THAT(message_of([&] {
                (void)choose_profile(profiles, {{"ids", {0, 32}}, {"boxes", {1, 1}}});
              }),
              HasSubstr("ids has the shape [0, 32]"));
  EXPECT_THAT(message_of([&] {
                (void)choose_profile(profiles, {{"ids", {1, 32, 1}}, {"boxes", {1, 1}}});
              }),
              HasSubstr("ids has the shape [1, 32, 1]"));
}

TEST(ChooseProfile, AnInputThatThePlanLacksIsAnError) {
  EXPECT_THAT(message_of([&] {
                (void)choose_profile(one_and_several(), {{"pixels", {1, 3}}});
              }),
              HasSubstr("pixels"));
  EXPECT_THAT(message_of([&] {
                (void)choose_profile({}, {{"pixels", {1, 3}}});
              }),
              HasSubstr("pixels"));
}

TEST(EnvelopeOf, TakesTheExtremesAndWhatTheLastIsTunedFor) {
  auto profiles = one_and_several();
  profiles[1]["ids"].min = {2, 32};
  const ProfileShape envelope = envelope_of(profiles, "ids");
  EXPECT_EQ(envelope.min, (Shape{1, 32}));
  EXPECT_EQ(envelope.opt, (Shape{16, 32}));
  EXPECT_EQ(envelope.max, (Shape{16, 32}));
  EXPECT_TRUE(envelope_of(profiles, "pixels").max.empty());
  EXPECT_TRUE(envelope_of({}, "ids").max.empty());
}

TEST(CheckShape, NamesTheEngine) {
  const ProfileShape profile{{1}, {1}, {4}};
  check_shape("detector", "x", {4}, profile);
  EXPECT_THAT(message_of([&] { check_shape("detector", "x", {5}, profile); }),
              HasSubstr("detector: input x has the shape [5]"));
}

}  // namespace
}  // namespace sam3trt
