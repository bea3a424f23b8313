#include "precision/fusion.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/own_operators.hpp"
#include "fusion_graphs.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kPath = "/vision/blocks.3/attn";
constexpr const char* kLayer = "/decoder/layers.2";

std::string below(const std::string& name) { return std::string(kPath) + "/" + name; }

std::string in_layer(const std::string& name) { return std::string(kLayer) + "/" + name; }

std::string of_image(const std::string& name) { return in_layer("image_attn/" + name); }

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

/// One part of the heads: PART_proj -> PART_heads -> PART.
void add_heads(onnx::GraphProto& graph, const std::string& image, const std::string& part,
               const std::vector<int64_t>& shape) {
  const std::string x = image + "/" + part;
  add_constant(graph, x + "_heads/shape", shape);
  add_node(graph, x + "_proj", "Add", {"x", "x"});
  add_node(graph, x + "_heads", "Reshape", {x + "_proj", x + "_heads/shape"});
  add_node(graph, x, "Transpose", {x + "_heads"});
}

/// The bias of rows ("y") or columns ("x") by the box that `boxes` has.
void add_edge_term(onnx::GraphProto& graph, const std::string& layer, const std::string& axis) {
  const std::string at = layer + "/bias/" + axis + "/";
  for (const char* name : {"begin", "end", "axis", "half", "eight", "one", "base"}) {
    add_constant(graph, at + name, {1});
  }
  add_node(graph, at + "center", "Slice", {"boxes", at + "begin", at + "end", at + "axis"});
  add_node(graph, at + "extent", "Slice", {"boxes", at + "begin", at + "end", at + "axis"});
  add_node(graph, at + "offset", "Mul", {at + "extent", at + "half"});
  add_node(graph, at + "low", "Sub", {at + "center", at + "offset"});
  add_node(graph, at + "high", "Add", {at + "center", at + "offset"});
  add_node(graph, at + "edges", "Concat", {at + "low", at + "high"});
  add_node(graph, at + "edges_row", "Unsqueeze", {at + "edges", at + "axis"});
  add_node(graph, at + "distance", "Sub", {"/decoder/coordinates", at + "edges_row"});
  add_node(graph, at + "scaled", "Mul", {at + "distance", at + "eight"});
  add_node(graph, at + "abs", "Abs", {at + "scaled"});
  add_node(graph, at + "shifted", "Add", {at + "abs", at + "one"});
  add_node(graph, at + "log", "Log", {at + "shifted"});
  add_node(graph, at + "log8", "Mul", {at + "log", at + "base"});
  add_node(graph, at + "sign", "Sign", {at + "scaled"});
  add_node(graph, at + "signed", "Mul", {at + "sign", at + "log8"});
  const std::string mlp = at + "mlp/";
  add_node(graph, mlp + "layer0/matmul", "MatMul", {at + "signed", axis + ".w0"});
  add_node(graph, mlp + "layer0", "Add", {mlp + "layer0/matmul", axis + ".b0"});
  add_node(graph, mlp + "layer0/relu", "Relu", {mlp + "layer0"});
  add_node(graph, mlp + "layer1/matmul", "MatMul", {mlp + "layer0/relu", axis + ".w1"});
  add_node(graph, mlp + "layer1", "Add", {mlp + "layer1/matmul", axis + ".b1"});
  add_node(graph, at + "per_head", "Transpose", {mlp + "layer1"});
  add_node(graph, at + "with_presence", "Concat", {"/decoder/zero_bias", at + "per_head"});
}

/// What the layers share: boxes, weights, coordinates of 24 lines.
void add_bias_inputs(onnx::GraphProto& graph) {
  for (const std::string axis : {"x", "y"}) {
    for (const char* name : {".b0", ".w1", ".b1"}) add_constant(graph, axis + name, {1});
    add_constant(graph, axis + ".w0", {1});
    auto& weight = *graph.mutable_initializer(graph.initializer_size() - 1);
    weight.add_dims(2);
    weight.add_dims(256);
  }
  add_constant(graph, "/decoder/coordinates", {1});
  auto& coordinates = *graph.mutable_initializer(graph.initializer_size() - 1);
  coordinates.add_dims(24);
  coordinates.add_dims(1);
  add_node(graph, "boxes", "Sigmoid", {"x"});
  add_node(graph, "/decoder/zero_index", "Mul", {"x", "x"});
  add_node(graph, "/decoder/zero_bias", "Gather", {"x", "/decoder/zero_index"});
}

