#include "compile/profile.hpp"

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

/// In the widest profile.
ProfileShape shape_of(const std::string& dim, const EngineLimits& limits = {}) {
  return make_profiles(graph_with(dim), limits).back().at("x");
}

TEST(MakeProfiles, SymbolsTakeTheirLimits) {
  const EngineLimits limits{.images = 4, .prompts = 9, .boxes = 5, .masks = 20};
  EXPECT_EQ(shape_of("B", limits).max, (Shape{4, 3}));
  EXPECT_EQ(shape_of("P", limits).max, (Shape{9, 3}));
  EXPECT_EQ(shape_of("K", limits).max, (Shape{5, 3}));
  EXPECT_EQ(shape_of("R", limits).max, (Shape{4, 3}));
  EXPECT_EQ(shape_of("M", limits).opt, (Shape{16, 3}));
  EXPECT_EQ(shape_of("M", limits).max, (Shape{20, 3}));
  for (const char* dim : {"B", "P", "K", "R", "M"}) EXPECT_EQ(shape_of(dim).min, (Shape{1, 3}));
}

TEST(MakeProfiles, SumsAndProductsFollowTheSymbol) {
  const EngineLimits limits{.images = 2, .prompts = 1, .boxes = 5, .masks = 0};
  EXPECT_EQ(shape_of("K + 33", limits).min, (Shape{34, 3}));
  EXPECT_EQ(shape_of("K + 33", limits).max, (Shape{38, 3}));
  EXPECT_EQ(shape_of("9*B", limits).max, (Shape{18, 3}));
}

TEST(MakeProfiles, MasksAreAsManyAsQueriesUnlessFewerAreAsked) {
  EXPECT_EQ(shape_of("M", {.masks = 0}).max, (Shape{36, 3}));
  EXPECT_EQ(shape_of("M", {.masks = 1000}).max, (Shape{36, 3}));
  EXPECT_EQ(shape_of("M", {.masks = 4}).opt, (Shape{4, 3}));
}

GraphInfo part_with(const std::string& component, const std::string& dim) {
  GraphInfo graph = graph_with(dim);
  graph.metadata["sam3trt.component"] = component;
  return graph;
}

TEST(MakeProfiles, TheTextEncoderHasOneTunedForOne) {
  const GraphInfo graph = part_with("text_encoder", "P");
  const auto profiles = make_profiles(graph, {.prompts = 9});
  ASSERT_EQ(profiles.size(), 1U);
  EXPECT_EQ(profiles[0].at("x").opt, (Shape{1, 3}));
  EXPECT_EQ(profiles[0].at("x").max, (Shape{9, 3}));
  const auto tuned = make_profiles(graph, {.prompts = 9, .tuned_prompts = 4});
  EXPECT_EQ(tuned.at(0).at("x").opt, (Shape{4, 3}));
}

TEST(MakeProfiles, TheVisionEncoderHasOneTunedForTheLargest) {
  const GraphInfo graph = part_with("vision_encoder", "B");
  const auto profiles = make_profiles(graph, {.images = 8});
  ASSERT_EQ(profiles.size(), 1U);
  EXPECT_EQ(profiles[0].at("x").min, (Shape{1, 3}));
  EXPECT_EQ(profiles[0].at("x").opt, (Shape{8, 3}));
  EXPECT_EQ(profiles[0].at("x").max, (Shape{8, 3}));
  const auto tuned = make_profiles(graph, {.images = 8, .tuned_images = 2});
  EXPECT_EQ(tuned.at(0).at("x").opt, (Shape{2, 3}));
}

TEST(MakeProfiles, TheFirstIsForExactlyOneImageAndPrompt) {
  const EngineLimits limits{.images = 4, .prompts = 9, .boxes = 5, .masks = 20};
  for (const char* dim : {"B", "P", "R"}) {
    const auto profiles = make_profiles(graph_with(dim), limits);
    ASSERT_EQ(profiles.size(), 2U) << dim;
    const ProfileShape& shape = profiles[0].at("x");
    EXPECT_EQ(shape.min, (Shape{1, 3})) << dim;
    EXPECT_EQ(shape.opt, (Shape{1, 3})) << dim;
    EXPECT_EQ(shape.max, (Shape{1, 3})) << dim;
    EXPECT_GT(profiles[1].at("x").max[0], 1) << dim;
  }
}

