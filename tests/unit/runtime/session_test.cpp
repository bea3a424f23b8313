#include "runtime/cpu_session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "fake_model.hpp"
#include "image/rle.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;

constexpr float kCertain = FakeModel::kCertain;

/// 16 x 8 pixels: twice the width of the masks, so that a column of mask is two of the picture.
Image picture() { return {16, 8, std::vector<uint8_t>(16 * 8 * 3, 100)}; }

std::vector<Prompt> texts(const std::vector<std::string>& values) {
  std::vector<Prompt> prompts;
  for (const std::string& value : values) prompts.push_back({value, {}});
  return prompts;
}

std::vector<float> values_of(const Tensor& tensor) {
  return {tensor.f32().begin(), tensor.f32().end()};
}

std::vector<int64_t> integers_of(const Tensor& tensor) {
  return {tensor.i64().begin(), tensor.i64().end()};
}

std::vector<int64_t> queries_of(const PromptResult& result) {
  std::vector<int64_t> queries;
  for (const Instance& instance : result.instances) queries.push_back(instance.query);
  return queries;
}

template <typename Action>
Error error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error was thrown";
  return {ErrorCode::kInternal, ""};
}

TEST(Session, ComputesImageFeaturesOnceAndPromptsInBatches) {
  FakeModel model;
  CpuSession session = model.make_session(Semantics::kHf, {.prompts = 4});
  const auto prompts = texts({"a", "b", "c", "d", "e", "f", "g", "h", "i"});
  const ImageResult result = session.run(picture(), prompts, {});
  EXPECT_EQ(model.calls("vision_encoder").size(), 1U);
  std::vector<int64_t> rows;
  for (const Call& call : model.calls("detector")) {
    rows.push_back(call.at("text_features").dim(0));
    EXPECT_THAT(integers_of(call.at("image_index")), testing::Each(0));
  }
  EXPECT_THAT(rows, ElementsAre(4, 4, 1));
  ASSERT_EQ(result.prompts.size(), prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(result.prompts[i].prompt.text, prompts[i].text);
  }
}

TEST(Session, GivesEveryPromptItsOwnAnswer) {
  FakeModel model;
  model.set_answer("b", {{-kCertain, 0.5F, 2.0F, -kCertain, 1.0F}, kCertain});
  model.set_answer("c", {{kCertain, -kCertain, -kCertain, -kCertain, -kCertain}, 1.0F});
  CpuSession session = model.make_session(Semantics::kHf);
  const ImageResult result = session.run(picture(), texts({"a", "b", "c"}), {});
  EXPECT_EQ(result.width, 16);
  EXPECT_EQ(result.height, 8);
  EXPECT_THAT(queries_of(result.prompts[0]), ElementsAre());
  EXPECT_THAT(queries_of(result.prompts[1]), ElementsAre(2, 4, 1));
  EXPECT_THAT(queries_of(result.prompts[2]), ElementsAre(0));
  EXPECT_NEAR(result.prompts[2].presence, 0.731059, 1e-6);
  EXPECT_NEAR(result.prompts[2].instances[0].score, 0.731059, 1e-6);
  EXPECT_NEAR(result.prompts[1].instances[0].score, 0.880797, 1e-6);
  EXPECT_EQ(result.prompts[1].instances[0].box, (std::array<float, 4>{8, 4, 8, 4}));
}

TEST(Session, AsksTheMaskHeadForKeptQueriesOnly) {
  FakeModel model;
  model.set_answer("b", {{-kCertain, 0.5F, 2.0F, -kCertain, 1.0F}, kCertain});
  CpuSession session = model.make_session(Semantics::kHf, {.masks = 2});
  const ImageResult result = session.run(picture(), texts({"a", "b"}), {});
  const auto& calls = model.calls("mask_head");
  ASSERT_EQ(calls.size(), 2U);  // three masks of the second prompt, two at a time
  EXPECT_THAT(integers_of(calls[0].at("query_index")), ElementsAre(2, 4));
  EXPECT_THAT(integers_of(calls[1].at("query_index")), ElementsAre(1));
  for (const Call& call : calls) {
    EXPECT_THAT(integers_of(call.at("prompt_index")), ElementsAre(1));
    EXPECT_THAT(integers_of(call.at("image_index")), ElementsAre(0));
    EXPECT_EQ(values_of(call.at("prompt_mask")),
              values_of(model.calls("detector")[0].at("prompt_mask")));
  }
  // The fake mask of query q covers q + 1 of eight columns.
  for (const Instance& instance : result.prompts[1].instances) {
    EXPECT_EQ(instance.area, (instance.query + 1) * 2 * 8);
    const auto mask = rle_decode(instance.counts, 8, 16);
    EXPECT_EQ(mask[static_cast<size_t>(instance.query * 2 + 1)], 1);
    EXPECT_EQ(mask[static_cast<size_t>(instance.query * 2 + 2)], 0);
  }
}

