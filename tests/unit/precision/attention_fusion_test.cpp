#include "precision/attention_fusion.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "base/error.hpp"
#include "base/own_operators.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kPath = "/vision/blocks.3/attn";

std::string below(const std::string& name) { return std::string(kPath) + "/" + name; }

void add_node(onnx::GraphProto& graph, const std::string& name, const std::string& op,
              const std::vector<std::string>& inputs,
              const std::vector<std::string>& outputs = {}) {
  auto* node = graph.add_node();
  node->set_name(name);
  node->set_op_type(op);
  for (const std::string& input : inputs) node->add_input(input);
  for (const std::string& output : outputs.empty() ? std::vector{name} : outputs) {
    node->add_output(output);
  }
}

void add_constant(onnx::GraphProto& graph, const std::string& name,
                  const std::vector<int64_t>& values) {
  auto* tensor = graph.add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(onnx::TensorProto::INT64);
  tensor->set_raw_data(values.data(), values.size() * sizeof(int64_t));
}

void add_rotation(onnx::GraphProto& graph, const std::string& part) {
  const std::string x = below(part);
  add_node(graph, x + "/halves", "Split", {below(part + "_in"), "halves"},
           {x + "/halves.0", x + "/halves.1"});
  add_node(graph, x + "/ac", "Mul", {x + "/halves.0", "cos"});
  add_node(graph, x + "/bs", "Mul", {x + "/halves.1", "sin"});
  add_node(graph, x + "/first", "Sub", {x + "/ac", x + "/bs"});
  add_node(graph, x + "/as", "Mul", {x + "/halves.0", "sin"});
  add_node(graph, x + "/bc", "Mul", {x + "/halves.1", "cos"});
  add_node(graph, x + "/second", "Add", {x + "/as", x + "/bc"});
  add_node(graph, x, "Concat", {x + "/first", x + "/second"});
}

/// x -> qkv -> attention -> y, as src/model/vision_encoder.cpp writes it.
onnx::GraphProto attention(int64_t head_dim = 32) {
  onnx::GraphProto graph;
  for (const char* name : {"cos", "sin", "halves", "parts", "axes", "flat"}) {
    add_constant(graph, name, {1});
  }
  add_constant(graph, below("heads/shape"), {-1, 64, 3, 5, head_dim});
  add_node(graph, below("qkv"), "Add", {"x", "x"});
  add_node(graph, below("heads"), "Reshape", {below("qkv"), below("heads/shape")});
  add_node(graph, below("order"), "Transpose", {below("heads")});
  add_node(graph, below("split"), "Split", {below("order"), "parts"},
           {below("split.0"), below("split.1"), below("split.2")});
  add_node(graph, below("q_in"), "Squeeze", {below("split.0"), "axes"});
  add_rotation(graph, "q");
  add_node(graph, below("k_in"), "Squeeze", {below("split.1"), "axes"});
  add_rotation(graph, "k");
  add_node(graph, below("v"), "Squeeze", {below("split.2"), "axes"});
  add_node(graph, below("k_t"), "Transpose", {below("k")});
  add_node(graph, below("scores"), "MatMul", {below("q"), below("k_t")});
  add_node(graph, below("softmax"), "Softmax", {below("scores")});
  add_node(graph, below("mix"), "MatMul", {below("softmax"), below("v")});
  add_node(graph, below("join"), "Transpose", {below("mix")});
  add_node(graph, below("flat"), "Reshape", {below("join"), "flat"});
  add_node(graph, "y", "Relu", {below("flat")});
  graph.add_output()->set_name("y");
  return graph;
}

onnx::NodeProto& node_of(onnx::GraphProto& graph, const std::string& name) {
  for (auto& node : *graph.mutable_node()) {
    if (node.name() == name) return node;
  }
  throw std::logic_error(name);
}

int64_t fuse(onnx::GraphProto& graph, const std::string& pattern = "/vision/blocks.*/attn") {
  return fuse_attentions(graph, {pattern}, "in.onnx");
}

