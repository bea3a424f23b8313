#include "runtime/prompt.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "runtime/model_files.hpp"
#include "runtime/prompt_batch.hpp"

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Tokenizer& tokenizer() {
  static const Tokenizer kTokenizer = Tokenizer::load(SAM3TRT_TEST_DATA "/text");
  return kTokenizer;
}

/// The context and the padding of Hugging Face's text encoder.
const ModelConfig kConfig = [] {
  ModelConfig config;
  config.context_length = 32;
  config.pad_token_id = 1;
  return config;
}();

/// The message of the kBadInput error that `action` throws.
template <typename Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

Prompt box_prompt(const PixelBox& box) { return {std::nullopt, {{box, true}}}; }

TEST(ParseBox, ReadsFourNumbers) {
  EXPECT_EQ(parse_box("1,2.5,300,4e2", "--box"), (PixelBox{1, 2.5, 300, 400}));
  EXPECT_EQ(parse_box("-5,-2,3,4", "--box"), (PixelBox{-5, -2, 3, 4}));
}

TEST(ParseBox, RefusesAnythingElseAndNamesTheOption) {
  for (const char* text : {"", "1", "1,2,3", "1,2,3,", "1,2,3,4,", "1,2,3,4,5", "1;2;3;4",
                           "1, 2, 3, 4", "1,2,3,x", ",,,", "1,2,3,4 ", "0x1,2,3,4"}) {
    const auto message = message_of([&] { (void)parse_box(text, "--negative-box"); });
    EXPECT_THAT(message, HasSubstr("--negative-box " + std::string(text) + ": expected four"));
  }
}

TEST(ParseBox, RefusesNonFiniteAndInvertedBoxes) {
  for (const char* text : {"nan,2,3,4", "1,2,inf,4", "-inf,2,3,4"}) {
    EXPECT_THAT(message_of([&] { (void)parse_box(text, "--box"); }), HasSubstr("finite"));
  }
  for (const char* text : {"3,2,1,4", "1,4,3,2", "1,2,1,4", "1,2,3,2"}) {
    EXPECT_THAT(message_of([&] { (void)parse_box(text, "--box"); }), HasSubstr("x0 < x1"));
  }
  EXPECT_THAT(message_of([&] { (void)parse_box("1,2,1e999,4", "--box"); }), HasSubstr("--box"));
}

TEST(CheckPrompt, RefusesAPromptThatAsksForNothing) {
  EXPECT_THAT(message_of([] { check_prompt({}, tokenizer(), kConfig, Semantics::kHf); }),
              HasSubstr("--text"));
  for (const char* text : {"", "   ", "\t\n"}) {
    EXPECT_THAT(message_of([&] {
                  check_prompt({text, {}}, tokenizer(), kConfig, Semantics::kHf);
                }),
                HasSubstr("is empty"));
  }
}

TEST(CheckPrompt, RefusesAnEmptyTextEvenWithABox) {
  const Prompt prompt{"", {{{1, 2, 3, 4}, true}}};
  EXPECT_THAT(message_of([&] { check_prompt(prompt, tokenizer(), kConfig, Semantics::kHf); }),
              HasSubstr("--box"));
}

TEST(CheckPrompt, AcceptsTextsAndBoxes) {
  EXPECT_NO_THROW(check_prompt({"cat", {}}, tokenizer(), kConfig, Semantics::kHf));
  EXPECT_NO_THROW(check_prompt(box_prompt({1, 2, 3, 4}), tokenizer(), kConfig, Semantics::kHf));
  EXPECT_NO_THROW(
      check_prompt({std::nullopt, {{{1, 2, 3, 4}, false}}}, tokenizer(), kConfig, Semantics::kHf));
}

TEST(CheckPrompt, RefusesBoxesThatAreNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(message_of([&] {
                check_prompt(box_prompt({1, nan, 3, 4}), tokenizer(), kConfig, Semantics::kHf);
              }),
              HasSubstr("finite"));
}

TEST(CheckBoxes, RefusesBoxesThatDoNotTouchTheImage) {
  for (const PixelBox& box : {PixelBox{100, 0, 120, 10}, PixelBox{0, 50, 10, 60},
                              PixelBox{-20, 0, 0, 10}, PixelBox{0, -20, 10, 0}}) {
    EXPECT_THAT(message_of([&] { check_boxes(box_prompt(box), 100, 50); }),
                HasSubstr("outside the image of 100x50 pixels"));
  }
}