TEST(Session, NeedsNoMasksWhenNothingIsFound) {
  FakeModel model;
  model.set_answer("a", {std::vector<float>(FakeModel::kQueries, kCertain), 0.0F});
  CpuSession session = model.make_session(Semantics::kHf);
  EXPECT_TRUE(session.run(picture(), texts({"a"}), {}).prompts[0].instances.empty());
  EXPECT_TRUE(model.calls("mask_head").empty());
  EXPECT_EQ(session.run(picture(), texts({"a"}), {.score = 0.4}).prompts[0].instances.size(), 5U);
}

TEST(Session, EncodesEveryTextOnce) {
  FakeModel model;
  CpuSession session = model.make_session(Semantics::kHf);
  (void)session.run(picture(), texts({"a", "b", "a"}), {});
  (void)session.run(picture(), texts({"b", "c"}), {});
  const auto& calls = model.calls("text_encoder");
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].at("input_ids").shape(), (Shape{2, FakeModel::kContext}));
  EXPECT_EQ(calls[1].at("input_ids").shape(), (Shape{1, FakeModel::kContext}));
  EXPECT_EQ(calls[1].at("input_ids").i64()[1], model.first_token("c"));
  const auto features = values_of(model.calls("detector")[0].at("text_features"));
  const size_t row = FakeModel::kContext * FakeModel::kWidth;
  EXPECT_EQ(features[0], static_cast<float>(model.first_token("a")));
  EXPECT_EQ(features[row], static_cast<float>(model.first_token("b")));
  EXPECT_EQ(features[2 * row], static_cast<float>(model.first_token("a")));
}

TEST(Session, ForgetsTextsWhenThereAreTooMany) {
  FakeModel model;
  CpuSession session = model.make_session(Semantics::kHf, {.texts = 2});
  for (const char* text : {"a", "b", "c", "c", "a"}) {
    (void)session.run(picture(), texts({text}), {});
  }
  EXPECT_EQ(model.calls("text_encoder").size(), 4U);
}

TEST(Session, TextAloneUsesNoGeometryForHuggingFace) {
  FakeModel model;
  CpuSession session = model.make_session(Semantics::kHf);
  (void)session.run(picture(), texts({"a"}), {});
  EXPECT_TRUE(model.calls("geometry_encoder").empty());
  const Call& call = model.calls("detector").at(0);
  // Start, one token, end, three of padding; one empty slot and the CLS token masked.
  EXPECT_THAT(values_of(call.at("prompt_mask")), ElementsAre(1, 1, 1, 0, 0, 0, 0, 0));
  EXPECT_THAT(values_of(call.at("geometry_features")), ElementsAre(0, 0, 0, 0));
}

TEST(Session, TextAloneKeepsTheClsTokenForMeta) {
  FakeModel model;
  CpuSession session = model.make_session(Semantics::kMeta);
  (void)session.run(picture(), texts({"a"}), {});
  ASSERT_EQ(model.calls("geometry_encoder").size(), 1U);
  const Call& geometry = model.calls("geometry_encoder")[0];
  EXPECT_EQ(geometry.at("boxes").shape(), (Shape{1, 1, 4}));
  EXPECT_THAT(values_of(geometry.at("box_mask")), ElementsAre(0));
  EXPECT_THAT(values_of(geometry.at("pool_x")), testing::Each(0.0F));
  const Call& call = model.calls("detector").at(0);
  EXPECT_THAT(values_of(call.at("prompt_mask")), ElementsAre(1, 1, 1, 0, 0, 0, 0, 1));
  EXPECT_THAT(values_of(call.at("geometry_features")), testing::Each(0.5F));
}

TEST(Session, TokensThatEqualThePaddingAreMaskedForMetaOnly) {
  // The byte-pair symbol of "!" inside a word is number 0, which is Meta's padding.
  for (const Semantics semantics : {Semantics::kHf, Semantics::kMeta}) {
    FakeModel model;
    CpuSession session = model.make_session(semantics);
    (void)session.run(picture(), texts({"!?"}), {});
    ASSERT_EQ(model.calls("text_encoder").at(0).at("input_ids").i64()[1], 0);
    const float expected = semantics == Semantics::kHf ? 1.0F : 0.0F;
    EXPECT_EQ(model.calls("detector").at(0).at("prompt_mask").f32()[1], expected);
  }
}