void add_bias(onnx::GraphProto& graph, const std::string& layer) {
  const std::string bias = layer + "/bias";
  for (const char* name : {"/rows/axes", "/columns/axes", "/shape"}) {
    add_constant(graph, bias + name, {1});
  }
  add_edge_term(graph, layer, "y");
  add_edge_term(graph, layer, "x");
  add_node(graph, bias + "/columns", "Unsqueeze",
           {bias + "/x/with_presence", bias + "/columns/axes"});
  add_node(graph, bias + "/rows", "Unsqueeze", {bias + "/y/with_presence", bias + "/rows/axes"});
  add_node(graph, bias + "/sum", "Add", {bias + "/rows", bias + "/columns"});
  add_node(graph, bias, "Reshape", {bias + "/sum", bias + "/shape"});
}

/// x -> projections and bias -> attention to the picture, as src/model/detector.cpp writes it.
void add_image_attention(onnx::GraphProto& graph, const std::string& layer, int64_t head_dim) {
  const std::string image = layer + "/image_attn";
  add_heads(graph, image, "q", {0, 37, 3, head_dim});
  add_heads(graph, image, "k", {0, 576, 3, head_dim});
  add_heads(graph, image, "v", {0, 576, 3, head_dim});
  add_bias(graph, layer);
  add_constant(graph, image + "/flat/shape", {0, 37, 3 * head_dim});
  add_node(graph, image + "/scores", "MatMul", {image + "/q", image + "/k"});
  add_node(graph, image + "/masked", "Add", {image + "/scores", layer + "/bias"});
  add_node(graph, image + "/softmax", "Softmax", {image + "/masked"});
  add_node(graph, image + "/mix", "MatMul", {image + "/softmax", image + "/v"});
  add_node(graph, image + "/join", "Transpose", {image + "/mix"});
  add_node(graph, image + "/flat", "Reshape", {image + "/join", image + "/flat/shape"});
}

onnx::GraphProto image_attention(int64_t head_dim = 32) {
  onnx::GraphProto graph;
  add_bias_inputs(graph);
  add_image_attention(graph, kLayer, head_dim);
  add_node(graph, "y", "Relu", {of_image("flat")});
  graph.add_output()->set_name("y");
  return graph;
}

int64_t fuse_image(onnx::GraphProto& graph) { return fuse(graph, "/decoder/layers.*/image_attn"); }

using Damage = std::function<void(onnx::GraphProto&)>;

