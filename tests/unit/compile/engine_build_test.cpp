#include "compile/engine_build.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.hpp"
#include "build_engine_fixture.hpp"
#include "compile/recipe_memory.hpp"
#include "compile/up_to_date.hpp"
#include "onnx/graph.hpp"
#include "onnx/ops.hpp"
#include "precision/builtin_recipes.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST_F(BuildEngine, WritesTheEngineAndWhatItIs) {
  accept({"fp16"});
  const EngineBuildResult result = build_engine(api_, request_);
  EXPECT_EQ(files(), (std::set<std::string>{"in.onnx", "out.engine", "out.engine.json"}));
  const EngineManifest manifest = EngineManifest::load(request_.output);
  EXPECT_EQ(manifest.component, "detector");
  EXPECT_EQ(manifest.precision, "fp16");
  EXPECT_EQ(manifest.recipe, "fp16");
  EXPECT_EQ(manifest.gpu, "NVIDIA H200");
  EXPECT_EQ(manifest.kernels_sha256, "");  // it calls none of them
  ASSERT_EQ(manifest.profiles.size(), 2U);
  EXPECT_EQ(manifest.profiles[0].at("x").max, (Shape{1, 2}));
  EXPECT_EQ(manifest.profiles[1].at("x").max, (Shape{16, 2}));
  EXPECT_EQ(api_.profiles, 2U);
  EXPECT_EQ(manifest.plan_bytes, 6U);
  EXPECT_EQ(manifest.verification, VerificationState::kStages);  // alone, so far
  EXPECT_EQ(manifest.to_json(), result.manifest.to_json());
}

TEST_F(BuildEngine, RemembersTheAttentionKernelsThatTheEngineCalls) {
  Graph graph("attention");
  const std::string self = "/encoder/layers.0/self_attn/";
  const auto heads = [&](const std::string& part, std::vector<int64_t> order) {
    const Value x = graph.add_input(part, DType::kF32, {Dim("P"), 3, 16});
    const Value split =
        add_reshape(graph, self + part + "_heads", add_relu(graph, self + part + "_proj", x),
                    {Dim("P"), 3, 1, 16});
    return add_transpose(graph, self + part, split, std::move(order));
  };
  const Value q = heads("q", {0, 2, 1, 3});
  const Value scores = add_matmul(graph, self + "scores", q, heads("k", {0, 2, 3, 1}));
  const Value mixed = add_matmul(graph, self + "mix", add_softmax(graph, self + "softmax", scores),
                                 heads("v", {0, 2, 1, 3}));
  const Value joined = add_transpose(graph, self + "join", mixed, {0, 2, 1, 3});
  graph.add_output("result", add_reshape(graph, self + "flat", joined, {Dim("P"), 3, 16}));
  graph.set_metadata("sam3trt.component", "detector");
  graph.set_metadata("sam3trt.checkpoint_sha256", "abc");
  graph.save(folder_ / "in.onnx");
  EXPECT_EQ(build_engine(api_, request_).manifest.kernels_sha256, "kernels");
}

TEST_F(BuildEngine, TriesTheNextSaferRecipeWhenTheVerificationFails) {
  accept({"fp16_fp32_decoder"});
  std::vector<std::string> told;
  request_.report = [&told](const std::string& message) { told.push_back(message); };
  const EngineBuildResult result = build_engine(api_, request_);
  EXPECT_EQ(result.manifest.recipe, "fp16_fp32_decoder");
  EXPECT_THAT(api_.recipes, ElementsAre("fp16", "fp16_tf32_decoder", "fp16_fp32_decoder"));
  EXPECT_THAT(result.refused, ElementsAre("fp16: looked at fp16",
                                          "fp16_tf32_decoder: looked at fp16_tf32_decoder"));
  EXPECT_EQ(told.size(), 2U);
}