std::string refusal_of(const std::function<void(onnx::GraphProto&)>& damage) {
  onnx::GraphProto graph = attention();
  damage(graph);
  try {
    fuse(graph);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "no error";
}

TEST(FuseAttentions, OneNodeTakesThePlaceOfAll) {
  onnx::GraphProto graph = attention();
  EXPECT_EQ(fuse(graph), 1);
  std::vector<std::string> names;
  for (const auto& node : graph.node()) names.push_back(node.name());
  EXPECT_THAT(names, ElementsAre(below("qkv"), below("rotary_mha"), "y"));
  const auto& fused = graph.node(1);
  EXPECT_EQ(fused.op_type(), kRotaryAttention);
  EXPECT_EQ(fused.domain(), kOwnDomain);
  EXPECT_THAT(fused.input(), ElementsAre(below("qkv"), "cos", "sin"));
  EXPECT_THAT(fused.output(), ElementsAre(below("flat")));
  std::map<std::string, int64_t> attributes;
  for (const auto& attribute : fused.attribute()) attributes[attribute.name()] = attribute.i();
  EXPECT_EQ(attributes,
            (std::map<std::string, int64_t>{{"window", 64}, {"heads", 5}, {"head_dim", 32}}));
}

TEST(FuseAttentions, ConstantsThatNothingNeedsGo) {
  onnx::GraphProto graph = attention();
  fuse(graph);
  std::vector<std::string> names;
  for (const auto& tensor : graph.initializer()) names.push_back(tensor.name());
  EXPECT_THAT(names, ElementsAre("cos", "sin"));
}

TEST(FuseAttentions, WhatNoPatternNamesOrNoKernelComputesStays) {
  onnx::GraphProto graph = attention();
  const int nodes = graph.node_size();
  EXPECT_EQ(fuse(graph, "/vision/blocks.4/attn"), 0);
  EXPECT_EQ(graph.node_size(), nodes);
  onnx::GraphProto odd = attention(12);
  EXPECT_EQ(fuse(odd), 0);
  EXPECT_EQ(odd.node_size(), nodes);
}

TEST(FuseAttentions, RefusesAGraphThatIsNotWhatExportWrites) {
  EXPECT_THAT(refusal_of([](auto& g) { node_of(g, below("q/bs")).set_op_type("Add"); }),
              HasSubstr("in.onnx: the attention /vision/blocks.3/attn cannot become one kernel: "
                        "expected a node /vision/blocks.3/attn/q/bs (Mul)"));
  EXPECT_THAT(refusal_of([](auto& g) { node_of(g, below("k_t")).set_name("other"); }),
              HasSubstr("expected a node /vision/blocks.3/attn/k_t (Transpose)"));
  EXPECT_THAT(refusal_of([](auto& g) { node_of(g, below("k/ac")).set_input(1, "sin"); }),
              HasSubstr("node /vision/blocks.3/attn/k/ac uses 'sin'"));
  EXPECT_THAT(refusal_of([](auto& g) { node_of(g, below("q/ac")).set_input(1, "x"); }),
              HasSubstr("node /vision/blocks.3/attn/q/ac uses 'x'"));
  EXPECT_THAT(refusal_of([](auto& g) { node_of(g, below("mix")).set_input(1, below("k")); }),
              HasSubstr("node /vision/blocks.3/attn/mix uses '/vision/blocks.3/attn/k'"));
  EXPECT_THAT(refusal_of([](auto& g) { node_of(g, "y").add_input(below("softmax")); }),
              HasSubstr("node y uses '/vision/blocks.3/attn/softmax'"));
  EXPECT_THAT(refusal_of([](auto& g) { g.add_output()->set_name(below("scores")); }),
              HasSubstr("'/vision/blocks.3/attn/scores' is an output"));
  EXPECT_THAT(refusal_of([](auto& g) { g.mutable_initializer(6)->set_raw_data("short"); }),
              HasSubstr("there is no /vision/blocks.3/attn/heads/shape of 5 numbers"));
}

}  // namespace
}  // namespace sam3trt
