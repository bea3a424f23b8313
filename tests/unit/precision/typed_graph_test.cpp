#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>

#include "base/error.hpp"
#include "base/half.hpp"
#include "onnx/graph.hpp"
#include "onnx/model_file.hpp"
#include "onnx/ops.hpp"
#include "precision/precision.hpp"

namespace sam3trt {
namespace {

using onnx::TensorProto;
using testing::HasSubstr;

/// A recipe of the component "part" with these rules.
Recipe recipe_of(std::vector<TypeRule> rules, Precision precision = Precision::kFp16,
                 DType low = DType::kF16) {
  Recipe recipe;
  recipe.name = "test";
  recipe.precision = precision;
  recipe.low = low;
  recipe.rules["part"] = std::move(rules);
  return recipe;
}

class TypedGraph : public testing::Test {
 protected:
  TypedGraph() : folder_(std::filesystem::path(testing::TempDir()) / "sam3trt_typed_graph_test") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~TypedGraph() override { std::filesystem::remove_all(folder_); }

  void save(Graph& graph, uint64_t inline_limit = uint64_t{32} << 20) const {
    graph.set_metadata("sam3trt.component", "part");
    graph.set_metadata("sam3trt.checkpoint_sha256", "abc");
    graph.save(input(), inline_limit);
  }

  [[nodiscard]] std::filesystem::path input() const { return folder_ / "in.onnx"; }
  [[nodiscard]] std::filesystem::path output() const { return folder_ / "out.onnx"; }

  /// A constant that counts 0.5, 1.5, ...
  static Value counting(Graph& graph, const std::string& name, const Shape& shape) {
    return graph.add_constant(name, shape, [shape]() {
      std::vector<float> values(static_cast<size_t>(element_count(shape)));
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) + 0.5F;
      return values;
    });
  }

  /// x [B, 8] -> /norm -> /product (times w) -> /sum (plus x) -> /more (plus x) -> y.
  void save_sample() const {
    Graph graph("sample");
    const Value x = graph.add_input("x", DType::kF32, {"B", 8});
    const Value scale = counting(graph, "scale", {8});
    const Value normed = add_layer_normalization(graph, "/norm", x, scale, scale, 1e-5F);
    const Value product = add_matmul(graph, "/product", normed, counting(graph, "w", {8, 8}));
    const Value sum = add_add(graph, "/sum", product, x);
    graph.add_output("y", add_add(graph, "/more", sum, x));
    save(graph);
  }

  TypedGraphReport type(const Recipe& recipe, const Calibration* calibration = nullptr) const {
    return write_typed_graph(input(), output(), recipe, calibration);
  }

  [[nodiscard]] std::string message_of(const std::function<void()>& call) const {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.what();
    }
    return "no error";
  }

  static std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::filesystem::path folder_;
};

std::map<std::string, onnx::NodeProto> nodes_of(const onnx::ModelProto& model) {
  std::map<std::string, onnx::NodeProto> nodes;
  for (const auto& node : model.graph().node()) nodes[node.name()] = node;
  return nodes;
}

std::map<std::string, TensorProto> weights_of(const onnx::ModelProto& model) {
  std::map<std::string, TensorProto> weights;
  for (const auto& tensor : model.graph().initializer()) weights[tensor.name()] = tensor;
  return weights;
}

std::vector<std::string> inputs_of(const onnx::NodeProto& node) {
  return {node.input().begin(), node.input().end()};
}

std::vector<float> halves(const TensorProto& tensor) {
  std::vector<uint16_t> bits(tensor.raw_data().size() / 2);
  std::memcpy(bits.data(), tensor.raw_data().data(), tensor.raw_data().size());
  std::vector<float> values;
  for (const uint16_t half : bits) values.push_back(f16_to_f32(half));
  return values;
}

const TypeRule kNorm{"", "LayerNormalization", DType::kF32};
const TypeRule kAllF16{"/**", "", DType::kF16};