TEST(MakeProfiles, BothHoldAllBoxesAndMasks) {
  GraphInfo graph = graph_with("P");
  graph.inputs.push_back({"boxes", DType::kF32, {-1, -1}});
  graph.dim_names["boxes"] = {"P", "K"};
  graph.inputs.push_back({"queries", DType::kI64, {-1, -1}});
  graph.dim_names["queries"] = {"R", "M"};
  const auto profiles = make_profiles(graph, {.prompts = 9, .boxes = 5, .masks = 20});
  ASSERT_EQ(profiles.size(), 2U);
  EXPECT_EQ(profiles[0].at("boxes").min, (Shape{1, 1}));
  EXPECT_EQ(profiles[0].at("boxes").opt, (Shape{1, 1}));
  EXPECT_EQ(profiles[0].at("boxes").max, (Shape{1, 5}));
  EXPECT_EQ(profiles[0].at("queries").opt, (Shape{1, 16}));
  EXPECT_EQ(profiles[0].at("queries").max, (Shape{1, 20}));
  EXPECT_EQ(profiles[1].at("boxes").min, (Shape{1, 1}));
  EXPECT_EQ(profiles[1].at("boxes").opt, (Shape{9, 1}));
  EXPECT_EQ(profiles[1].at("boxes").max, (Shape{9, 5}));
  EXPECT_EQ(profiles[1].at("queries").max, (Shape{4, 20}));
}

TEST(MakeProfiles, ThereIsOneWhereNothingMayBeSeveral) {
  for (const char* dim : {"B", "P", "K", "R", "M"}) {
    EXPECT_EQ(make_profiles(graph_with(dim), {.images = 1, .prompts = 1}).size(), 1U) << dim;
  }
  EXPECT_EQ(make_profiles(graph_with("B"), {.images = 1, .prompts = 16}).size(), 1U);
  EXPECT_EQ(make_profiles(graph_with("K"), {.images = 8, .prompts = 16}).size(), 1U);
}

TEST(MakeProfiles, TheSecondIsTunedForTheLargestUnlessFewerAreAsked) {
  EXPECT_EQ(shape_of("B", {.images = 8}).opt, (Shape{8, 3}));
  EXPECT_EQ(shape_of("B", {.images = 8, .tuned_images = 2}).opt, (Shape{2, 3}));
  EXPECT_EQ(shape_of("P", {.prompts = 16}).opt, (Shape{16, 3}));
  EXPECT_EQ(shape_of("P", {.prompts = 16, .tuned_prompts = 4}).opt, (Shape{4, 3}));
  EXPECT_EQ(shape_of("R", {.prompts = 16}).opt, (Shape{4, 3}));
  EXPECT_EQ(shape_of("R", {.prompts = 16, .tuned_prompts = 2}).opt, (Shape{2, 3}));
  EXPECT_EQ(shape_of("P", {.prompts = 2, .tuned_prompts = 4}).opt, (Shape{2, 3}));
  EXPECT_EQ(shape_of("R", {.prompts = 16, .tuned_prompts = 16}).opt, (Shape{4, 3}));
}

/// A graph of a model with a tracker.
GraphInfo tracker_part(const std::string& component, const std::string& dim) {
  GraphInfo graph = part_with(component, dim);
  graph.metadata["sam3trt.config"] =
      R"({"num_queries": 36,
          "tracker": {"num_maskmem": 7, "max_cond_frames": 4, "max_object_pointers": 16}})";
  return graph;
}

TEST(MakeProfiles, ObjectsAndWhatTheyRememberHaveTheirLimits) {
  const EngineLimits limits{.images = 2, .objects = 9, .points = 12, .pointers = 40};
  const auto several = [&](const char* component, const char* dim) {
    const ProfileShape shape = make_profiles(tracker_part(component, dim), limits).back().at("x");
    return Shape{shape.min[0], shape.opt[0], shape.max[0]};
  };
  EXPECT_EQ(several("sam_decoder", "O"), (Shape{1, 9, 9}));
  EXPECT_EQ(several("sam_decoder", "E"), (Shape{1, 9, 9}));
  EXPECT_EQ(several("sam_decoder", "A"), (Shape{1, 2, 12}));
  EXPECT_EQ(several("memory_attention", "O"), (Shape{1, 4, 9}));
  EXPECT_EQ(several("memory_attention", "F"), (Shape{1, 7, 10}));
  EXPECT_EQ(several("memory_attention", "W"), (Shape{0, 16, 40}));
  EXPECT_EQ(several("tracker_neck", "B"), (Shape{1, 2, 2}));
}