std::string refusal_of(onnx::GraphProto graph, const Damage& damage) {
  damage(graph);
  try {
    fuse_nodes(graph, {"/vision/blocks.*/attn", "/decoder/layers.*/image_attn"}, "in.onnx");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "no error";
}

std::string refusal_of(const Damage& damage) { return refusal_of(attention(), damage); }

std::string image_refusal_of(const Damage& damage) { return refusal_of(image_attention(), damage); }

constexpr const char* kPosition = "/decoder/layers.2/query_position";

std::string of_position(const std::string& name) { return kPosition + ("/" + name); }

/// The position of queries by their boxes, as src/model/detector.cpp writes it.
onnx::GraphProto query_position(int64_t inputs = 512, int64_t hidden = 256) {
  onnx::GraphProto graph;
  for (const char* name : {"order", "shape", "axis", "frequencies", "b0", "w1", "b1"}) {
    add_constant(graph, name, {1});
  }
  for (const auto& [name, dims] :
       {std::pair{"w0", std::pair{inputs, hidden}},
        std::pair{"/decoder/zeros", std::pair{int64_t{1}, int64_t{96}}}}) {
    add_constant(graph, name, {1});
    auto& tensor = *graph.mutable_initializer(graph.initializer_size() - 1);
    tensor.add_dims(dims.first);
    tensor.add_dims(dims.second);
  }
  add_node(graph, "boxes", "Sigmoid", {"x"});
  add_node(graph, "/decoder/zero_row", "Gather", {"/decoder/zeros", "x"});
  add_node(graph, of_position("yxwh"), "Gather", {"boxes", "order"});
  add_node(graph, of_position("flat"), "Reshape", {of_position("yxwh"), "shape"});
  add_node(graph, of_position("pe/column"), "Unsqueeze", {of_position("flat"), "axis"});
  add_node(graph, of_position("pe/angle"), "Mul", {of_position("pe/column"), "frequencies"});
  add_node(graph, of_position("pe/sin"), "Sin", {of_position("pe/angle")});
  add_node(graph, of_position("pe/cos"), "Cos", {of_position("pe/angle")});
  add_node(graph, of_position("pe"), "Concat", {of_position("pe/sin"), of_position("pe/cos")});
  add_node(graph, of_position("joined"), "Reshape", {of_position("pe"), "shape"});
  add_node(graph, of_position("layer0/matmul"), "MatMul", {of_position("joined"), "w0"});
  add_node(graph, of_position("layer0"), "Add", {of_position("layer0/matmul"), "b0"});
  add_node(graph, of_position("relu"), "Relu", {of_position("layer0")});
  add_node(graph, of_position("layer1/matmul"), "MatMul", {of_position("relu"), "w1"});
  add_node(graph, of_position("layer1"), "Add", {of_position("layer1/matmul"), "b1"});
  add_node(graph, kPosition, "Concat", {"/decoder/zero_row", of_position("layer1")});
  add_node(graph, "y", "Relu", {kPosition});
  graph.add_output()->set_name("y");
  return graph;
}

int64_t fuse_position(onnx::GraphProto& graph) {
  return fuse(graph, "/decoder/layers.*/query_position");
}

/// x -> projections -> self-attention -> y, as src/model/detector.cpp writes it.
onnx::GraphProto self_attention(int64_t head_dim = 32) {
  const std::string self = "/encoder/layers.1/self_attn";
  onnx::GraphProto graph;
  add_heads(graph, self, "q", {0, 576, 3, head_dim});
  add_heads(graph, self, "k", {0, 576, 3, head_dim});
  add_heads(graph, self, "v", {0, 576, 3, head_dim});
  add_constant(graph, self + "/flat/shape", {0, 576, 3 * head_dim});
  add_node(graph, self + "/scores", "MatMul", {self + "/q", self + "/k"});
  add_node(graph, self + "/softmax", "Softmax", {self + "/scores"});
  add_node(graph, self + "/mix", "MatMul", {self + "/softmax", self + "/v"});
  add_node(graph, self + "/join", "Transpose", {self + "/mix"});
  add_node(graph, self + "/flat", "Reshape", {self + "/join", self + "/flat/shape"});
  add_node(graph, "y", "Relu", {self + "/flat"});
  graph.add_output()->set_name("y");
  return graph;
}

TEST(FuseSelfAttentions, OneNodeTakesThePlaceOfAll) {
  const std::string self = "/encoder/layers.1/self_attn";
  const std::string pattern = "/encoder/layers.*/self_attn";
  onnx::GraphProto graph = self_attention();
  EXPECT_EQ(fuse(graph, pattern), 1);
  EXPECT_THAT(node_names(graph), ElementsAre(self + "/q_proj", self + "/k_proj", self + "/v_proj",
                                             self + "/plain_mha", "y"));
  const auto& fused = graph.node(3);
  EXPECT_EQ(fused.op_type(), kPlainAttention);
  EXPECT_EQ(fused.domain(), kOwnDomain);
  EXPECT_THAT(fused.input(), ElementsAre(self + "/q_proj", self + "/k_proj", self + "/v_proj"));
  EXPECT_THAT(fused.output(), ElementsAre(self + "/flat"));
  EXPECT_EQ(attributes_of(fused), (std::map<std::string, int64_t>{{"heads", 3}, {"head_dim", 32}}));
  onnx::GraphProto odd = self_attention(12);
  EXPECT_EQ(fuse(odd, pattern), 0);
  onnx::GraphProto masked = self_attention();
  node_of(masked, self + "/softmax").set_input(0, self + "/masked");
  EXPECT_THROW(fuse(masked, pattern), Error);
}

TEST(FusePositions, OneNodeTakesThePlaceOfAll) {
  onnx::GraphProto graph = query_position();
  EXPECT_EQ(fuse_position(graph), 1);
  EXPECT_THAT(node_names(graph), ElementsAre("boxes", of_position("embed"), "y"));
  const auto& fused = graph.node(1);
  EXPECT_EQ(fused.op_type(), kQueryPosition);
  EXPECT_EQ(fused.domain(), kOwnDomain);
  EXPECT_THAT(fused.input(), ElementsAre("boxes", "frequencies", "w0", "b0", "w1", "b1"));
  EXPECT_THAT(fused.output(), ElementsAre(kPosition));
  EXPECT_EQ(attributes_of(fused), (std::map<std::string, int64_t>{{"unboxed", 1}}));
}

TEST(FusePositions, SizesWithoutAKernelStay) {
  for (const auto& [inputs, hidden] :
       {std::pair{520, 256}, std::pair{512, 257}, std::pair{100, 96}}) {
    onnx::GraphProto graph = query_position(inputs, hidden);
    const std::string before = graph.SerializeAsString();
    EXPECT_EQ(fuse_position(graph), 0) << inputs << " " << hidden;
    EXPECT_EQ(graph.SerializeAsString(), before);
  }
}

TEST(FusePositions, RefusesAGraphThatIsNotWhatExportWrites) {
  const auto refusal = [](const Damage& damage) {
    onnx::GraphProto graph = query_position();
    damage(graph);
    try {
      fuse_position(graph);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(refusal([](auto& g) { node_of(g, of_position("pe/sin")).set_op_type("Cos"); }),
              HasSubstr("expected a node /decoder/layers.2/query_position/pe/sin (Sin)"));
  EXPECT_THAT(refusal([](auto& g) { node_of(g, of_position("layer0/matmul")).set_input(1, "x"); }),
              HasSubstr("layer0/matmul uses 'x'"));
  EXPECT_THAT(refusal([](auto& g) { node_of(g, kPosition).set_input(0, "x"); }),
              HasSubstr("node /decoder/layers.2/query_position uses 'x'"));
  EXPECT_THAT(refusal([](auto& g) { node_of(g, "y").add_input(of_position("relu")); }),
              HasSubstr("node y uses '/decoder/layers.2/query_position/relu'"));
  EXPECT_THAT(refusal([](auto& g) { constant_of(g, "w0").clear_dims(); }),
              HasSubstr("w0 is not a matrix"));
}

TEST(FuseAttentions, OneNodeTakesThePlaceOfAll) {
  onnx::GraphProto graph = attention();
  EXPECT_EQ(fuse(graph), 1);
  EXPECT_THAT(node_names(graph), ElementsAre(below("qkv"), below("rotary_mha"), "y"));
  const auto& fused = graph.node(1);
  EXPECT_EQ(fused.op_type(), kRotaryAttention);
  EXPECT_EQ(fused.domain(), kOwnDomain);
  EXPECT_THAT(fused.input(), ElementsAre(below("qkv"), "cos", "sin"));
  EXPECT_THAT(fused.output(), ElementsAre(below("flat")));
  EXPECT_EQ(attributes_of(fused),
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
              HasSubstr("in.onnx: /vision/blocks.3/attn cannot become one kernel: "
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

TEST(FuseImageAttentions, OneNodeTakesThePlaceOfAll) {
  onnx::GraphProto graph = image_attention();
  EXPECT_EQ(fuse_image(graph), 1);
  EXPECT_THAT(node_names(graph),  // the zeros of the presence token are gone, too
              ElementsAre("boxes", of_image("q_proj"), of_image("k_proj"), of_image("v_proj"),
                          of_image("grid_mha"), "y"));
  const auto& fused = graph.node(4);
  EXPECT_EQ(fused.op_type(), kGridAttention);
  EXPECT_EQ(fused.domain(), kOwnDomain);
  EXPECT_THAT(fused.input(),
              ElementsAre(of_image("q_proj"), of_image("k_proj"), of_image("v_proj"), "boxes",
                          "y.w0", "y.b0", "y.w1", "y.b1", "x.w0", "x.b0", "x.w1", "x.b1"));
  EXPECT_THAT(fused.output(), ElementsAre(of_image("flat")));
  EXPECT_EQ(attributes_of(fused),
            (std::map<std::string, int64_t>{
                {"heads", 3}, {"head_dim", 32}, {"rows", 24}, {"columns", 24}}));
  EXPECT_EQ(graph.initializer_size(), 8);
}

TEST(FuseImageAttentions, EveryLayerGetsItsOwnNode) {
  onnx::GraphProto graph;
  add_bias_inputs(graph);
  for (const char* layer : {"/decoder/layers.0", "/decoder/layers.1"}) {
    add_image_attention(graph, layer, 64);
  }
  EXPECT_EQ(fuse_image(graph), 2);
  for (const std::string layer : {"/decoder/layers.0", "/decoder/layers.1"}) {
    const auto& fused = node_of(graph, layer + "/image_attn/grid_mha");
    EXPECT_EQ(fused.input(0), layer + "/image_attn/q_proj");
    EXPECT_EQ(fused.input(3), "boxes");
    EXPECT_THAT(fused.output(), ElementsAre(layer + "/image_attn/flat"));
  }
}

TEST(FuseImageAttentions, WhatNoPatternNamesOrNoKernelComputesStays) {
  onnx::GraphProto graph = image_attention();
  const std::string before = graph.SerializeAsString();
  EXPECT_EQ(fuse(graph, "/decoder/layers.*/text_attn"), 0);
  EXPECT_EQ(graph.SerializeAsString(), before);
  for (const int64_t head_dim : {8, 20, 48, 128}) {
    onnx::GraphProto odd = image_attention(head_dim);
    const std::string odd_before = odd.SerializeAsString();
    EXPECT_EQ(fuse_image(odd), 0) << head_dim;
    EXPECT_EQ(odd.SerializeAsString(), odd_before) << head_dim;
  }
  onnx::GraphProto wide = image_attention();
  constant_of(wide, "x.w0").set_dims(1, 257);
  const std::string wide_before = wide.SerializeAsString();
  EXPECT_EQ(fuse_image(wide), 0);
  EXPECT_EQ(wide.SerializeAsString(), wide_before);
  for (const int64_t head_dim : kAttentionHeadDims) {
    onnx::GraphProto even = image_attention(head_dim);
    EXPECT_EQ(fuse_image(even), 1) << head_dim;
  }
}

TEST(FuseImageAttentions, WhatGoesInMayBeUsedElsewhere) {
  onnx::GraphProto graph = image_attention();
  for (const std::string& name : {of_image("k_proj"), std::string("/decoder/zero_bias")}) {
    node_of(graph, "y").add_input(name);
  }
  graph.add_output()->set_name("boxes");
  EXPECT_EQ(fuse_image(graph), 1);
  EXPECT_THAT(node_names(graph), testing::Contains("/decoder/zero_bias"));
}

TEST(FuseImageAttentions, RefusesNodesThatExportDoesNotWrite) {
  EXPECT_THAT(image_refusal_of([](auto& g) { node_of(g, of_image("masked")).set_op_type("Mul"); }),
              HasSubstr("in.onnx: /decoder/layers.2/image_attn cannot become one kernel: "
                        "expected a node /decoder/layers.2/image_attn/masked (Add)"));
  EXPECT_THAT(image_refusal_of([](auto& g) { node_of(g, in_layer("bias/sum")).set_name("other"); }),
              HasSubstr("expected a node /decoder/layers.2/bias/sum (Add)"));
  EXPECT_THAT(image_refusal_of([](auto& g) { node_of(g, of_image("mix")).add_input("x"); }),
              HasSubstr("expected a node /decoder/layers.2/image_attn/mix (MatMul)"));
  EXPECT_THAT(image_refusal_of([](auto& g) { node_of(g, of_image("flat")).set_input(1, "x"); }),
              HasSubstr("node /decoder/layers.2/image_attn/flat uses 'x'"));
}

TEST(FuseImageAttentions, RefusesTensorsFromElsewhere) {
  const auto uses = [](const std::string& node, int input, const std::string& tensor) {
    return image_refusal_of([&](auto& g) { node_of(g, in_layer(node)).set_input(input, tensor); });
  };
  EXPECT_THAT(uses("image_attn/q_heads", 0, "x"),
              HasSubstr("node /decoder/layers.2/image_attn/q_heads uses 'x'"));
  EXPECT_THAT(uses("image_attn/mix", 1, of_image("k")),
              HasSubstr("node /decoder/layers.2/image_attn/mix uses "
                        "'/decoder/layers.2/image_attn/k'"));
  EXPECT_THAT(uses("image_attn/masked", 1, in_layer("bias/sum")),
              HasSubstr("node /decoder/layers.2/image_attn/masked uses "
                        "'/decoder/layers.2/bias/sum'"));
  EXPECT_THAT(uses("bias/rows", 0, in_layer("bias/x/with_presence")),
              HasSubstr("node /decoder/layers.2/bias/rows uses "
                        "'/decoder/layers.2/bias/x/with_presence'"));
  EXPECT_THAT(uses("bias/columns", 0, "/decoder/layers.1/bias/x/with_presence"),
              HasSubstr("node /decoder/layers.2/bias/columns uses "
                        "'/decoder/layers.1/bias/x/with_presence'"));
}

TEST(FuseImageAttentions, RefusesABiasThatIsNotWhatExportWrites) {
  const auto uses = [](const std::string& node, int input, const std::string& tensor) {
    return image_refusal_of(
        [&](auto& g) { node_of(g, in_layer("bias/" + node)).set_input(input, tensor); });
  };
  const auto refuses = [](const std::string& node, const std::string& tensor) {
    return HasSubstr("node /decoder/layers.2/bias/" + node + " uses '" + tensor + "'");
  };
  EXPECT_THAT(uses("x/extent", 0, "x"), refuses("x/extent", "x"));  // other boxes
  EXPECT_THAT(uses("y/center", 0, "y.w0"), refuses("y/center", "y.w0"));
  EXPECT_THAT(uses("x/distance", 0, "x.w0"), refuses("x/distance", "x.w0"));
  EXPECT_THAT(uses("y/mlp/layer0", 1, "x"), refuses("y/mlp/layer0", "x"));  // no constant
  EXPECT_THAT(uses("y/with_presence", 0, "x"), refuses("y/with_presence", "x"));
  EXPECT_THAT(uses("x/low", 1, in_layer("bias/y/offset")),
              refuses("x/low", "/decoder/layers.2/bias/y/offset"));
  EXPECT_THAT(
      image_refusal_of([](auto& g) { node_of(g, in_layer("bias/y/log")).set_op_type("Exp"); }),
      HasSubstr("expected a node /decoder/layers.2/bias/y/log (Log)"));
  EXPECT_THAT(
      image_refusal_of([](auto& g) { constant_of(g, "/decoder/coordinates").set_dims(0, 0); }),
      HasSubstr("/decoder/coordinates is not a matrix"));
  EXPECT_THAT(
      image_refusal_of([](auto& g) { constant_of(g, "/decoder/coordinates").clear_dims(); }),
      HasSubstr("/decoder/coordinates is not a matrix"));
}

TEST(FuseImageAttentions, RefusesInnerTensorsThatAreUsedElsewhere) {
  for (const std::string& name : {in_layer("bias"), of_image("softmax"), of_image("v_heads")}) {
    EXPECT_THAT(image_refusal_of([&](auto& g) { node_of(g, "y").add_input(name); }),
                HasSubstr("node y uses '" + name + "'"));
    EXPECT_THAT(image_refusal_of([&](auto& g) { g.add_output()->set_name(name); }),
                HasSubstr("'" + name + "' is an output"));
  }
}

TEST(FuseImageAttentions, RefusesHeadsThatAreNotFourPositiveNumbers) {
  const std::string shape = of_image("q_heads/shape");
  const auto of = [&](const std::vector<int64_t>& numbers) {
    return image_refusal_of([&](auto& g) {
      constant_of(g, shape).set_raw_data(numbers.data(), numbers.size() * sizeof(int64_t));
    });
  };
  const auto missing = HasSubstr("there is no " + shape + " of 4 numbers");
  EXPECT_THAT(image_refusal_of([&](auto& g) { constant_of(g, shape).set_name("other"); }),
              HasSubstr("node /decoder/layers.2/image_attn/q_heads uses '" + shape + "'"));
  EXPECT_THAT(image_refusal_of(
                  [&](auto& g) { constant_of(g, shape).set_data_type(onnx::TensorProto::FLOAT); }),
              missing);
  EXPECT_THAT(of({0, 37, 3}), missing);
  EXPECT_THAT(of({-1, 37, 3, 3, 32}), missing);
  const auto wrong = HasSubstr("its heads are not [batch, tokens, heads, size]");
  EXPECT_THAT(of({0, 37, 0, 32}), wrong);
  EXPECT_THAT(of({0, 37, 3, -1}), wrong);
}

}  // namespace
}  // namespace sam3trt