TEST_F(TypedGraph, ASumThatIsNormalisedInOneKernelStaysInFloat32) {
  Graph graph("sample");
  const Value x = graph.add_input("x", DType::kF32, {"B", 4, 8});
  const Value scale = counting(graph, "scale", {8});
  const Value w = counting(graph, "w", {8, 8});
  const Value first = add_matmul(graph, "/layer/first", x, w);
  const Value sum = add_add(graph, "/layer/residual1", x, first);
  const Value normed = add_layer_normalization(graph, "/layer/norm2", sum, scale, scale, 1e-5F);
  const Value second = add_matmul(graph, "/layer/second", normed, w);
  graph.add_output("y", add_add(graph, "/layer/residual2", sum, second));
  save(graph);
  Recipe recipe = recipe_of({{"/layer/**", "", DType::kF16}});
  recipe.fused["part"] = {"/layer/norm*"};
  EXPECT_EQ(type(recipe).own_operators, 1);
  const auto nodes = nodes_of(read_model(output()));
  const onnx::NodeProto& fused = nodes.at("/layer/norm2/residual_norm");
  EXPECT_EQ(inputs_of(fused), (std::vector<std::string>{"/layer/first", "x", "scale", "scale"}));
  // The normalised sum is in half precision as it is, the sum is cast.
  EXPECT_EQ(nodes.at("/layer/second").input(0), "/layer/norm2");
  EXPECT_EQ(nodes.at("/layer/residual1/to_f16").input(0), "/layer/residual1");
}

TEST_F(TypedGraph, CastsStandWhereTypesMeetAndAreShared) {
  save_sample();
  const TypedGraphReport report = type(recipe_of({kNorm, kAllF16}));
  const onnx::ModelProto model = read_model(output());
  auto nodes = nodes_of(model);
  EXPECT_EQ(inputs_of(nodes["/norm"]), (std::vector<std::string>{"x", "scale", "scale"}));
  EXPECT_EQ(inputs_of(nodes["/product"]), (std::vector<std::string>{"/norm/to_f16", "w/f16"}));
  EXPECT_EQ(inputs_of(nodes["/sum"]), (std::vector<std::string>{"/product", "x/to_f16"}));
  EXPECT_EQ(inputs_of(nodes["/more"]), (std::vector<std::string>{"/sum", "x/to_f16"}));
  EXPECT_EQ(inputs_of(nodes["/output/y"]), (std::vector<std::string>{"/more/to_f32"}));
  EXPECT_EQ(nodes["x/to_f16"].op_type(), "Cast");
  EXPECT_EQ(nodes["x/to_f16"].attribute(0).i(), TensorProto::FLOAT16);
  EXPECT_EQ(report.casts, 3);
  EXPECT_EQ(report.nodes.at(DType::kF32), 2);
  EXPECT_EQ(report.nodes.at(DType::kF16), 3);
  EXPECT_EQ(model.graph().output(0).type().tensor_type().elem_type(), TensorProto::FLOAT);
}

TEST_F(TypedGraph, TheHashTellsTypesApartAndNotNames) {
  save_sample();
  Recipe renamed = recipe_of({kNorm, kAllF16});
  const std::string hash = type(renamed).graph_sha256;
  renamed.name = "another";
  EXPECT_EQ(type(renamed).graph_sha256, hash);
  EXPECT_NE(type(recipe_of({kAllF16})).graph_sha256, hash);
}

TEST_F(TypedGraph, WeightsAreStoredInTheTypeOfTheirNode) {
  save_sample();
  const TypedGraphReport report = type(recipe_of({kNorm, kAllF16}));
  auto weights = weights_of(read_model(output()));
  EXPECT_EQ(weights.size(), 2U);
  EXPECT_EQ(weights["scale"].data_type(), TensorProto::FLOAT);
  ASSERT_EQ(weights["w/f16"].data_type(), TensorProto::FLOAT16);
  const std::vector<float> values = halves(weights["w/f16"]);
  ASSERT_EQ(values.size(), 64U);
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], static_cast<float>(i) + 0.5F);
  EXPECT_EQ(report.narrowed_weights, 64);
}

