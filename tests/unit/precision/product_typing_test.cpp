#include <gmock/gmock.h>

#include <bit>
#include <cmath>
#include <map>

#include "base/error.hpp"
#include "base/own_operators.hpp"
#include "precision/graph_typer.hpp"
#include "precision/weight_forms.hpp"

namespace sam3trt {
namespace {

using onnx::TensorProto;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kMlpNode = "/vision/blocks.0/mlp/products";

/// An MLP of 16 and 32 values and an attention within windows of 9 tokens.
class ProductTyping : public testing::Test {
 protected:
  ProductTyping() {
    add_input("x");
    add_node(kRotaryAttention, "/vision/blocks.0/attn/rotary_mha", {"x", "cos", "sin"})
        .add_attribute();
    auto& window = *graph_.mutable_node(0)->mutable_attribute(0);
    window.set_name("window");
    window.set_i(9);
    add_node(kMlp, kMlpNode, {"x", "b1", "b2", "w1", "w2", "gain", "shift"});
    for (const auto& [name, dims] : std::map<std::string, std::vector<int64_t>>{{"cos", {9, 4}},
                                                                                {"sin", {9, 4}},
                                                                                {"b1", {32}},
                                                                                {"b2", {16}},
                                                                                {"w1", {16, 32}},
                                                                                {"w2", {32, 16}},
                                                                                {"gain", {16}},
                                                                                {"shift", {16}}}) {
      auto* tensor = graph_.add_initializer();
      tensor->set_name(name);
      tensor->set_data_type(TensorProto::FLOAT);
      for (const int64_t size : dims) tensor->add_dims(size);
    }
    graph_.add_output()->set_name(kMlpNode);
    recipe_.low = DType::kF16;
    recipe_.rules["vision_encoder"] = {{"/vision/**", "", DType::kF16}};
    recipe_.io[kMlpNode] = DType::kF16;
    calibration_.amax = {{"/vision/blocks.0/mlp/fc1/matmul", 448.0F},
                         {"/vision/blocks.0/mlp/fc2/matmul", 896.0F}};
  }

  void add_input(const std::string& name) {
    auto* input = graph_.add_input();
    input->set_name(name);
    input->mutable_type()->mutable_tensor_type()->set_elem_type(TensorProto::FLOAT);
  }

  onnx::NodeProto& add_node(const std::string& op, const std::string& name,
                            const std::vector<std::string>& inputs) {
    auto* node = graph_.add_node();
    node->set_op_type(op);
    node->set_domain(kOwnDomain);
    node->set_name(name);
    for (const std::string& input : inputs) node->add_input(input);
    node->add_output(name);
    return *node;
  }

  void quantise(const std::vector<std::string>& patterns) {
    recipe_.fp8["vision_encoder"] = patterns;
  }

  [[nodiscard]] GraphTyper typer(ProductAlgorithms algorithms = {}) const {
    return {graph_, "vision_encoder", recipe_, &calibration_, "graph", std::move(algorithms)};
  }

  static const onnx::NodeProto& mlp_of(const onnx::GraphProto& graph) {
    for (const auto& node : graph.node()) {
      if (node.op_type() == kMlp) return node;
    }
    throw std::runtime_error("there is no MLP");
  }

  static std::map<std::string, int64_t> attributes_of(const onnx::NodeProto& node) {
    std::map<std::string, int64_t> attributes;
    for (const auto& each : node.attribute()) attributes[each.name()] = each.i();
    return attributes;
  }

  std::string message_of() {
    try {
      static_cast<void>(typer().run());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.what();
    }
    return {};
  }

