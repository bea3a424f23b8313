#include "precision/recipe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/error.hpp"
#include "precision/builtin_recipes.hpp"

namespace sam3trt {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json builtin() { return json::parse(builtin_recipes()); }

std::string message_of(const json& book) {
  try {
    (void)RecipeBook::parse(book.dump(), "book.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "no error";
}

std::vector<std::string> names_of(const std::vector<Recipe>& recipes) {
  std::vector<std::string> names;
  for (const Recipe& recipe : recipes) names.push_back(recipe.name);
  return names;
}

TEST(MatchesPath, OneStarStaysWithinOnePart) {
  EXPECT_TRUE(matches_path("/vision/blocks.*/attn/softmax", "/vision/blocks.31/attn/softmax"));
  EXPECT_FALSE(matches_path("/vision/*/softmax", "/vision/blocks.31/attn/softmax"));
  EXPECT_TRUE(matches_path("/a/*", "/a/"));
  EXPECT_FALSE(matches_path("/a/*", "/a/b/c"));
}

TEST(MatchesPath, TwoStarsCrossParts) {
  EXPECT_TRUE(matches_path("/vision/**", "/vision/blocks.31/attn/softmax"));
  EXPECT_TRUE(matches_path("/**/softmax", "/vision/blocks.31/attn/softmax"));
  EXPECT_FALSE(matches_path("/**/softmax", "/vision/blocks.31/attn/softmax/x"));
  EXPECT_TRUE(matches_path("/x/layer**", "/x/layer0/matmul"));
}

TEST(MatchesPath, EverythingElseIsLiteral) {
  EXPECT_TRUE(matches_path("/a.b", "/a.b"));
  EXPECT_FALSE(matches_path("/a.b", "/aXb"));
  EXPECT_FALSE(matches_path("/a", "/ab"));
  EXPECT_FALSE(matches_path("/ab", "/a"));
  EXPECT_TRUE(matches_path("", ""));
  EXPECT_FALSE(matches_path("", "/a"));
}

TEST(RecipeBook, BuiltinGoesFromTheFastestToTheSafest) {
  const RecipeBook book = RecipeBook::builtin();
  EXPECT_THAT(names_of(book.variants(Precision::kFp32)), testing::ElementsAre("fp32"));
  EXPECT_THAT(
      names_of(book.variants(Precision::kFp16)),
      testing::ElementsAre("fp16_products", "fp16_products_erf", "fp16", "fp16_tf32_decoder",
                           "fp16_fp32_decoder", "fp16_trt_attention", "fp16_fp32_residual",
                           "fp16_fp32_softmax", "fp16_fp32_attention", "fp16_fp32_blocks"));
  EXPECT_THAT(names_of(book.variants(Precision::kBf16)),
              testing::ElementsAre("bf16", "bf16_fp32_decoder", "bf16_trt_attention",
                                   "bf16_fp32_softmax", "bf16_fp32_blocks"));
  EXPECT_THAT(names_of(book.variants(Precision::kFp8)),
              testing::ElementsAre("fp8_products", "fp8_products_fp16_early_qkv", "fp8",
                                   "fp8_fp16_early_qkv", "fp8_fp16_qkv", "fp8_mlp", "fp8_fc1"));
}

TEST(RecipeBook, FindsARecipeByNameAndListsTheKnownOnes) {
  const RecipeBook book = RecipeBook::builtin();
  EXPECT_EQ(book.find("fp8_fc1").precision, Precision::kFp8);
  try {
    (void)book.find("fp15");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("'fp15'"));
    EXPECT_THAT(error.what(), HasSubstr("fp16_fp32_softmax"));
  }
}

TEST(RecipeBook, TypesNamedInAVariantReplaceThoseOfTheBook) {
  const RecipeBook book = RecipeBook::builtin();
  const auto softmax = [&](const char* name) {
    for (const TypeRule& rule : book.find(name).rules.at("vision_encoder")) {
      if (rule.nodes == "/vision/blocks.*/attn/softmax") return *rule.type;
    }
    return DType::kBool;
  };
  EXPECT_EQ(softmax("fp16"), DType::kF16);
  EXPECT_EQ(softmax("bf16"), DType::kBF16);
  EXPECT_EQ(softmax("fp8"), DType::kF16);
  EXPECT_EQ(softmax("fp16_fp32_softmax"), DType::kF32);
}

TEST(RecipeBook, RulesOfAVariantComeFirst) {
  const Recipe recipe = RecipeBook::builtin().find("fp16_fp32_blocks");
  const TypeRule& rule = recipe.rules.at("vision_encoder").front();
  EXPECT_EQ(rule.nodes, "/vision/blocks.**");
  EXPECT_EQ(rule.type, DType::kF32);
}

TEST(RecipeBook, Fp32KeepsInputsAndOutputs) {
  EXPECT_TRUE(RecipeBook::builtin().find("fp32").io.empty());
  EXPECT_EQ(RecipeBook::builtin().find("bf16").io.at("fpn_feat_2"), DType::kBF16);
}

TEST(RecipeBook, ReportsEverythingThatIsWrongAtOnce) {
  json book = builtin();
  book["extra"] = 1;
  book["rules"]["vision_encoder"][0]["type"] = "f17";
  book["rules"]["camera"] = json::array({json::object({{"nodes", "/x"}, {"type", "f32"}})});
  book["rules"]["detector"][0] = {{"type", "f32"}};
  book["precisions"]["fp16"]["variants"][0]["types"]["sofmax"] = "f32";
  book["precisions"].erase("bf16");
  const std::string message = message_of(book);
  EXPECT_THAT(message, HasSubstr("book.json: wrong precision recipes"));
  EXPECT_THAT(message, HasSubstr("/extra: unknown key"));
  EXPECT_THAT(message, HasSubstr("/rules/vision_encoder/0/type: unknown type 'f17'"));
  EXPECT_THAT(message, HasSubstr("/rules/camera: unknown component"));
  EXPECT_THAT(message, HasSubstr("/rules/detector/0: expected an object with \"type\""));
  EXPECT_THAT(message, HasSubstr("'sofmax' is not under /types"));
  EXPECT_THAT(message, HasSubstr("/precisions/bf16: missing"));
}

TEST(RecipeBook, AddsVariantsBeforeThoseOfTheBuiltInBook) {
  const json variant = {{"name", "fast"}, {"products", {{"vision_encoder", {"/vision/*"}}}}};
  const json book = {
      {"format", 1}, {"extends", "built-in"}, {"variants", {{"fp16", json::array({variant})}}}};
  const RecipeBook read = RecipeBook::parse(book.dump(), "book.json");
  std::vector<std::string> expected = names_of(RecipeBook::builtin().variants(Precision::kFp16));
  expected.insert(expected.begin(), "fast");
  EXPECT_EQ(names_of(read.variants(Precision::kFp16)), expected);
  EXPECT_EQ(names_of(read.variants(Precision::kFp8)),
            names_of(RecipeBook::builtin().variants(Precision::kFp8)));
  const Recipe& fast = read.find("fast");
  EXPECT_EQ(fast.products.at("vision_encoder"), std::vector<std::string>{"/vision/*"});
  EXPECT_TRUE(fast.with_standard_operators().products.empty());
  EXPECT_NE(fast.sha256(), fast.with_standard_operators().sha256());
}

TEST(RecipeBook, KnowsGpusOnWhichProductsAreFaster) {
  const RecipeBook builtin = RecipeBook::builtin();
  EXPECT_THAT(builtin.variants(Precision::kFp16).front().faster_on, testing::ElementsAre("9.0"));
  json book = {{"format", 1}, {"extends", "built-in"}};
  json variant = {{"name", "fast"}, {"faster_on", {"8.9", "12.0"}}};
  book["variants"]["fp16"] = json::array({variant});
  const RecipeBook read = RecipeBook::parse(book.dump(), "book.json");
  Recipe fast = read.find("fast");
  EXPECT_THAT(fast.faster_on, testing::ElementsAre("12.0", "8.9"));
  const std::string hash = fast.sha256();
  fast.faster_on.clear();
  EXPECT_EQ(fast.sha256(), hash);
  for (const char* wrong : {"9", ".0", "9.", "9.10", "sm_90", ""}) {
    book["variants"]["fp16"][0]["faster_on"] = {wrong};
    EXPECT_THAT(message_of(book), HasSubstr("/fast/faster_on: expected compute capabilities"));
  }
}

TEST(RecipeBook, RefusesWrongExtensions) {
  const auto changed = [](const char* pointer, const json& value) {
    json book = {{"format", 1},
                 {"extends", "built-in"},
                 {"variants", {{"fp16", json::array({{{"name", "fast"}}})}}}};
    book[json::json_pointer(pointer)] = value;
    return message_of(book);
  };
  EXPECT_THAT(changed("/format", 2), HasSubstr("/format: expected 1"));
  EXPECT_THAT(changed("/extends", "other"), HasSubstr("/extends: expected \"built-in\""));
  EXPECT_THAT(changed("/extends", 1), HasSubstr("/extends: expected"));
  EXPECT_THAT(changed("/rules", json::object()), HasSubstr("/rules: unknown key"));
  EXPECT_THAT(changed("/variants", 7), HasSubstr("/variants: expected an object"));
  EXPECT_THAT(changed("/variants/fp16", 7), HasSubstr("/variants/fp16: expected a list"));
  EXPECT_THAT(changed("/variants/fp4", json::array()), HasSubstr("/variants/fp4: expected"));
  EXPECT_THAT(changed("/variants/fp16/0", 7), HasSubstr("expected objects"));
  EXPECT_THAT(changed("/variants/fp16/0/name", "fp16"), HasSubstr("used twice"));
  EXPECT_THAT(changed("/variants/fp16/0/products", json{{"camera", json::array()}}),
              HasSubstr("unknown component"));
}

TEST(RecipeBook, RefusesWrongForms) {
  const auto changed = [](const char* pointer, const json& value) {
    json book = builtin();
    book[json::json_pointer(pointer)] = value;
    return message_of(book);
  };
  EXPECT_THAT(changed("/format", 2), HasSubstr("/format: expected 1"));
  EXPECT_THAT(changed("/types/norm", 3), HasSubstr("/types/norm: expected a text"));
  EXPECT_THAT(changed("/precisions/fp16/variants", json::array()), HasSubstr("at least one"));
  EXPECT_THAT(changed("/precisions/fp16/variants/1", 7), HasSubstr("expected objects"));
  EXPECT_THAT(changed("/precisions/fp16/variants/1/name", "fp16"), HasSubstr("used twice"));
  EXPECT_THAT(changed("/precisions/fp16", json::array({1})), HasSubstr("expected an object"));
  EXPECT_THAT(changed("/precisions/fp16/low", "f8"), HasSubstr("unknown type 'f8'"));
  EXPECT_THAT(changed("/precisions/fp8/variants/0/fp8", json::object()), HasSubstr("needed by"));
  EXPECT_THAT(
      changed("/precisions/fp16/variants/0/fp8", json::object({{"detector", json::array({"/x"})}})),
      HasSubstr("only by them"));
  EXPECT_THAT(changed("/rules/detector/0/nodes", "*********"), HasSubstr("a pattern of more"));
  EXPECT_THAT(changed("/precisions/fp16/variants/0/tf32", true),
              HasSubstr("tf32: expected a list"));
  EXPECT_THAT(changed("/precisions/fp16/variants/0/tf32", json::array({"camera"})),
              HasSubstr("tf32/camera: unknown component"));
  EXPECT_THAT(changed("/precisions/fp16/variants/0/tf32", json::array({1})),
              HasSubstr("tf32: expected a text"));
  EXPECT_THAT(message_of(json::array()), HasSubstr("not a JSON object"));
  EXPECT_THROW((void)RecipeBook::parse("{", "x"), Error);
}

TEST(Recipe, HashTellsRecipesApart) {
  const RecipeBook book = RecipeBook::builtin();
  EXPECT_EQ(book.find("fp16").sha256(), RecipeBook::builtin().find("fp16").sha256());
  EXPECT_NE(book.find("fp16").sha256(), book.find("fp16_fp32_residual").sha256());
  Recipe renamed = book.find("fp16");
  renamed.io.erase("fpn_feat_0");
  EXPECT_NE(renamed.sha256(), book.find("fp16").sha256());
  Recipe tf32 = book.find("fp16");
  tf32.tf32 = {"detector"};
  EXPECT_NE(tf32.sha256(), book.find("fp16").sha256());
  EXPECT_NE(book.find("fp16").with_standard_operators().sha256(), book.find("fp16").sha256());
}

TEST(Recipe, NamedNodesCanBeKeptWide) {
  const Recipe recipe = RecipeBook::builtin().find("fp16").with_f32_nodes({"/vision/blocks.3/**"});
  const TypeRule& rule = recipe.rules.at("vision_encoder").front();
  EXPECT_EQ(rule.nodes, "/vision/blocks.3/**");
  EXPECT_EQ(rule.type, DType::kF32);
  EXPECT_NE(recipe.sha256(), RecipeBook::builtin().find("fp16").sha256());
}

}  // namespace
}  // namespace sam3trt
