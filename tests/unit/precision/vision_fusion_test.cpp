#include "precision/vision_fusion.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/own_operators.hpp"
#include "fusion_graphs.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;

/// As src/model/vision_encoder.cpp writes its ends, with one block between them.
onnx::GraphProto vision(const std::vector<int64_t>& weight = {32, 3, 14, 14}, bool tracker = true) {
  onnx::GraphProto graph;
  auto* kernel = graph.add_initializer();
  kernel->set_name("weight");
  kernel->set_data_type(onnx::TensorProto::FLOAT);
  for (const int64_t size : weight) kernel->add_dims(size);
  add_constant(graph, "to_split", {0, weight[0], 2, 3, 2, 3});
  add_constant(graph, "from_split", {0, 2, 2, 3, 3, weight[0]});
  for (const char* name : {"to_shape", "from_shape", "map_shape"}) add_constant(graph, name, {1});
  add_node(graph, "/vision/patch_embed", "Conv", {"pixel_values", "weight"});
  add_node(graph, "/vision/to_windows/split", "Reshape", {"/vision/patch_embed", "to_split"});
  add_node(graph, "/vision/to_windows/order", "Transpose", {"/vision/to_windows/split"});
  add_node(graph, "/vision/to_windows", "Reshape", {"/vision/to_windows/order", "to_shape"});
  add_node(graph, "/vision/block", "Relu", {"/vision/to_windows"});
  add_node(graph, "/vision/from_windows/split", "Reshape", {"/vision/block", "from_split"});
  add_node(graph, "/vision/from_windows/order", "Transpose", {"/vision/from_windows/split"});
  add_node(graph, "/vision/from_windows", "Reshape", {"/vision/from_windows/order", "from_shape"});
  if (tracker) {
    add_node(graph, "/vision/map/channels", "Transpose", {"/vision/from_windows"});
    add_node(graph, "/vision/map", "Reshape", {"/vision/map/channels", "map_shape"});
  }
  add_node(graph, "/vision/neck", "Conv",
           {tracker ? "/vision/map" : "/vision/from_windows", "weight"});
  graph.add_output()->set_name("/vision/neck");
  if (tracker) graph.add_output()->set_name("/vision/from_windows");
  return graph;
}

TEST(FusePatchEmbedding, AProductOfRowsInTheOrderOfWindowsStandsForTheConvolution) {
  onnx::GraphProto graph = vision();
  EXPECT_EQ(fuse(graph, kPatchEmbedding), 1);
  const std::string name = kPatchEmbedding;
  const auto names = node_names(graph);
  EXPECT_THAT(std::vector(names.begin(), names.begin() + 5),
              ElementsAre(name + "/patches", name + "/rows", name + "/padded", name + "/columns",
                          name + "/matmul"));
  const auto& patches = graph.node(0);
  EXPECT_EQ(patches.op_type(), kPatches);
  EXPECT_EQ(patches.domain(), kOwnDomain);
  EXPECT_THAT(patches.input(), ElementsAre("pixel_values"));
  EXPECT_EQ(attributes_of(patches), (std::map<std::string, int64_t>{{"patch", 14}, {"window", 3}}));
  const auto& product = node_of(graph, name + "/matmul");
  EXPECT_THAT(product.input(), ElementsAre(name + "/patches", name + "/columns"));
  EXPECT_THAT(product.output(), ElementsAre("/vision/to_windows"));
  const auto& zeros = constant_of(graph, name + "/zeros");
  EXPECT_THAT(zeros.dims(), ElementsAre(32, 4));  // 588 values become 592
  EXPECT_EQ(zeros.raw_data(), std::string(size_t{32} * 4 * sizeof(float), '\0'));
}

TEST(FusePatchEmbedding, RowsThatNeedNoZerosGetNone) {
  onnx::GraphProto graph = vision({32, 1, 16, 16});
  EXPECT_EQ(fuse(graph, kPatchEmbedding), 1);
  EXPECT_THAT(node_of(graph, "/vision/patch_embed/columns").input(),
              ElementsAre("/vision/patch_embed/rows"));
}

TEST(FuseVisionMap, OneNodeGivesTheMapAndItsRows) {
  onnx::GraphProto graph = vision();
  EXPECT_EQ(fuse(graph, kVisionMap), 1);
  const auto& fused = node_of(graph, "/vision/from_windows/window_map");
  EXPECT_EQ(fused.op_type(), kWindowMap);
  EXPECT_THAT(fused.input(), ElementsAre("/vision/block"));
  EXPECT_THAT(fused.output(), ElementsAre("/vision/map", "/vision/from_windows"));
  EXPECT_EQ(attributes_of(fused), (std::map<std::string, int64_t>{{"grid", 6}, {"window", 3}}));
  graph = vision({32, 3, 14, 14}, false);
  EXPECT_EQ(fuse(graph, kVisionMap), 1);
  EXPECT_THAT(node_of(graph, "/vision/from_windows/window_map").output(),
              ElementsAre("/vision/from_windows", "/vision/from_windows/rows"));
}

TEST(FuseVisionEnds, SizesWithoutAKernelAndOtherComponentsStay) {
  expect_stays(vision(), "/mask/**");
  expect_stays(vision({32, 4, 14, 14}), kPatchEmbedding);
  expect_stays(vision({32, 3, 17, 17}), kPatchEmbedding);
  expect_stays(vision({32, 3, 14, 7}), kPatchEmbedding);
  expect_stays(vision({36, 3, 14, 14}), kVisionMap);
  onnx::GraphProto other;
  add_node(other, "/mask/product", "MatMul", {"x", "y"});
  expect_stays(other, kPatchEmbedding);
  expect_stays(other, kVisionMap);
}

TEST(FuseVisionEnds, AnotherGraphThanThatOfExportIsRefused) {
  onnx::GraphProto graph = vision();
  node_of(graph, "/vision/to_windows/order").set_input(0, "/vision/patch_embed");
  expect_refused(graph, kPatchEmbedding, "expected a node /vision/to_windows/order (Transpose)");
  graph = vision();
  add_node(graph, "/vision/more", "Relu", {"/vision/patch_embed"});
  expect_refused(graph, kPatchEmbedding, "node /vision/more uses '/vision/patch_embed'");
  graph = vision();
  graph.add_output()->set_name("/vision/map/channels");
  expect_refused(graph, kVisionMap, "'/vision/map/channels' is an output");
  graph = vision();
  constant_of(graph, "from_split").set_raw_data("x");
  expect_refused(graph, kVisionMap, "there is no from_split of 6 numbers");
}

}  // namespace
}  // namespace sam3trt