  onnx::GraphProto graph_;
  Recipe recipe_;
  Calibration calibration_;
};

TEST_F(ProductTyping, WeightsOfAnOperatorAreNarrowAndItsNormalisationIsNot) {
  GraphTyper typer = this->typer();
  const onnx::GraphProto typed = typer.run();
  const onnx::NodeProto& mlp = mlp_of(typed);
  EXPECT_THAT(mlp.input(), ElementsAre("x/to_f16", "b1/f16", "b2/f16", "w1/f16", "w2/f16", "gain",
                                       "shift", std::string(kMlpNode) + "/scales"));
  EXPECT_EQ(attributes_of(mlp), (std::map<std::string, int64_t>{{"fp8", 0}}));
  EXPECT_EQ(typer.report().own_products, 1);
  EXPECT_EQ(typer.report().fp8_products, 0);
}

TEST_F(ProductTyping, AQuantisedOperatorTakesPackedWeightsAndScales) {
  quantise({"/vision/blocks.*/mlp/fc*/matmul"});
  GraphTyper typer = this->typer();
  const onnx::GraphProto typed = typer.run();
  const onnx::NodeProto& mlp = mlp_of(typed);
  EXPECT_EQ(mlp.input(1), "b1/f16");
  EXPECT_EQ(mlp.input(3), "w1/f8_rows");
  EXPECT_EQ(mlp.input(4), "w2/f8_rows");
  EXPECT_EQ(attributes_of(mlp).at("fp8"), 1);
  EXPECT_EQ(typer.report().fp8_products, 2);
  std::map<std::string, WeightUse> uses;
  for (const WeightUse& use : typer.weights()) uses[use.name] = use;
  EXPECT_EQ(uses.at("w1/f8_rows").product, 0U);
  EXPECT_EQ(uses.at("w2/f8_rows").product, 1U);
  EXPECT_EQ(uses.at("w1/f8_rows").input_scale, 1.0F);
  EXPECT_EQ(uses.at("w2/f8_rows").input_scale, 2.0F);
  EXPECT_EQ(uses.at("w2/f8_rows").scales, std::string(kMlpNode) + "/scales");
  EXPECT_TRUE(typer.report().unused.empty());
}

TEST_F(ProductTyping, AlgorithmsAreAskedForAndBecomeAttributes) {
  OwnProduct asked;
  GraphTyper typer = this->typer([&](const OwnProduct& product) {
    asked = product;
    return std::vector<std::array<uint64_t, 8>>{{0xFFFFFFFE00000001, 2, 3, 4, 5, 6, 7, 8},
                                                {0, 0, 0, 0, 0, 0, 0, 0x9000000000}};
  });
  const onnx::GraphProto typed = typer.run();
  EXPECT_EQ(asked.op, kMlp);
  EXPECT_EQ(asked.tokens, 9);
  EXPECT_FALSE(asked.fp8);
  EXPECT_THAT(asked.sizes, ElementsAre(std::pair<int64_t, int64_t>{16, 32},
                                       std::pair<int64_t, int64_t>{32, 16}));
  const auto attributes = attributes_of(mlp_of(typed));
  EXPECT_EQ(attributes.at("algorithm0"), 1);
  EXPECT_EQ(attributes.at("algorithm1"), -2);
  EXPECT_EQ(attributes.at("algorithm14"), 8);
  EXPECT_EQ(attributes.at("algorithm15"), 0);
  EXPECT_EQ(attributes.at("algorithm30"), 0);
  EXPECT_EQ(attributes.at("algorithm31"), 0x90);
  for (const auto& [name, value] : attributes) {  // the parser keeps no more
    EXPECT_EQ(value, static_cast<int32_t>(value)) << name;
  }
}

TEST_F(ProductTyping, HalfAnOperatorIsNotQuantised) {
  quantise({"/vision/blocks.*/mlp/fc1/matmul"});
  EXPECT_THAT(message_of(), HasSubstr("/vision/blocks.0/mlp/fc2/matmul"));
  quantise({"/vision/blocks.*/mlp/fc2/matmul"});
  EXPECT_THAT(message_of(), HasSubstr("but not both"));
}

TEST_F(ProductTyping, AnOperatorInFloat32IsRefused) {
  recipe_.rules["vision_encoder"] = {{"/vision/**", "", DType::kF32}};
  recipe_.io.clear();
  EXPECT_THAT(message_of(), HasSubstr(std::string(kMlpNode) + "' in float32"));
}

TEST_F(ProductTyping, ProductsThatTheCalibrationLacksAreNamed) {
  quantise({"/vision/blocks.*/mlp/fc*/matmul"});
  calibration_.amax.erase("/vision/blocks.0/mlp/fc2/matmul");
  EXPECT_THAT(message_of(), HasSubstr("lacks these matrix products:\n  /vision/blocks.0/mlp/fc2"));
}

TEST(TransposedWeights, HaveOneScaleThatHoldsTheLargest) {
  const std::vector<float> values = {1, -2, 896, 4, 0, 3.5F};  // [2, 3]
  const Fp8Transpose matrix = in_fp8_transposed(values, 3);
  EXPECT_EQ(matrix.scale, 2.0F);
  EXPECT_TRUE(matrix.finite);
  // 1, 4, -2, 0, 896 and 3.5 divided by 2: 0.5, 2, -1, 0, 448, 1.75
  EXPECT_THAT(matrix.data, ElementsAre(std::byte{0x30}, std::byte{0x40}, std::byte{0xB8},
                                       std::byte{0}, std::byte{0x7E}, std::byte{0x3E}));
  EXPECT_GT(in_fp8_transposed(std::vector<float>{0, 0}, 1).scale, 0.0F);
  EXPECT_FALSE(in_fp8_transposed(std::vector<float>{1, std::nanf("")}, 1).finite);
}

}  // namespace
}  // namespace sam3trt