TEST_F(BuildEngine, SaysWhatARepairCosts) {
  std::vector<std::string> told;
  request_.report = [&told](const std::string& message) { told.push_back(message); };
  request_.verify = [](const Plan&, const Recipe& recipe, const fs::path&) {
    BuildVerdict verdict{recipe.name == "fp16_tf32_decoder", "looked at", "[]"};
    verdict.milliseconds = recipe.name == "fp16" ? 3.861 : 5.25;
    return verdict;
  };
  EXPECT_EQ(build_engine(api_, request_).milliseconds, 5.25);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_THAT(told[1], HasSubstr("recipe fp16_tf32_decoder takes 5.25 ms per call, the first that "
                                 "was refused 3.86"));
}

TEST_F(BuildEngine, SaysWhenFewerAttentionsAreFusedThanTheRecipeAllows) {
  Graph graph("attention");
  const Value x = graph.add_input("x", DType::kF32, {Dim("P"), Dim(2)});
  graph.add_output("y", add_softmax(graph, "/encoder/layers.0/cross_attn/softmax", x));
  graph.set_metadata("sam3trt.component", "detector");
  graph.set_metadata("sam3trt.checkpoint_sha256", "abc");
  graph.save(request_.onnx);
  std::vector<std::string> told;
  request_.report = [&told](const std::string& message) { told.push_back(message); };
  for (const int64_t fused : {1, 0}) {
    request_.verify = [fused](const Plan&, const Recipe&, const fs::path&) {
      return BuildVerdict{true, "", "[]", fused};
    };
    EXPECT_EQ(build_engine(api_, request_).manifest.attentions, 1);
  }
  ASSERT_EQ(told.size(), 1U);
  EXPECT_THAT(told[0], HasSubstr("fused 0 of the 1 attentions"));
}

TEST_F(BuildEngine, WritesNoEngineWhenNoRecipePasses) {
  accept({});
  try {
    (void)build_engine(api_, request_);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kVerificationFailed);
    EXPECT_THAT(error.what(), HasSubstr("fp16_fp32_blocks: looked at fp16_fp32_blocks"));
  }
  EXPECT_EQ(files(), (std::set<std::string>{"in.onnx"}));
}

TEST_F(BuildEngine, AnEngineThatNothingVerifiedSaysSo) {
  EXPECT_EQ(build_engine(api_, request_).manifest.verification, VerificationState::kNone);
}

TEST_F(BuildEngine, ACancelledBuildLeavesNothing) {
  request_.progress = [](std::string_view, int, int) { return false; };
  EXPECT_THROW((void)build_engine(api_, request_), Error);
  EXPECT_EQ(files(), (std::set<std::string>{"in.onnx"}));
}

TEST_F(BuildEngine, KeepsTheTimingCachePerGpuVersionAndComponent) {
  request_.cache = folder_ / "cache";
  (void)build_engine(api_, request_);
  (void)build_engine(api_, request_);
  EXPECT_THAT(api_.caches, ElementsAre(0U, 7U));
  EXPECT_TRUE(fs::exists(folder_ / "cache" / "NVIDIA_H200-TensorRT_10-10.6.0-detector.timing"));
  request_.gpu = "../../NVIDIA L4";
  (void)build_engine(api_, request_);
  EXPECT_EQ(api_.caches.back(), 0U);
  EXPECT_TRUE(fs::exists(folder_ / "cache" / ".._.._NVIDIA_L4-TensorRT_10-10.6.0-detector.timing"));
}

/// Builds whose cache remembers what came of the recipes.
class RecipeMemory : public BuildEngine {
 protected:
  RecipeMemory() {
    request_.cache = folder_ / "cache";
    request_.report = [this](const std::string& message) { told_.push_back(message); };
  }

  /// The recipes that were compiled, in order.
  std::vector<std::string> build() {
    api_.recipes.clear();
    told_.clear();
    static_cast<void>(build_engine(api_, request_));
    return api_.recipes;
  }

  void fine_tune() { save_graph("detector", "another checkpoint"); }

  [[nodiscard]] fs::path file() const {
    for (const auto& entry : fs::directory_iterator(request_.cache)) {
      if (entry.path().string().ends_with(".recipes.json")) return entry.path();
    }
    return {};
  }