TEST_F(TypedGraph, AWeightUsedInTwoTypesIsStoredTwice) {
  Graph graph("g");
  const Value x = graph.add_input("x", DType::kF32, {8});
  const Value w = counting(graph, "w", {8});
  const Value wide = add_add(graph, "/wide", x, w);
  graph.add_output("y", add_add(graph, "/narrow", wide, w));
  save(graph);
  type(recipe_of({{"/narrow", "", DType::kF16}}));
  EXPECT_THAT(weights_of(read_model(output())),
              testing::UnorderedElementsAre(testing::Key("w"), testing::Key("w/f16")));
}

TEST_F(TypedGraph, TheFirstRuleDecidesAndNodesWithoutOneAreFloat32) {
  save_sample();
  const TypedGraphReport report = type(
      recipe_of({{"/sum", "", DType::kF32}, {"/sum", "", DType::kF16}, {"/x", "", DType::kF16}}));
  EXPECT_EQ(report.nodes.at(DType::kF32), 5);
  EXPECT_EQ(report.casts, 0);
  EXPECT_EQ(report.unused, (std::vector<std::string>{"/sum", "/x"}));
}

TEST_F(TypedGraph, NodesThatOnlyMoveDataKeepTheTypeOfTheirInput) {
  Graph graph("g");
  const Value x = graph.add_input("x", DType::kF32, {4, 8});
  const Value narrow = add_relu(graph, "/relu", x);
  const Value turned = add_transpose(graph, "/turn", narrow, {1, 0});
  const Value same = add_concat(graph, "/same", {turned, turned}, 0);
  const Value wide = add_reshape(graph, "/wide", x, {8, 4});
  const Value mixed = add_concat(graph, "/mixed", {same, wide}, 0);
  graph.add_output("y", mixed);
  save(graph);
  const TypedGraphReport report = type(recipe_of({{"/relu", "", DType::kF16}}));
  auto nodes = nodes_of(read_model(output()));
  EXPECT_EQ(inputs_of(nodes["/same"]), (std::vector<std::string>{"/turn", "/turn"}));
  EXPECT_EQ(inputs_of(nodes["/mixed"]), (std::vector<std::string>{"/same/to_f32", "/wide"}));
  EXPECT_EQ(report.casts, 2);
}

TEST_F(TypedGraph, ARuleMayTellAnyNodeToFollowItsInputs) {
  save_sample();
  const TypedGraphReport report =
      type(recipe_of({kNorm, {"/product", "", DType::kF16}, {"/sum", "", std::nullopt}}));
  // /sum adds a half and a float.
  EXPECT_EQ(report.nodes.at(DType::kF16), 1);
}

TEST_F(TypedGraph, IntegersAndScalesAreLeftAlone) {
  Graph graph("g");
  const Value x = graph.add_input("x", DType::kF32, {1, 2, 4, 4});
  const Value index = graph.add_input("index", DType::kI64, {"P"});
  const Value rows = add_mul(graph, "/rows", index, graph.add_constant_i64("zero", {}, {0}));
  const Value picked = add_gather(graph, "/picked", x, rows, 0);
  graph.add_output("y", add_upsample_nearest_2x(graph, "/up", picked));
  save(graph);
  const TypedGraphReport report = type(recipe_of({kAllF16}));
  const onnx::ModelProto model = read_model(output());
  auto nodes = nodes_of(model);
  EXPECT_EQ(inputs_of(nodes["/rows"]), (std::vector<std::string>{"index", "zero"}));
  EXPECT_EQ(inputs_of(nodes["/picked"]), (std::vector<std::string>{"x/to_f16", "/rows"}));
  EXPECT_EQ(inputs_of(nodes["/up"]), (std::vector<std::string>{"/picked", "", "/up/scales"}));
  EXPECT_EQ(weights_of(model)["/up/scales"].data_type(), TensorProto::FLOAT);
  EXPECT_EQ(weights_of(model)["zero"].data_type(), TensorProto::INT64);
  EXPECT_EQ(report.nodes.at(DType::kF16), 2);
}