TEST(Session, MixesPromptsWithAndWithoutBoxes) {
  const PromptBox wanted{{4, 2, 12, 6}, true};
  const PromptBox unwanted{{0, 0, 8, 8}, false};
  FakeModel model;
  CpuSession session = model.make_session(Semantics::kHf);
  const std::vector<Prompt> prompts = {
      {"a", {}}, {"b", {wanted, unwanted}}, {std::nullopt, {wanted}}};
  const ImageResult result = session.run(picture(), prompts, {});
  EXPECT_FALSE(result.prompts[2].prompt.text.has_value());
  const Call& geometry = model.calls("geometry_encoder").at(0);
  EXPECT_EQ(geometry.at("pool_y").shape(), (Shape{3, 2, 3, FakeModel::kGrid}));
  EXPECT_THAT(values_of(geometry.at("box_mask")), ElementsAre(0, 0, 1, 1, 1, 0));
  EXPECT_THAT(integers_of(geometry.at("box_labels")), ElementsAre(0, 0, 1, 0, 1, 0));
  EXPECT_THAT(values_of(geometry.at("boxes")),
              ElementsAreArray({0.0F, 0.0F, 0.0F, 0.0F, 0.0F,  0.0F, 0.0F, 0.0F,  //
                                0.5F, 0.5F, 0.5F, 0.5F, 0.25F, 0.5F, 0.5F, 1.0F,  //
                                0.5F, 0.5F, 0.5F, 0.5F, 0.0F,  0.0F, 0.0F, 0.0F}));
  std::vector<float> expected = {1, 1, 1, 0, 0, 0, 0, 0, 0,  //
                                 1, 1, 1, 0, 0, 0, 1, 1, 1};
  const auto visual =
      session.tokenizer().encode("visual", FakeModel::kContext, FakeModel::kPad, Semantics::kHf);
  expected.insert(expected.end(), visual.mask.begin(), visual.mask.end());
  expected.insert(expected.end(), {1, 0, 1});
  EXPECT_EQ(values_of(model.calls("detector").at(0).at("prompt_mask")), expected);
  const Tensor& ids = model.calls("text_encoder").at(0).at("input_ids");
  EXPECT_EQ(ids.i64()[2 * FakeModel::kContext + 1], model.first_token("visual"));
}

TEST(Session, SendsBoxesPerImageSize) {
  FakeModel model;
  CpuSession session = model.make_session(Semantics::kHf);
  const std::vector<Prompt> prompts = {{std::nullopt, {{{0, 0, 8, 8}, true}}}};
  (void)session.run(picture(), prompts, {});
  (void)session.run({32, 32, std::vector<uint8_t>(32 * 32 * 3)}, prompts, {});
  EXPECT_THAT(values_of(model.calls("geometry_encoder").at(0).at("boxes")),
              ElementsAre(0.25F, 0.5F, 0.5F, 1.0F));
  EXPECT_THAT(values_of(model.calls("geometry_encoder").at(1).at("boxes")),
              ElementsAre(0.125F, 0.125F, 0.25F, 0.25F));
}

TEST(Session, PreparesPixelsAsTheGraphSays) {
  FakeModel model;
  CpuSession session = model.make_session(Semantics::kHf);
  (void)session.run(picture(), texts({"a"}), {});
  const Tensor& pixels = model.calls("vision_encoder").at(0).at("pixel_values");
  EXPECT_EQ(pixels.shape(), (Shape{1, 3, 4, 4}));
  for (const float value : pixels.f32()) EXPECT_NEAR(value, 100.0 / 255 * 2 - 1, 1e-6);
}

TEST(Session, RefusesBadPromptsBeforeRunningAnything) {
  FakeModel model;
  CpuSession session = model.make_session(Semantics::kHf);
  const std::vector<std::vector<Prompt>> bad = {
      {{"a", {}}, {"", {}}}, {{std::nullopt, {}}}, {{"a", {{{20, 0, 30, 5}, true}}}}};
  for (const auto& prompts : bad) {
    const Error error = error_of([&] { (void)session.run(picture(), prompts, {}); });
    EXPECT_EQ(error.code(), ErrorCode::kBadInput) << error.what();
  }
  EXPECT_TRUE(model.calls("vision_encoder").empty());
}

