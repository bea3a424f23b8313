#include "precision/mask_fusion.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <string>
#include <vector>

#include "base/own_operators.hpp"
#include "fusion_graphs.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::IsSupersetOf;

constexpr float kEpsilon = 0.5F;

void set_epsilon(onnx::GraphProto& graph, const std::string& node) {
  auto* attribute = node_of(graph, node).add_attribute();
  attribute->set_name("epsilon");
  attribute->set_f(kEpsilon);
}

void add_step(onnx::GraphProto& graph, const std::string& number, const std::string& coarse,
              const std::string& level, int64_t channels, int64_t side) {
  const std::string step = "/mask/pixel." + number;
  add_constant(graph, step + "/norm/groups/shape", {0, 8, channels / 8 * side * side});
  add_constant(graph, step + "/norm/map/shape", {0, channels, side, side});
  for (const char* name : {"/scales", "/weight", "/bias", "/ones", "/gain", "/shift"}) {
    add_constant(graph, step + name, {1});
  }
  add_node(graph, level, "Gather", {"fpn" + number, "image_index"});
  add_node(graph, step + "/up", "Resize", {coarse, "", step + "/scales"});
  add_node(graph, step + "/sum", "Add", {step + "/up", level});
  add_node(graph, step + "/conv", "Conv", {step + "/sum", step + "/weight", step + "/bias"});
  add_node(graph, step + "/norm/groups", "Reshape", {step + "/conv", step + "/norm/groups/shape"});
  add_node(graph, step + "/norm/instance", "InstanceNormalization",
           {step + "/norm/groups", step + "/ones", step + "/ones"});
  set_epsilon(graph, step + "/norm/instance");
  add_node(graph, step + "/norm/map", "Reshape",
           {step + "/norm/instance", step + "/norm/map/shape"});
  add_node(graph, step + "/norm/scaled", "Mul", {step + "/norm/map", step + "/gain"});
  add_node(graph, step + "/norm", "Add", {step + "/norm/scaled", step + "/shift"});
  add_node(graph, step + "/relu", "Relu", {step + "/norm"});
}

/// As src/model/mask_head.cpp writes it, without the prompt's attention and the queries.
onnx::GraphProto mask_head(int64_t channels = 32, int64_t side = 8) {
  onnx::GraphProto graph;
  for (const char* name : {"gain", "shift", "map_shape", "pixels_shape", "semantic_weight"}) {
    add_constant(graph, name, {1});
  }
  add_constant(graph, "semantic_bias", {1});
  add_node(graph, "/mask/memory", "Gather", {"hidden", "prompt_index"});
  add_node(graph, "/mask/prompt_norm", "LayerNormalization", {"/mask/memory", "gain", "shift"});
  set_epsilon(graph, "/mask/prompt_norm");
  add_node(graph, "/mask/prompted", "Add", {"/mask/memory", "/mask/prompt_norm"});
  add_node(graph, "/mask/channels", "Transpose", {"/mask/prompted"});
  add_node(graph, "/mask/map", "Reshape", {"/mask/channels", "map_shape"});
  add_step(graph, "0", "/mask/map", "/mask/level1", channels, side);
  add_step(graph, "1", "/mask/pixel.0/relu", "/mask/level0", channels, 2 * side);
  add_node(graph, "/mask/pixels", "Reshape", {"/mask/pixel.1/relu", "pixels_shape"});
  add_node(graph, "/mask/product", "MatMul", {"embeddings", "/mask/pixels"});
  add_node(graph, "/mask/semantic", "Conv",
           {"/mask/pixel.1/relu", "semantic_weight", "semantic_bias"});
  graph.add_output()->set_name("/mask/product");
  graph.add_output()->set_name("/mask/semantic");
  return graph;
}

