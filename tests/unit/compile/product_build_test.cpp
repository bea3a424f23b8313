// Engines whose products cuBLASLt computes.
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "build_engine_fixture.hpp"
#include "precision/builtin_recipes.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class BuildProducts : public BuildEngine {};

/// The product to queries, keys and values of a block of the vision encoder.
void save_block(const fs::path& path) {
  Graph graph("block");
  const std::string block = "/vision/blocks.0/";
  const Value x = graph.add_input("x", DType::kF32, {Dim("B"), 4, 16});
  const auto constant = [&](const std::string& name, Shape shape, size_t count) {
    return graph.add_constant_f32(block + name, std::move(shape), std::vector<float>(count, 0.5F));
  };
  const Value norm = add_layer_normalization(graph, block + "norm1", x, constant("gain", {16}, 16),
                                             constant("shift", {16}, 16), 1e-6F);
  const Value product =
      add_matmul(graph, block + "attn/qkv/matmul", norm, constant("weight", {16, 48}, 768));
  graph.add_output(
      "y", add_relu(graph, block + "attn/relu",
                    add_add(graph, block + "attn/qkv", product, constant("bias", {48}, 48))));
  graph.set_metadata("sam3trt.component", "vision_encoder");
  graph.set_metadata("sam3trt.checkpoint_sha256", "abc");
  graph.save(path);
}

/// A book whose first recipe in fp16 leaves that product to cuBLASLt; `alone`: it has no other.
RecipeBook product_book(bool alone = false) {
  const nlohmann::json variant = {
      {"name", "fast_products"}, {"products", {{"vision_encoder", {"/vision/blocks.*/attn/qkv"}}}}};
  nlohmann::json book = {{"format", 1}, {"extends", "built-in"}};
  book["variants"]["fp16"] = nlohmann::json::array({variant});
  if (alone) {
    book = nlohmann::json::parse(builtin_recipes());
    book["precisions"]["fp16"]["variants"] = nlohmann::json::array({variant});
  }
  return RecipeBook::parse(book.dump(), "book");
}

TEST_F(BuildProducts, CallsCublasLtWhereItIsThereAndSaysSo) {
  save_block(folder_ / "in.onnx");
  request_.recipes = product_book();
  request_.cublaslt_version = "13.1.0";
  accept({"fast_products"});
  const EngineManifest manifest = build_engine(api_, request_).manifest;
  EXPECT_EQ(manifest.recipe, "fast_products");
  EXPECT_EQ(manifest.cublaslt_version, "13.1.0");
  EXPECT_EQ(manifest.kernels_sha256, "kernels");
}

TEST_F(BuildProducts, DoesWithoutCublasLtAndSaysWhatIsLost) {
  save_block(folder_ / "in.onnx");
  request_.recipes = product_book();
  request_.cublaslt_problem = "it is not installed";
  accept({"fp16"});
  std::vector<std::string> told;
  request_.report = [&told](const std::string& message) { told.push_back(message); };
  const EngineManifest manifest = build_engine(api_, request_).manifest;
  EXPECT_EQ(manifest.recipe, "fp16");
  EXPECT_EQ(manifest.cublaslt_version, "");
  ASSERT_EQ(told.size(), 1U);
  EXPECT_THAT(told.front(),
              HasSubstr("recipe fast_products, the fastest, is not tried: it is not"));
}

/// A verification that passes and measures these times.
void time_recipes(EngineBuildRequest& request, const std::map<std::string, double>& times) {
  request.verify = [times](const Plan&, const Recipe& recipe, const fs::path&) {
    BuildVerdict verdict{times.contains(recipe.name), recipe.name, "[]"};
    if (verdict.passed) verdict.milliseconds = times.at(recipe.name);
    return verdict;
  };
}