TEST(MakeProfiles, FeaturesOfAsManyImagesAsObjectsFit) {
  EXPECT_EQ(shape_of("E", {.images = 8, .objects = 3}).max, (Shape{8, 3}));
  EXPECT_EQ(shape_of("E", {.images = 1, .objects = 3}).max, (Shape{3, 3}));
}

TEST(MakeProfiles, ObjectsAreTunedForAsMuchAsIsAsked) {
  const EngineLimits limits{.objects = 12, .tuned_objects = 6};
  for (const char* component : {"sam_decoder", "memory_attention"}) {
    const auto profiles = make_profiles(tracker_part(component, "O"), limits);
    ASSERT_EQ(profiles.size(), 2U) << component;
    EXPECT_EQ(profiles[0].at("x").max, (Shape{1, 3})) << component;
    EXPECT_EQ(profiles[1].at("x").opt, (Shape{6, 3})) << component;
    EXPECT_EQ(profiles[1].at("x").max, (Shape{12, 3})) << component;
  }
}

TEST(MakeProfiles, ATrackerWithoutAMemoryHasOneFrame) {
  GraphInfo graph = tracker_part("sam_decoder", "F");
  graph.metadata["sam3trt.config"] =
      R"({"tracker": {"num_maskmem": 0, "max_cond_frames": 0, "max_object_pointers": 0}})";
  const auto profile = make_profiles(graph, {}).back().at("x");
  EXPECT_EQ(profile.opt[0], 1);
  EXPECT_EQ(profile.max[0], 1);
  graph.metadata["sam3trt.config"] = R"({"tracker": {"num_maskmem": -2}})";
  EXPECT_THROW((void)make_profiles(graph, {}), Error);
}

TEST(MakeForeignProfiles, ADynamicFirstAxisCountsImages) {
  GraphInfo graph;
  graph.inputs = {{"fixed", DType::kF32, {1, 3}}, {"x", DType::kF32, {-1, 3}}};
  const auto profiles = make_foreign_profiles(graph, {.images = 8, .tuned_images = 4});
  ASSERT_EQ(profiles.size(), 2U);
  EXPECT_EQ(profiles[0].at("x").max, (Shape{1, 3}));
  EXPECT_EQ(profiles[1].at("x").min, (Shape{1, 3}));
  EXPECT_EQ(profiles[1].at("x").opt, (Shape{4, 3}));
  EXPECT_EQ(profiles[1].at("x").max, (Shape{8, 3}));
  EXPECT_EQ(profiles[1].at("fixed").max, (Shape{1, 3}));
  EXPECT_EQ(make_foreign_profiles(graph, {.images = 1}).size(), 1U);
  graph.inputs.pop_back();
  EXPECT_EQ(make_foreign_profiles(graph, {.images = 8}).size(), 1U);
}

TEST(MakeForeignProfiles, AnotherDynamicAxisIsRefusedByName) {
  GraphInfo graph;
  graph.inputs = {{"x", DType::kF32, {1, -1}}};
  try {
    (void)make_foreign_profiles(graph, {});
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), testing::HasSubstr("input x has the shape [1, -1]"));
  }
}

TEST(MakeProfiles, AnUnknownDimensionIsNamed) {
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

TEST(MakeProfiles, ANumberOfQueriesThatIsNoneIsNamed) {
  for (const char* config :
       {R"({"num_queries": "200"})", R"({"num_queries": []})", R"({"num_queries": 0})",
        R"({"num_queries": 1e300})", R"({"num_queries": 18446744073709551615})", "[]", "{"}) {
    GraphInfo graph = graph_with("M");
    graph.metadata["sam3trt.config"] = config;
    try {
      (void)make_profiles(graph, {});
      ADD_FAILURE() << config;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), testing::HasSubstr("num_queries")) << config;
    }
  }
}

}  // namespace
}  // namespace sam3trt
