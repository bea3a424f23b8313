#include "build/profile.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace sam3trt {
namespace {

GraphInfo graph_with(const std::string& dim) {
  GraphInfo graph;
  graph.metadata["sam3trt.config"] = R"({"num_queries": 36})";
  graph.inputs.push_back({"x", DType::kF32, {-1, 3}});
  graph.dim_names["x"] = {dim, ""};
  return graph;
}

ProfileShape shape_of(const std::string& dim, const EngineLimits& limits = {}) {
  return make_profile(graph_with(dim), limits).at("x");
}

TEST(MakeProfile, SymbolsTakeTheirLimits) {
  const EngineLimits limits{.images = 4, .prompts = 9, .boxes = 5, .masks = 20};
  EXPECT_EQ(shape_of("B", limits).max, (Shape{4, 3}));
  EXPECT_EQ(shape_of("P", limits).max, (Shape{9, 3}));
  EXPECT_EQ(shape_of("K", limits).max, (Shape{5, 3}));
  EXPECT_EQ(shape_of("R", limits).max, (Shape{4, 3}));
  EXPECT_EQ(shape_of("M", limits).opt, (Shape{16, 3}));
  EXPECT_EQ(shape_of("M", limits).max, (Shape{20, 3}));
  for (const char* dim : {"B", "P", "K", "R", "M"}) EXPECT_EQ(shape_of(dim).min, (Shape{1, 3}));
}

TEST(MakeProfile, SumsAndProductsFollowTheSymbol) {
  const EngineLimits limits{.images = 2, .prompts = 1, .boxes = 5, .masks = 0};
  EXPECT_EQ(shape_of("K + 33", limits).min, (Shape{34, 3}));
  EXPECT_EQ(shape_of("K + 33", limits).max, (Shape{38, 3}));
  EXPECT_EQ(shape_of("9*B", limits).max, (Shape{18, 3}));
}

TEST(MakeProfile, MasksAreAsManyAsQueriesUnlessFewerAreAsked) {
  EXPECT_EQ(shape_of("M", {.masks = 0}).max, (Shape{36, 3}));
  EXPECT_EQ(shape_of("M", {.masks = 1000}).max, (Shape{36, 3}));
  EXPECT_EQ(shape_of("M", {.masks = 4}).opt, (Shape{4, 3}));
}

TEST(MakeProfile, IsTunedForOneOfEverythingUnlessMoreAreAsked) {
  EXPECT_EQ(shape_of("B", {.images = 8}).opt, (Shape{1, 3}));
  EXPECT_EQ(shape_of("B", {.images = 8, .tuned_images = 8}).opt, (Shape{8, 3}));
  EXPECT_EQ(shape_of("P", {.prompts = 16, .tuned_prompts = 4}).opt, (Shape{4, 3}));
  EXPECT_EQ(shape_of("P", {.prompts = 2, .tuned_prompts = 4}).opt, (Shape{2, 3}));
  EXPECT_EQ(shape_of("R", {.prompts = 16, .tuned_prompts = 16}).opt, (Shape{4, 3}));
}

TEST(MakeForeignProfile, ADynamicFirstAxisCountsImages) {
  GraphInfo graph;
  graph.inputs = {{"fixed", DType::kF32, {1, 3}}, {"x", DType::kF32, {-1, 3}}};
  const auto profile = make_foreign_profile(graph, {.images = 8, .tuned_images = 4});
  EXPECT_EQ(profile.at("x").min, (Shape{1, 3}));
  EXPECT_EQ(profile.at("x").opt, (Shape{4, 3}));
  EXPECT_EQ(profile.at("x").max, (Shape{8, 3}));
  EXPECT_EQ(profile.at("fixed").max, (Shape{1, 3}));
}

TEST(MakeForeignProfile, AnotherDynamicAxisIsRefusedByName) {
  GraphInfo graph;
  graph.inputs = {{"x", DType::kF32, {1, -1}}};
  try {
    (void)make_foreign_profile(graph, {});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), testing::HasSubstr("input x has the shape [1, -1]"));
  }
}

TEST(MakeProfile, AnUnknownDimensionIsNamed) {
  for (const char* dim : {"Z", "", "B + x", "x*B", "B + 99999999999999999999"}) {
    try {
      (void)shape_of(dim);
      ADD_FAILURE() << dim;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), testing::HasSubstr("'" + std::string(dim) + "'"));
    }
  }
}

}  // namespace
}  // namespace sam3trt