TEST_F(BuildProducts, KeepsTheFasterProductsWhereTheBookDoesNotKnowTheGpu) {
  save_block(folder_ / "in.onnx");
  request_.recipes = product_book();
  request_.cublaslt_version = "13.1.0";
  std::vector<std::string> told;
  request_.report = [&told](const std::string& message) { told.push_back(message); };
  time_recipes(request_, {{"fast_products", 3.0}, {"fp16", 2.0}});
  EngineBuildResult result = build_engine(api_, request_);
  EXPECT_EQ(result.manifest.recipe, "fp16");
  EXPECT_EQ(result.manifest.cublaslt_version, "");
  EXPECT_EQ(result.milliseconds, 2.0);
  EXPECT_THAT(told, ElementsAre(HasSubstr(
                        "recipe fast_products takes 3.00 ms a call, fp16 2.00; the faster one")));
  time_recipes(request_, {{"fast_products", 2.0}, {"fp16", 3.0}});
  EXPECT_EQ(build_engine(api_, request_).manifest.recipe, "fast_products");
  time_recipes(request_, {{"fast_products", 2.0}});  // the other one is refused
  result = build_engine(api_, request_);
  EXPECT_EQ(result.manifest.recipe, "fast_products");
  EXPECT_THAT(result.refused, ElementsAre("fp16: fp16"));
}

TEST_F(BuildProducts, BuildsOneEngineWhereTheBookKnowsTheGpu) {
  save_block(folder_ / "in.onnx");
  nlohmann::json book = {{"format", 1}, {"extends", "built-in"}};
  book["variants"]["fp16"] = {{{"name", "fast_products"},
                               {"faster_on", {"9.0"}},
                               {"products", {{"vision_encoder", {"/vision/blocks.*/attn/qkv"}}}}}};
  request_.recipes = RecipeBook::parse(book.dump(), "book");
  request_.cublaslt_version = "13.1.0";
  time_recipes(request_, {{"fast_products", 3.0}, {"fp16", 2.0}});
  EXPECT_EQ(build_engine(api_, request_).manifest.recipe, "fast_products");
  EXPECT_THAT(api_.recipes, ElementsAre("fast_products"));
  request_.gpu_compute_capability = "8.9";
  EXPECT_EQ(build_engine(api_, request_).manifest.recipe, "fp16");
}

TEST_F(BuildProducts, KnowsTheFasterProductsOfAnEarlierBuild) {
  save_block(folder_ / "in.onnx");
  request_.recipes = product_book();
  request_.cublaslt_version = "13.1.0";
  for (const double with : {2.0, 4.0}) {
    request_.cache = folder_ / ("cache" + std::to_string(with));
    time_recipes(request_, {{"fast_products", with}, {"fp16", 3.0}});
    const std::string chosen = with < 3 ? "fast_products" : "fp16";
    api_.recipes.clear();
    EXPECT_EQ(build_engine(api_, request_).manifest.recipe, chosen);
    EXPECT_THAT(api_.recipes, ElementsAre("fast_products", "fp16"));
    api_.recipes.clear();
    EXPECT_EQ(build_engine(api_, request_).manifest.recipe, chosen);
    EXPECT_THAT(api_.recipes, ElementsAre(chosen));
    request_.force = true;
    api_.recipes.clear();
    EXPECT_EQ(build_engine(api_, request_).manifest.recipe, chosen);
    EXPECT_THAT(api_.recipes, ElementsAre("fast_products", "fp16"));
    request_.force = false;
  }
}

TEST_F(BuildProducts, FailsWhereAllRecipesCallCublasLtAndThereIsNone) {
  save_block(folder_ / "in.onnx");
  request_.recipes = product_book(true);
  request_.cublaslt_problem = "it is not installed";
  try {
    static_cast<void>(build_engine(api_, request_));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr("all recipes call cuBLASLt: it is not installed"));
  }
  save_graph("detector");  // which has no such products
  accept({"fast_products"});
  EXPECT_EQ(build_engine(api_, request_).manifest.recipe, "fast_products");
}

}  // namespace
}  // namespace sam3trt