  std::vector<std::string> told_;
};

TEST_F(RecipeMemory, WhatPassedForTheSameShapesIsTriedFirst) {
  accept({"fp16_fp32_decoder"});
  EXPECT_THAT(build(), ElementsAre("fp16", "fp16_tf32_decoder", "fp16_fp32_decoder"));
  fine_tune();
  EXPECT_THAT(build(), ElementsAre("fp16_fp32_decoder"));
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_THAT(told_[0], HasSubstr("fp16_fp32_decoder is tried first"));
  EXPECT_THAT(told_[0], HasSubstr("fp16 was refused"));
  EXPECT_THAT(build(), ElementsAre("fp16_fp32_decoder"));  // what was refused is still known
}

TEST_F(RecipeMemory, AWrongMemoryCostsTimeOnly) {
  accept({"fp16_tf32_decoder"});
  static_cast<void>(build());
  accept({"fp16"});
  const auto tried = build();
  EXPECT_EQ(tried.front(), "fp16_tf32_decoder");
  EXPECT_EQ(tried.back(), "fp16");
  EXPECT_EQ(EngineManifest::load(request_.output).recipe, "fp16");
  EXPECT_THAT(build(), ElementsAre("fp16"));  // learnt
}

TEST_F(RecipeMemory, ForceTriesAllInTheirOrder) {
  accept({"fp16_tf32_decoder"});
  static_cast<void>(build());
  request_.force = true;
  EXPECT_THAT(build(), ElementsAre("fp16", "fp16_tf32_decoder"));
}

TEST_F(RecipeMemory, HoldsForNothingElse) {
  accept({"fp16_tf32_decoder"});
  const EngineBuildRequest first = request_;
  static_cast<void>(build());
  const std::vector<std::function<void()>> others = {
      [this] { request_.gpu = "NVIDIA L4"; },  [this] { request_.kernels_sha256 = "others"; },
      [this] { request_.limits.prompts = 3; }, [this] { request_.optimization_level = 1; },
      [this] { api_.own_version = "10.7.0"; }, [this] { save_graph("detector", "abc", 3); },
  };
  for (size_t i = 0; i < others.size(); ++i) {
    request_ = first;
    others[i]();
    EXPECT_THAT(build(), ElementsAre("fp16", "fp16_tf32_decoder")) << i;
  }
}

TEST_F(RecipeMemory, ADamagedFileIsNoMemory) {
  accept({"fp16_tf32_decoder"});
  static_cast<void>(build());
  const nlohmann::json good = nlohmann::json::parse(std::ifstream(file()));
  nlohmann::json other_version = good;
  other_version["version"] = 2;
  nlohmann::json other_recipe = good;
  other_recipe["passed"] = "../x";
  for (const std::string& text :
       {std::string(), std::string("[1"), std::string("[]"), std::string(R"({"version":1})"),
        std::string(R"({"version":1,"passed":3,"refused":[]})"),
        std::string(R"({"version":1,"passed":"","refused":"x"})"), other_version.dump(),
        other_recipe.dump(), good.dump() + std::string(1 << 17, ' ')}) {
    std::ofstream(file()) << text;
    EXPECT_THAT(build(), ElementsAre("fp16", "fp16_tf32_decoder")) << text.substr(0, 100);
  }
}

TEST_F(RecipeMemory, ARepairOfAModelKeepsToTheOrderAndTeachesNothing) {
  accept({"fp16_fp32_decoder"});
  static_cast<void>(build());
  const auto known = recall_recipes(file());
  ASSERT_TRUE(known);
  request_.after = "fp16";
  accept({"fp16_tf32_decoder"});
  EXPECT_THAT(build(), ElementsAre("fp16_tf32_decoder"));
  EXPECT_EQ(recall_recipes(file())->passed, known->passed);
}

TEST_F(BuildEngine, SaysBeforeItCompiles) {
  accept({"fp16_tf32_decoder"});
  std::vector<int> builds;
  request_.compiling = [&] { builds.push_back(api_.builds); };
  static_cast<void>(build_engine(api_, request_));
  EXPECT_THAT(builds, ElementsAre(0, 1));
}

