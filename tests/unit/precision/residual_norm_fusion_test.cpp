#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <string>

#include "base/error.hpp"
#include "base/own_operators.hpp"
#include "fusion_graphs.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;

/// x -> sum -> LayerNormalization -> product -> the next sum, as src/model/detector.cpp writes it.
onnx::GraphProto residual_norm(int64_t columns = 256) {
  const std::string layer = "/encoder/layers.1/";
  onnx::GraphProto graph;
  for (const char* name : {"gain", "shift"}) {
    add_constant(graph, name, {1});
    graph.mutable_initializer(graph.initializer_size() - 1)->add_dims(columns);
  }
  add_node(graph, layer + "residual1", "Add", {"x", "attended"});
  add_node(graph, layer + "norm2", "LayerNormalization", {layer + "residual1", "gain", "shift"});
  auto* epsilon = graph.mutable_node(1)->add_attribute();
  epsilon->set_name("epsilon");
  epsilon->set_f(0.5F);
  add_node(graph, layer + "proj", "MatMul", {layer + "norm2", "gain"});
  add_node(graph, layer + "residual2", "Add", {layer + "residual1", layer + "proj"});
  graph.add_output()->set_name(layer + "residual2");
  return graph;
}

TEST(FuseResidualNorms, OneNodeGivesTheSumAndItsNormalisation) {
  const std::string layer = "/encoder/layers.1/";
  onnx::GraphProto graph = residual_norm();
  EXPECT_EQ(fuse(graph, "/encoder/layers.*/norm*"), 1);
  EXPECT_THAT(node_names(graph),
              ElementsAre(layer + "norm2/residual_norm", layer + "proj", layer + "residual2"));
  const auto& fused = graph.node(0);
  EXPECT_EQ(fused.op_type(), kResidualNorm);
  EXPECT_EQ(fused.domain(), kOwnDomain);
  EXPECT_THAT(fused.input(), ElementsAre("attended", "x", "gain", "shift"));
  EXPECT_THAT(fused.output(), ElementsAre(layer + "norm2", layer + "residual1"));
  EXPECT_EQ(attributes_of(fused),
            (std::map<std::string, int64_t>{{"epsilon", std::bit_cast<int32_t>(0.5F)}}));
}

TEST(FuseResidualNorms, WhatIsNoSumOrHasNoKernelStays) {
  const std::string pattern = "/encoder/layers.*/norm*";
  expect_stays(residual_norm(), "/decoder/layers.*/norm*");
  expect_stays(residual_norm(252), pattern);
  expect_stays(residual_norm(2056), pattern);
  onnx::GraphProto of_input = residual_norm();
  of_input.mutable_node(1)->set_input(0, "x");
  expect_stays(of_input, pattern);
  onnx::GraphProto of_product = residual_norm();
  of_product.mutable_node(0)->set_op_type("Mul");
  expect_stays(of_product, pattern);
  onnx::GraphProto elsewhere = residual_norm();
  elsewhere.mutable_node(0)->set_name("/encoder/layers.1/with_position");
  elsewhere.mutable_node(0)->set_output(0, "/encoder/layers.1/with_position");
  elsewhere.mutable_node(1)->set_input(0, "/encoder/layers.1/with_position");
  elsewhere.mutable_node(3)->set_input(0, "/encoder/layers.1/with_position");
  expect_stays(elsewhere, pattern);
  for (const char* output : {"norm2", "residual1"}) {
    onnx::GraphProto shown = residual_norm();
    shown.add_output()->set_name(std::string("/encoder/layers.1/") + output);
    expect_stays(shown, pattern);
  }
  onnx::GraphProto broken = residual_norm();
  broken.mutable_node(1)->clear_input();
  EXPECT_EQ(fuse(broken, pattern), 0);
  broken = residual_norm();
  broken.mutable_node(0)->mutable_input()->RemoveLast();
  expect_stays(broken, pattern);
}

TEST(FuseResidualNorms, OneWithoutEpsilonIsRefused) {
  onnx::GraphProto graph = residual_norm();
  graph.mutable_node(1)->clear_attribute();
  EXPECT_THROW(fuse(graph, "/encoder/layers.*/norm*"), Error);
}

}  // namespace
}  // namespace sam3trt