TEST(Session, NonFiniteNumbersAreAnErrorOfTheImageThatNamesTheStage) {
  const std::vector<std::pair<std::string, std::string>> outputs = {
      {"vision_encoder", "fpn_feat_0"},      {"vision_encoder", "fpn_feat_2"},
      {"text_encoder", "text_features"},     {"geometry_encoder", "geometry_features"},
      {"detector", "pred_logits"},           {"detector", "pred_boxes"},
      {"detector", "presence_logits"},       {"detector", "query_features"},
      {"detector", "encoder_hidden_states"}, {"mask_head", "pred_masks"}};
  for (const auto& [graph, output] : outputs) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      FakeModel model;
      model.set_answer("a", {std::vector<float>(FakeModel::kQueries, kCertain), kCertain});
      model.set_damage(graph, [&](Call& call) { call.at(output).f32().back() = bad; });
      CpuSession session = model.make_session(Semantics::kMeta);
      const ImageResult result = session.run(picture(), texts({"a"}), {});
      EXPECT_TRUE(result.prompts.empty());
      EXPECT_EQ(result.error_code, ErrorCode::kInternal);
      EXPECT_THAT(result.error.value_or(""),
                  testing::AllOf(HasSubstr("the " + graph + " gave 1 non-finite numbers"),
                                 HasSubstr(output)));
    }
  }
}

TEST(Session, KeepsTheResultsOfOtherImagesWhenOneHasNonFiniteNumbers) {
  FakeModel model;
  model.set_answer("a", {std::vector<float>(FakeModel::kQueries, kCertain), kCertain});
  int calls = 0;
  model.set_damage("detector", [&](Call& call) {
    if (++calls == 2) call.at("pred_logits").f32()[0] = std::numeric_limits<float>::quiet_NaN();
  });
  CpuSession session = model.make_session(Semantics::kHf);
  const Image image = picture();
  const auto prompts = texts({"a"});
  const std::vector<ImageRequest> requests(3, {view_of(image), prompts});
  const auto results = session.run(requests, {});
  ASSERT_EQ(results.size(), 3U);
  EXPECT_EQ(results[0].prompts.at(0).instances.size(), 5U);
  EXPECT_THAT(results[1].error.value_or(""), HasSubstr("non-finite"));
  EXPECT_FALSE(results[2].error);
  EXPECT_EQ(results[2].prompts.at(0).instances.size(), 5U);
}

TEST(Session, RefusesImagesThatAreNotWhatTheySayBeforeRunningAnything) {
  FakeModel model;
  CpuSession session = model.make_session(Semantics::kHf);
  const Image good = picture();
  const Image empty{0, 0, {}};
  const Image shorter{16, 8, std::vector<uint8_t>(16 * 8 * 3 - 1)};
  const Image huge{int64_t{1} << 40, int64_t{1} << 40, std::vector<uint8_t>(3)};
  const auto prompts = texts({"a"});
  for (const ImageView& image : {ImageView{}, view_of(empty), view_of(shorter), view_of(huge)}) {
    const std::vector<ImageRequest> requests = {{view_of(good), prompts}, {image, prompts}};
    const Error error = error_of([&] { (void)session.run(requests, {}); });
    EXPECT_EQ(error.code(), ErrorCode::kBadInput) << error.what();
  }
  EXPECT_TRUE(model.calls("vision_encoder").empty());
}

TEST(Session, OutputsOfAnotherModelAreAnError) {
  const auto message = [](const std::function<void(Call&)>& damage) {
    FakeModel model;
    model.set_damage("detector", damage);
    CpuSession session = model.make_session(Semantics::kHf);
    const Error error = error_of([&] { (void)session.run(picture(), texts({"a"}), {}); });
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return std::string(error.what());
  };
  EXPECT_THAT(message([](Call& call) { call.erase("pred_logits"); }),
              HasSubstr("expected the output pred_logits f32 [1, 5], found none"));
  EXPECT_THAT(message([](Call& call) {
                call["pred_logits"] = Tensor(DType::kF32, {1, 6});
              }),
              HasSubstr("found f32 [1, 6]"));
  EXPECT_THAT(message([](Call& call) {
                call["pred_logits"] = Tensor(DType::kI64, {1, 5});
              }),
              HasSubstr("found i64 [1, 5]"));
}

}  // namespace
}  // namespace sam3trt