TEST_F(TypedGraph, InputsAndOutputsTakeTheTypesOfTheRecipe) {
  save_sample();
  Recipe recipe = recipe_of({kAllF16});
  recipe.io = {{"x", DType::kF16}, {"y", DType::kBF16}};
  type(recipe);
  const onnx::ModelProto model = read_model(output());
  EXPECT_EQ(model.graph().input(0).type().tensor_type().elem_type(), TensorProto::FLOAT16);
  EXPECT_EQ(model.graph().output(0).type().tensor_type().elem_type(), TensorProto::BFLOAT16);
  auto nodes = nodes_of(model);
  EXPECT_EQ(inputs_of(nodes["/norm"])[0], "x");
  EXPECT_EQ(nodes["/more/to_bf16"].attribute(0).i(), TensorProto::BFLOAT16);
}

TEST_F(TypedGraph, TheMaskedScoreIsExactInHalfPrecision) {
  Graph graph("g");
  const Value x = graph.add_input("x", DType::kF32, {2});
  const Value mask = graph.add_constant_f32("mask", {2}, {0.0F, -1.0e4F});
  graph.add_output("y", add_add(graph, "/masked", x, mask));
  save(graph);
  type(recipe_of({kAllF16}));
  EXPECT_EQ(halves(weights_of(read_model(output()))["mask/f16"]),
            (std::vector<float>{0.0F, -1.0e4F}));
}

TEST_F(TypedGraph, MetadataTellsPrecisionAndRecipe) {
  save_sample();
  const Recipe recipe = recipe_of({kAllF16});
  type(recipe);
  const onnx::ModelProto model = read_model(output());
  EXPECT_EQ(metadata_value(model, "sam3trt.precision"), "fp16");
  EXPECT_EQ(metadata_value(model, "sam3trt.recipe"), "test");
  EXPECT_EQ(metadata_value(model, "sam3trt.recipe_sha256"), recipe.sha256());
  EXPECT_EQ(metadata_value(model, "sam3trt.component"), "part");
}

TEST_F(TypedGraph, ATypedGraphIsNotTypedAgain) {
  save_sample();
  type(recipe_of({kAllF16}));
  EXPECT_THAT(message_of([&] {
                write_typed_graph(output(), folder_ / "twice.onnx", recipe_of({kAllF16}));
              }),
              HasSubstr("already typed (fp16)"));
}

TEST_F(TypedGraph, TheSourceIsNotReplaced) {
  save_sample();
  EXPECT_THAT(message_of([&] { write_typed_graph(input(), input(), recipe_of({kAllF16})); }),
              HasSubstr("would replace"));
}

TEST_F(TypedGraph, AForeignGraphIsRefused) {
  Graph graph("g");
  graph.add_output("y", add_relu(graph, "/r", graph.add_input("x", DType::kF32, {2})));
  graph.save(input());
  EXPECT_THAT(message_of([&] { type(recipe_of({kAllF16})); }), HasSubstr("not a graph written by"));
}

TEST_F(TypedGraph, UnknownOperatorsAreListed) {
  save_sample();
  onnx::ModelProto model = read_model(input());
  model.mutable_graph()->mutable_node(1)->set_op_type("Einsum");
  model.mutable_graph()->mutable_node(2)->set_domain("com.example");
  std::ofstream(input(), std::ios::binary) << model.SerializeAsString();
  const std::string message = message_of([&] { type(recipe_of({kAllF16})); });
  EXPECT_THAT(message, HasSubstr("Einsum (node '/product')"));
  EXPECT_THAT(message, HasSubstr("Add (node '/sum')"));
}

TEST_F(TypedGraph, NodesOutOfOrderAreRefused) {
  save_sample();
  onnx::ModelProto model = read_model(input());
  model.mutable_graph()->mutable_node()->SwapElements(0, 1);
  std::ofstream(input(), std::ios::binary) << model.SerializeAsString();
  EXPECT_THAT(message_of([&] { type(recipe_of({kAllF16})); }),
              HasSubstr("node '/product' uses '/norm' before any node makes it"));
}

