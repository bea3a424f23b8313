#include "onnx/ops.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace sam3trt {
namespace {

class Ops : public testing::Test {
 protected:
  Value input(const std::string& name, SymbolicShape shape, DType dtype = DType::kF32) {
    return graph_.add_input(name, dtype, std::move(shape));
  }

  Graph graph_{"g"};
};

TEST_F(Ops, MatmulInfersBatchAndRefusesMismatch) {
  const Value a = input("a", {"P", 1, 7, 12});
  const Value b = input("b", {"P", 7, 12, 5});
  EXPECT_EQ(add_matmul(graph_, "/ab", a, b).shape, (SymbolicShape{"P", 7, 7, 5}));
  EXPECT_THROW(add_matmul(graph_, "/ba", b, a), Error);
}

TEST_F(Ops, OperandsOfDifferentTypesAreRefused) {
  EXPECT_THROW(add_add(graph_, "/s", input("a", {2}), input("b", {2}, DType::kI64)), Error);
}

TEST_F(Ops, ReshapeFoldsWindowsIntoTheBatch) {
  const Value x = input("x", {"B", 144, 8});
  const Value windows = add_reshape(graph_, "/w", x, {Dim("B").times(9), 16, 8});
  EXPECT_EQ(add_reshape(graph_, "/back", windows, {"B", 144, 8}).shape, x.shape);
}

TEST_F(Ops, ReshapeRefusesOtherElementCounts) {
  const Value x = input("x", {"B", 144, 8});
  EXPECT_THROW(add_reshape(graph_, "/a", x, {"B", 144, 9}), Error);
  EXPECT_THROW(add_reshape(graph_, "/b", x, {"P", 144, 8}), Error);
  EXPECT_THROW(add_reshape(graph_, "/c", x, {Dim("B").times(2), 144, 8}), Error);
}

TEST_F(Ops, TransposeAndSqueezeMoveDimensions) {
  const Value x = input("x", {"B", 1, 3});
  EXPECT_EQ(add_transpose(graph_, "/t", x, {2, 0, 1}).shape, (SymbolicShape{3, "B", 1}));
  EXPECT_EQ(add_squeeze(graph_, "/s", x, 1).shape, (SymbolicShape{"B", 3}));
  EXPECT_EQ(add_unsqueeze(graph_, "/u", x, 3).shape, (SymbolicShape{"B", 1, 3, 1}));
  EXPECT_THROW(add_squeeze(graph_, "/bad", x, 2), Error);
}

TEST_F(Ops, ConcatAddsSymbolicSizes) {
  const Value boxes = input("boxes", {"P", "K", 4});
  const Value cls = input("cls", {"P", 1, 4});
  EXPECT_EQ(add_concat(graph_, "/c", {boxes, cls}, 1).shape,
            (SymbolicShape{"P", Dim("K").plus(1), 4}));
  EXPECT_THROW(add_concat(graph_, "/bad", {boxes, cls}, 2), Error);
}

TEST_F(Ops, SplitNeedsEqualParts) {
  const Value x = input("x", {"B", 6});
  EXPECT_EQ(add_split(graph_, "/s", x, 1, 3).at(2).shape, (SymbolicShape{"B", 2}));
  EXPECT_THROW(add_split(graph_, "/bad", x, 1, 4), Error);
}

TEST_F(Ops, SliceStaysInsideTheAxis) {
  const Value x = input("x", {"B", 6});
  EXPECT_EQ(add_slice(graph_, "/s", x, 1, 2, 6).shape, (SymbolicShape{"B", 4}));
  EXPECT_THROW(add_slice(graph_, "/bad", x, 1, 2, 7), Error);
}

TEST_F(Ops, GatherPutsTheIndicesInPlaceOfTheAxis) {
  const Value data = input("data", {"B", 10, 4});
  const Value index = input("index", {"P", "K"}, DType::kI64);
  EXPECT_EQ(add_gather(graph_, "/g", data, index, 0).shape, (SymbolicShape{"P", "K", 10, 4}));
  EXPECT_THROW(add_gather(graph_, "/bad", data, data, 0), Error);
}

TEST_F(Ops, ConvolutionsInferTheirSize) {
  const Value x = input("x", {"B", 3, 28, 28});
  const Value patch = graph_.add_constant_f32("w", {8, 3, 14, 14}, std::vector<float>(8 * 588));
  EXPECT_EQ(add_conv(graph_, "/patch", x, patch, Value{}, {.stride = 14}).shape,
            (SymbolicShape{"B", 8, 2, 2}));
  const Value up = graph_.add_constant_f32("u", {3, 5, 2, 2}, std::vector<float>(60));
  const Value bias = graph_.add_constant_f32("b", {5}, std::vector<float>(5));
  EXPECT_EQ(add_conv_transpose(graph_, "/up", x, up, bias).shape, (SymbolicShape{"B", 5, 56, 56}));
  EXPECT_THROW(add_conv_transpose(graph_, "/bad", x, patch, bias), Error);
}

TEST_F(Ops, LayerNormalizationNeedsWeightsOfTheLastAxis) {
  const Value x = input("x", {"B", 7, 4});
  const Value four = graph_.add_constant_f32("four", {4}, std::vector<float>(4));
  const Value five = graph_.add_constant_f32("five", {5}, std::vector<float>(5));
  EXPECT_EQ(add_layer_normalization(graph_, "/n", x, four, four, 1e-5F).shape, x.shape);
  EXPECT_THROW(add_layer_normalization(graph_, "/bad", x, five, five, 1e-5F), Error);
}

}  // namespace
}  // namespace sam3trt
