#include "verify/published.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "verify/builtin_published.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Json = nlohmann::ordered_json;

Json builtin() { return Json::parse(builtin_published()); }

std::string problem_of(const Json& json) {
  try {
    (void)PublishedTable::parse(json.dump(), "table.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr("table.json"));
    return error.what();
  }
  return "no error";
}

TEST(PublishedTable, TheOneInsideTheProgramStatesWhereItsNumbersComeFrom) {
  const PublishedTable table = PublishedTable::builtin();
  EXPECT_EQ(table.checkpoint, "facebook/sam3");
  EXPECT_EQ(table.semantics, "hf");
  EXPECT_THAT(table.source, HasSubstr("tests/models/sam3/test_modeling_sam3.py"));
  EXPECT_EQ(table.images_url, "http://images.cocodataset.org/val2017");
  ASSERT_EQ(table.cases.size(), 5U);
  EXPECT_EQ(table.cases[0].prompt.text, "ear");
  EXPECT_THAT(table.cases[0].expected.at("scores"), ElementsAre(0.9381, 0.9214, 0.0910));
  EXPECT_EQ(table.cases[2].prompt.text, std::nullopt);
  ASSERT_EQ(table.cases[2].prompt.boxes.size(), 2U);
  EXPECT_EQ(table.cases[2].prompt.boxes[1].box, (PixelBox{87, 148, 104, 159}));
  EXPECT_TRUE(table.cases[2].prompt.boxes[1].positive);
  EXPECT_EQ(table.cases[3].threshold, 0.3);
  // The published scores are the sigmoids of the published logits: no number was mistyped.
  for (const PublishedCase& published : table.cases) {
    const auto& logits = published.expected.at("logits");
    for (size_t i = 0; i < logits.size(); ++i) {
      EXPECT_NEAR(published.expected.at("scores")[i], 1 / (1 + std::exp(-logits[i])), 1e-4)
          << published.name;
    }
  }
}

TEST(PublishedTable, EverythingWrongIsListed) {
  Json json = builtin();
  json["cases"][0]["kind"] = "clicks";
  json["cases"][1]["expected"]["speed"] = {1};
  json["cases"][2]["box_labels"] = {1};
  json["cases"][3]["image"] = "other.jpg";
  json["cases"][4]["expected"]["best_box"] = {1, 2, 3};
  json["tolerances"]["fp8"].erase("scores");
  json["images"]["files"]["../up.jpg"] = Json::object();
  json["more"] = 1;
  const std::string problem = problem_of(json);
  for (const char* part :
       {"/cases/0/kind: 'clicks'", "/cases/1/expected/speed: unknown name", "/cases/2/boxes",
        "'other.jpg' is not among", "/cases/4/expected/best_box: expected 4 numbers",
        "/tolerances/fp8/scores: is missing", "../up.jpg: expected a plain file name",
        "/more: unknown key"}) {
    EXPECT_THAT(problem, HasSubstr(part));
  }
}

TEST(PublishedTable, OtherJsonIsRefused) {
  for (const char* text : {"", "[]", "{}", "{\"format\": 2}", "{\"format\": 1}", "\xff"}) {
    EXPECT_THROW((void)PublishedTable::parse(text, "t"), Error) << text;
  }
  for (const char* key : {"source", "checkpoint", "semantics", "images", "tolerances", "cases"}) {
    for (const Json& wrong : {Json(1), Json("x"), Json::array(), Json()}) {
      if (key == std::string("semantics") && wrong.is_string()) continue;
      Json json = builtin();
      json[key] = wrong;
      EXPECT_THAT(problem_of(json), HasSubstr(key));
    }
  }
  for (const Json& wrong : {Json("0.9"), Json::array(), Json(), Json::array({"a"})}) {
    Json json = builtin();
    json["cases"][0]["expected"]["scores"] = wrong;
    EXPECT_THAT(problem_of(json), HasSubstr("/cases/0/expected/scores"));
  }
}

TEST(PublishedTable, TwoCasesOfOneNameAreRefused) {
  Json json = builtin();
  json["cases"][1]["name"] = "ear";
  EXPECT_THAT(problem_of(json), HasSubstr("a name given before"));
}

TEST(ComparePublished, EveryNumberIsHeldAgainstItsTolerance) {
  PublishedCase published;
  published.name = "ear";
  published.expected = {{"instance_score", {0.5}}, {"scores", {0.9, 0.8, 0.7}}};
  const auto values =
      compare_published(published, {{"instance_score", {0.52}}, {"scores", {0.9005, 0.79}}},
                        {{"scores", 0.001}, {"instance_score", 0.02}});
  ASSERT_EQ(values.size(), 4U);
  EXPECT_EQ(values[0].which, "ear: instance_score");
  EXPECT_NEAR(values[0].difference(), 0.02, 1e-12);
  EXPECT_EQ(values[1].which, "ear: scores 1");
  EXPECT_TRUE(values[1].ok());
  EXPECT_FALSE(values[2].ok());
  EXPECT_TRUE(std::isnan(values[3].found));  // nothing was found there
  EXPECT_FALSE(values[3].ok());
  const std::string table = to_table(values);
  EXPECT_THAT(table, HasSubstr("nothing"));
  EXPECT_THAT(table, HasSubstr("OFF"));
  const auto json = nlohmann::json::parse(to_json(values));
  EXPECT_EQ(json[2]["ok"], false);
  EXPECT_TRUE(json[3]["found"].is_null());
  EXPECT_TRUE(json[3]["difference"].is_null());
}

TEST(ComparePublished, WhatIsNotANumberIsOff) {
  PublishedCase published;
  published.expected = {{"scores", {0.9}}};
  const auto values = compare_published(published, {{"scores", {std::nan("")}}}, {{"scores", 10}});
  EXPECT_FALSE(values.at(0).ok());
}

}  // namespace
}  // namespace sam3trt