TEST_F(TypedGraph, OverflowingWeightsAreNamedAndLeaveNoFile) {
  Graph graph("g");
  const Value x = graph.add_input("x", DType::kF32, {2});
  const Value large = graph.add_constant_f32("large", {2}, {1.0F, 7.0e4F});
  graph.add_output("y", add_add(graph, "/sum", x, large));
  save(graph);
  const std::string message = message_of([&] { type(recipe_of({kAllF16})); });
  EXPECT_THAT(message, HasSubstr("'large' (node '/sum'): 1 of 2 values"));
  EXPECT_THAT(message, HasSubstr("use bf16"));
  EXPECT_FALSE(std::filesystem::exists(output()));
  type(recipe_of({{"/**", "", DType::kBF16}}, Precision::kBf16, DType::kBF16));
  EXPECT_TRUE(std::filesystem::exists(output()));
}

TEST_F(TypedGraph, FlushedWeightsAreReported) {
  Graph graph("g");
  const Value x = graph.add_input("x", DType::kF32, {3});
  const Value small = graph.add_constant_f32("small", {3}, {1.0e-9F, 1.2345e-6F, 1.0F});
  graph.add_output("y", add_add(graph, "/sum", x, small));
  save(graph);
  const TypedGraphReport report = type(recipe_of({kAllF16}));
  EXPECT_EQ(report.flushed_weights, 1);
  EXPECT_EQ(report.subnormal_weights, 1);
}

TEST_F(TypedGraph, TheSameInputsGiveTheSameBytes) {
  save_sample();
  type(recipe_of({kNorm, kAllF16}));
  const std::string first = read(output());
  type(recipe_of({kNorm, kAllF16}));
  EXPECT_EQ(read(output()), first);
}

TEST_F(TypedGraph, WeightsInADataFileStayInOne) {
  Graph graph("g");
  const Value x = graph.add_input("x", DType::kF32, {"B", 32});
  graph.add_output("y", add_matmul(graph, "/product", x, counting(graph, "w", {32, 32})));
  save(graph, 1000);
  const TypedGraphReport report =
      write_typed_graph(input(), output(), recipe_of({kAllF16}), nullptr, 1000);
  ASSERT_EQ(report.written.size(), 2U);
  const std::string data = read(folder_ / "out.onnx.data");
  ASSERT_EQ(data.size(), 2048U);
  uint16_t last = 0;
  std::memcpy(&last, data.data() + 2046, 2);
  EXPECT_EQ(f16_to_f32(last), 1023.5F);
}

TEST_F(TypedGraph, ADamagedDataFileIsRefused) {
  Graph graph("g");
  const Value x = graph.add_input("x", DType::kF32, {"B", 32});
  graph.add_output("y", add_matmul(graph, "/product", x, counting(graph, "w", {32, 32})));
  save(graph, 1000);
  std::filesystem::resize_file(input().string() + ".data", 4095);
  EXPECT_THAT(message_of([&] { type(recipe_of({kAllF16})); }), HasSubstr("beyond the end"));
  std::filesystem::remove(input().string() + ".data");
  EXPECT_THAT(message_of([&] { type(recipe_of({kAllF16})); }), HasSubstr("is missing"));
  onnx::ModelProto model = read_model(input());
  auto* entry = model.mutable_graph()->mutable_initializer(0)->mutable_external_data(0);
  ASSERT_EQ(entry->key(), "location");
  for (const char* location : {"../secret", "/etc/passwd", "..", ""}) {
    entry->set_value(location);
    std::ofstream(input(), std::ios::binary) << model.SerializeAsString();
    EXPECT_THAT(message_of([&] { type(recipe_of({kAllF16})); }), HasSubstr("beside the model"));
  }
}