TEST_F(BuildEngine, VariantsThatGiveTheSameGraphAreTriedOnce) {
  save_graph("geometry_encoder");  // what the variants change lies in other components
  std::set<std::string> tried;
  request_.verify = [&tried](const Plan&, const Recipe& recipe, const fs::path&) {
    tried.insert(recipe.name);
    return BuildVerdict{false, "refused", "[]"};
  };
  EXPECT_THROW((void)build_engine(api_, request_), Error);
  EXPECT_EQ(tried, (std::set<std::string>{"fp16"}));
  EXPECT_EQ(api_.builds, 1);
}

TEST_F(BuildEngine, Tf32IsAllowedForTheComponentsThatTheRecipeNames) {
  nlohmann::json book = nlohmann::json::parse(builtin_recipes());
  auto& variants = book["precisions"]["fp16"]["variants"];
  nlohmann::json second = variants[0];
  second["name"] = "second";
  second["tf32"] = {"geometry_encoder"};
  variants = nlohmann::json::array({variants[0], second});
  request_.recipes = RecipeBook::parse(book.dump(), "book");
  for (const auto& [component, built] : {std::pair{"geometry_encoder", std::vector{false, true}},
                                         std::pair{"mask_head", std::vector{false}}}) {
    save_graph(component);
    api_.tf32.clear();
    request_.verify = [](const Plan&, const Recipe&, const fs::path&) {
      return BuildVerdict{false, "refused", "[]"};
    };
    EXPECT_THROW((void)build_engine(api_, request_), Error);
    EXPECT_EQ(api_.tf32, built) << component;
  }
}

TEST_F(BuildEngine, AGraphOfAnotherProgramIsBuiltWithAWarningAndStaysUnverified) {
  Graph graph("foreign");
  graph.add_output("y", graph.add_input("x", DType::kF32, {1}));
  graph.save(request_.onnx);
  accept({"fp16"});
  std::vector<std::string> told;
  request_.report = [&told](const std::string& message) { told.push_back(message); };
  const EngineManifest manifest = build_engine(api_, request_).manifest;
  EXPECT_EQ(manifest.component, "");
  EXPECT_EQ(manifest.recipe, "weakly typed");
  EXPECT_EQ(manifest.verification, VerificationState::kNone);
  EXPECT_FALSE(api_.strongly_typed);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_THAT(told[0], HasSubstr("nothing verifies its results"));
  request_.precision = Precision::kFp32;
  EXPECT_EQ(build_engine(api_, request_).manifest.recipe, "none");
  EXPECT_TRUE(api_.strongly_typed);
}

TEST_F(BuildEngine, AGraphOfAnotherProgramCannotBeTyped) {
  Graph graph("foreign");
  graph.add_output("y", graph.add_input("x", DType::kF32, {1}));
  graph.save(request_.onnx);
  request_.precision = Precision::kFp8;
  try {
    (void)build_engine(api_, request_);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr("--fp32 or --fp16 only"));
  }
  EXPECT_EQ(api_.builds, 0);
}

/// FP8 products of a vision encoder, calibrated by counting.
class BuildFp8Engine : public BuildEngine {
 protected:
  BuildFp8Engine() {
    save_encoder(1.0F);
    request_.precision = Precision::kFp8;
    request_.calibration_images = {"image 1", "image 2"};
    request_.calibrate = [this](const fs::path&, const Recipe& recipe) {
      ++calibrations_;
      EXPECT_TRUE(recipe.quantises("vision_encoder"));
      Calibration calibration{"vision_encoder", "abc", 2, {}, {}};
      for (const std::string& name : products_) calibration.amax[name] = 2.0F;
      return calibration;
    };
  }