TEST(CheckBoxes, AcceptsBoxesOverTheBorderUpToTheImagesSize) {
  EXPECT_NO_THROW(check_boxes(box_prompt({-100, -50, 200, 100}), 100, 50));
  EXPECT_NO_THROW(check_boxes(box_prompt({99, 49, 101, 51}), 100, 50));
  for (const PixelBox& box : {PixelBox{-101, 0, 10, 10}, PixelBox{0, 0, 201, 10},
                              PixelBox{0, -51, 10, 10}, PixelBox{0, 0, 10, 101}}) {
    EXPECT_THAT(message_of([&] { check_boxes(box_prompt(box), 100, 50); }),
                HasSubstr("far larger"));
  }
}

TEST(CheckBoxes, NamesABoxAsItWasGiven) {
  EXPECT_THAT(message_of([&] {
                check_boxes(box_prompt({1234567.25, 0, 1234568.5, 1}), 9, 9);
              }),
              HasSubstr("box 1234567.25,0,1234568.5,1 "));
}

TEST(EffectiveText, IsVisualForBoxesAlone) {
  EXPECT_EQ(effective_text(box_prompt({1, 2, 3, 4})), "visual");
  EXPECT_EQ(effective_text({"dog", {{{1, 2, 3, 4}, true}}}), "dog");
}

TEST(NormalisedBox, DividesByTheImagesSize) {
  EXPECT_EQ(normalised_box({20, 10, 60, 20}, 80, 40),
            (std::array<float, 4>{0.5F, 0.375F, 0.5F, 0.25F}));
}

/// The warnings that `action` logs.
template <typename Action>
std::vector<std::string> warnings_of(Action action) {
  std::vector<std::string> warnings;
  set_log_sink([&](LogLevel level, std::string_view message) {
    if (level == LogLevel::kWarning) warnings.emplace_back(message);
  });
  action();
  set_log_sink({});
  return warnings;
}

std::string long_text() {
  std::string text = "a";
  for (int i = 0; i < 29; ++i) text += " b";
  return text + " Dog on the left";
}

TEST(Prompt, RefusesTextsLongerThanTheContextUnderHuggingFacesSemantics) {
  EXPECT_THAT(message_of([] {
                check_prompt({long_text(), {}}, tokenizer(), kConfig, Semantics::kHf);
              }),
              AllOf(HasSubstr("36 tokens"), HasSubstr("takes 32"), HasSubstr("'dog on the left'")));
}

TEST(Prompt, SaysWhatIsCutOffUnderMetasSemantics) {
  EXPECT_NO_THROW(check_prompt({long_text(), {}}, tokenizer(), kConfig, Semantics::kMeta));
  const auto encoded = [](const std::string& text) {
    return encode_text(text, tokenizer(), kConfig, Semantics::kMeta);
  };
  EXPECT_EQ(encoded(long_text()).ids.size(), 32U);
  EXPECT_EQ(encoded(long_text()).ids.back(), tokenizer().eos_id());
  EXPECT_THAT(describe_cut(long_text(), encoded(long_text())),
              AllOf(HasSubstr("36 tokens"), HasSubstr("takes 32"),
                    HasSubstr("cut off: 'dog on the left'")));
  EXPECT_EQ(describe_cut("cat", encoded("cat")), "");
}

TEST(Prompt, IsEmptyWhenCleaningLeavesNothing) {
  const Prompt prompt{"\xEF\xBB\xBF\x1B[31m", {}};
  EXPECT_THAT(message_of([&] { check_prompt(prompt, tokenizer(), kConfig, Semantics::kMeta); }),
              HasSubstr("is empty"));
  EXPECT_NO_THROW(check_prompt(prompt, tokenizer(), kConfig, Semantics::kHf));
}

TEST(ParseBox, WarnsOfBoxesThatCanHardlyBeMeantInPixels) {
  const auto warnings = [](const char* box) {
    return warnings_of([&] { (void)parse_box(box, "--box"); });
  };
  for (const char* box : {"0.1,0.17,0.35,0.5", "0,0,1,1", "3,3,3.5,9"}) {
    EXPECT_THAT(warnings(box),
                ElementsAre(AllOf(HasSubstr(std::string("--box ") + box), HasSubstr("in pixels"))));
  }
  for (const char* box : {"0,0,2,2", "15,20,55,60", "-3,-3,1,1", "0.5,0.5,1.5,1.5"}) {
    EXPECT_THAT(warnings(box), IsEmpty()) << box;
  }
}

}  // namespace
}  // namespace sam3trt