TEST_F(TypedGraph, ImpossibleShapesAreRefused) {
  save_sample();
  const onnx::ModelProto good = read_model(input());
  for (const int64_t dim : {int64_t{-1}, int64_t{1} << 40, int64_t{7}}) {
    onnx::ModelProto model = good;
    for (auto& tensor : *model.mutable_graph()->mutable_initializer()) {
      for (int i = 0; i < tensor.dims_size(); ++i) tensor.set_dims(i, dim);
    }
    std::ofstream(input(), std::ios::binary) << model.SerializeAsString();
    EXPECT_THAT(message_of([&] { type(recipe_of({kAllF16})); }), HasSubstr("tensor '"));
  }
}

/// x W with W [8, 8] quantised.
class QuantisedGraph : public TypedGraph {
 protected:
  QuantisedGraph() : recipe_(recipe_of({kNorm, kAllF16}, Precision::kFp8)) {
    recipe_.fp8["part"] = {"/product"};
    save_sample();
    calibration_ = {"part", "abc", 1, {{"/product", 4.48F}}};
  }

  Recipe recipe_;
  Calibration calibration_;
};

TEST_F(QuantisedGraph, BothFactorsPassThroughFp8) {
  const TypedGraphReport report = type(recipe_, &calibration_);
  EXPECT_EQ(report.fp8_products, 1);
  const onnx::ModelProto model = read_model(output());
  auto nodes = nodes_of(model);
  EXPECT_EQ(inputs_of(nodes["/product"]),
            (std::vector<std::string>{"/product/dequantise", "/product/weight"}));
  EXPECT_EQ(inputs_of(nodes["/product/quantise"]),
            (std::vector<std::string>{"/norm/to_f16", "/product/scale", "/fp8/zero"}));
  EXPECT_EQ(inputs_of(nodes["/product/weight"]), (std::vector<std::string>{"w/f8", "w/f8_scale"}));
  EXPECT_EQ(nodes["/product/weight"].attribute(0).i(), 1);
  auto weights = weights_of(model);
  EXPECT_FALSE(weights.contains("w/f16"));
  EXPECT_EQ(weights["w/f8"].data_type(), TensorProto::FLOAT8E4M3FN);
  EXPECT_EQ(weights["w/f8"].raw_data().size(), 64U);
  EXPECT_NEAR(halves(weights["/product/scale"])[0], 0.01F, 1e-5F);
  // The last row holds the largest value of every column: 56.5, 57.5, ...
  const std::vector<float> scales = halves(weights["w/f8_scale"]);
  ASSERT_EQ(scales.size(), 8U);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_NEAR(scales[i] * 448.0F, 56.5F + static_cast<float>(i), 0.07F);
    EXPECT_EQ(weights["w/f8"].raw_data()[56 + i], '\x7E');
  }
}

TEST_F(QuantisedGraph, ProductsWithoutCalibrationAreListed) {
  EXPECT_THAT(message_of([&] { type(recipe_); }),
              HasSubstr("lacks these matrix products:\n  /product"));
  calibration_.amax = {{"/other", 1.0F}};
  EXPECT_THAT(message_of([&] { type(recipe_, &calibration_); }), HasSubstr("\n  /product"));
}

TEST_F(QuantisedGraph, ACalibrationOfAnotherCheckpointIsRefused) {
  calibration_.checkpoint_sha256 = "def";
  EXPECT_THAT(message_of([&] { type(recipe_, &calibration_); }), HasSubstr("another checkpoint"));
}

TEST_F(QuantisedGraph, OnlyProductsWithWeightsCanBeQuantised) {
  for (const char* pattern : {"/sum", "/norm"}) {
    recipe_.fp8["part"] = {pattern};
    EXPECT_THAT(message_of([&] { type(recipe_, &calibration_); }),
                HasSubstr("which is not an f16"));
  }
  recipe_.fp8["part"] = {"/product"};
  recipe_.rules["part"] = {{"/**", "", DType::kF32}};
  EXPECT_THAT(message_of([&] { type(recipe_, &calibration_); }), HasSubstr("which is not an f16"));
}

}  // namespace
}  // namespace sam3trt