TEST(FuseMaskPixels, OperatorsStandBetweenTheConvolutions) {
  onnx::GraphProto graph = mask_head();
  EXPECT_EQ(fuse(graph, kMaskPixels), 5);
  EXPECT_THAT(
      node_names(graph),
      ElementsAre("/mask/gathered_norm", "/mask/prompted", "/mask/pixel.0/upsampled_sum",
                  "/mask/pixel.0/conv", "/mask/pixel.0/group_norm", "/mask/pixel.1/upsampled_sum",
                  "/mask/pixel.1/conv", "/mask/pixel.1/group_norm", "/mask/pixels", "/mask/product",
                  "/mask/semantic/weight", "/mask/semantic/product", "/mask/semantic/sum",
                  "/mask/semantic"));
  const auto bits = std::bit_cast<int32_t>(kEpsilon);
  const auto& gathered = node_of(graph, "/mask/gathered_norm");
  EXPECT_EQ(gathered.op_type(), kGatheredNorm);
  EXPECT_EQ(gathered.domain(), kOwnDomain);
  EXPECT_THAT(gathered.input(), ElementsAre("hidden", "prompt_index", "gain", "shift"));
  EXPECT_THAT(gathered.output(), ElementsAre("/mask/prompt_norm", "/mask/memory"));
  EXPECT_EQ(attributes_of(gathered), (std::map<std::string, int64_t>{{"epsilon", bits}}));
  const auto& sum = node_of(graph, "/mask/pixel.0/upsampled_sum");
  EXPECT_EQ(sum.op_type(), kUpsampledSum);
  EXPECT_THAT(sum.input(), ElementsAre("/mask/prompted", "fpn0", "image_index"));
  EXPECT_THAT(sum.output(), ElementsAre("/mask/pixel.0/sum"));
  EXPECT_THAT(node_of(graph, "/mask/pixel.1/upsampled_sum").input(),
              ElementsAre("/mask/pixel.0/tokens", "fpn1", "image_index"));
  const auto& norm = node_of(graph, "/mask/pixel.1/group_norm");
  EXPECT_EQ(norm.op_type(), kGroupNorm);
  EXPECT_THAT(norm.input(),
              ElementsAre("/mask/pixel.1/conv", "/mask/pixel.1/gain", "/mask/pixel.1/shift"));
  EXPECT_EQ(attributes_of(norm),
            (std::map<std::string, int64_t>{{"epsilon", bits}, {"groups", 8}}));
  EXPECT_THAT(node_of(graph, "/mask/pixels").input(), ElementsAre("/mask/pixel.1/tokens"));
  EXPECT_THAT(node_of(graph, "/mask/semantic/product").input(),
              ElementsAre("/mask/pixel.1/tokens", "/mask/semantic/weight"));
  std::vector<std::string> constants;
  for (const auto& tensor : graph.initializer()) constants.push_back(tensor.name());
  EXPECT_THAT(constants, IsSupersetOf({"/mask/semantic/weight/shape", "/mask/semantic/shape"}));
  EXPECT_THAT(constants, testing::Not(testing::Contains("/mask/pixel.0/ones")));
}

TEST(FuseMaskPixels, SizesWithoutAKernelAndOtherComponentsStay) {
  expect_stays(mask_head(), "/vision/**");
  expect_stays(mask_head(48), kMaskPixels);     // groups of six channels
  expect_stays(mask_head(2080), kMaskPixels);   // more than a block has threads for
  expect_stays(mask_head(32, 6), kMaskPixels);  // 36 pixels, not a multiple of eight
  onnx::GraphProto other;
  add_node(other, "/vision/blocks.0/proj", "MatMul", {"x", "y"});
  expect_stays(other, kMaskPixels);
}

TEST(FuseMaskPixels, AnotherGraphThanThatOfExportIsRefused) {
  onnx::GraphProto graph = mask_head();
  node_of(graph, "/mask/pixel.1/relu").set_op_type("Sigmoid");
  expect_refused(graph, kMaskPixels, "expected a node /mask/pixel.1/relu (Relu)");
  graph = mask_head();
  node_of(graph, "/mask/pixel.0/sum").set_input(0, "/mask/map");
  expect_refused(graph, kMaskPixels, "expected a node /mask/pixel.0/sum (Add)");
  graph = mask_head();
  add_node(graph, "/mask/more", "Relu", {"/mask/pixel.0/relu"});
  expect_refused(graph, kMaskPixels, "node /mask/more uses '/mask/pixel.0/relu'");
  graph = mask_head();
  graph.add_output()->set_name("/mask/level0");
  expect_refused(graph, kMaskPixels, "'/mask/level0' is an output");
  graph = mask_head();
  constant_of(graph, "/mask/pixel.1/norm/map/shape").set_raw_data("x");
  expect_refused(graph, kMaskPixels, "there is no /mask/pixel.1/norm/map/shape of 4 numbers");
  graph = mask_head();
  node_of(graph, "/mask/pixel.0/norm/instance").clear_attribute();
  expect_refused(graph, kMaskPixels, "/mask/pixel.0/norm/instance has no epsilon");
}

}  // namespace
}  // namespace sam3trt