  void save_encoder(float weight) {
    Graph graph("vision_encoder");
    Value x = graph.add_input("pixel_values", DType::kF32, {Dim("B"), 32});
    for (const std::string& name : products_) {
      const Value w = graph.add_constant(name + "/w", {32, 32},
                                         [weight] { return std::vector<float>(1024, weight); });
      x = add_matmul(graph, name, x, w);
    }
    graph.add_output("fpn_feat_0", x);
    graph.set_metadata("sam3trt.component", "vision_encoder");
    graph.set_metadata("sam3trt.checkpoint_sha256", "abc");
    graph.set_metadata("sam3trt.semantics", "hf");
    graph.save(folder_ / "in.onnx");
  }

  /// The hash in the manifest.
  std::string build() { return build_engine(api_, request_).manifest.calibration_sha256; }

  std::vector<std::string> products_ = {"/vision/blocks.0/mlp/fc1/matmul",
                                        "/vision/blocks.0/mlp/fc2/matmul"};
  int calibrations_ = 0;
};

TEST_F(BuildFp8Engine, ACalibrationIsMadeOnceForTheSameImages) {
  const std::string first = build();
  EXPECT_EQ(first.size(), 64U);
  EXPECT_EQ(build(), first);
  EXPECT_EQ(calibrations_, 1);
  const Calibration kept = Calibration::load(Calibration::path_beside(request_.onnx));
  EXPECT_EQ(kept.inputs.images, request_.calibration_images);
  EXPECT_EQ(kept.inputs.semantics, "hf");
  EXPECT_EQ(kept.sha256(), first);
}

TEST_F(BuildFp8Engine, AnEngineOfAnotherCalibrationIsNotUpToDate) {
  static_cast<void>(build());
  std::string reason;
  EXPECT_TRUE(find_up_to_date(api_, request_, reason));
  const fs::path beside = Calibration::path_beside(request_.onnx);
  const Calibration kept = Calibration::load(beside);
  Calibration other = kept;
  other.amax[products_[0]] = 5.0F;
  other.save(beside);
  EXPECT_FALSE(find_up_to_date(api_, request_, reason));
  EXPECT_THAT(reason, HasSubstr("another calibration"));
  kept.save(beside);
  EXPECT_TRUE(find_up_to_date(api_, request_, reason));
  fs::remove(beside);
  EXPECT_FALSE(find_up_to_date(api_, request_, reason));
}

TEST_F(BuildFp8Engine, OtherImagesCalibrateAnew) {
  const std::string first = build();
  request_.calibration_images = {"image 1"};
  EXPECT_NE(build(), first);
  EXPECT_EQ(calibrations_, 2);
}

TEST_F(BuildFp8Engine, AnotherGraphOfTheSameCheckpointCalibratesAnew) {
  const std::string first = build();
  save_encoder(3.0F);
  EXPECT_NE(build(), first);
  EXPECT_EQ(calibrations_, 2);
}

TEST_F(BuildFp8Engine, ACalibrationThatDoesNotSayItsImagesIsMadeAnew) {
  std::ofstream(Calibration::path_beside(request_.onnx))
      << R"({"format":1,"component":"vision_encoder","checkpoint_sha256":"abc","runs":1,"amax":{}})";
  static_cast<void>(build());
  EXPECT_EQ(calibrations_, 1);
}

TEST_F(BuildFp8Engine, AProductWithoutAValueIsAnErrorThatNamesIt) {
  static_cast<void>(build());
  Calibration kept = Calibration::load(Calibration::path_beside(request_.onnx));
  kept.amax.erase(products_[1]);
  kept.save(Calibration::path_beside(request_.onnx));
  try {
    static_cast<void>(build());
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr(products_[1]));
    EXPECT_THAT(error.what(), HasSubstr("delete the calibration"));
  }
  EXPECT_EQ(calibrations_, 1);
}

TEST_F(BuildFp8Engine, WithoutAWayToCalibrateAnyImagesServe) {
  const std::string first = build();
  request_.calibrate = {};
  request_.calibration_images.clear();
  EXPECT_EQ(build(), first);
  save_encoder(3.0F);
  EXPECT_THROW(static_cast<void>(build()), Error);
}

}  // namespace
}  // namespace sam3trt
