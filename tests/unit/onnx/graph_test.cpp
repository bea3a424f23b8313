#include "onnx/graph.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/error.hpp"
#include "onnx/graph_info.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

class GraphFiles : public testing::Test {
 protected:
  GraphFiles() : folder_(std::filesystem::path(testing::TempDir()) / "sam3trt_graph_test") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~GraphFiles() override { std::filesystem::remove_all(folder_); }

  static std::string read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  /// y = x W with a weight of 1024 floats that counts upwards.
  static Graph sample() {
    Graph graph("sample");
    const Value x = graph.add_input("x", DType::kF32, {"B", 32});
    const Value w = graph.add_constant("w", {32, 32}, []() {
      std::vector<float> values(1024);
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
      return values;
    });
    graph.add_output("y", add_matmul(graph, "/product", x, w));
    graph.set_metadata("key", "value");
    return graph;
  }

  std::filesystem::path folder_;
};

TEST_F(GraphFiles, SavedGraphTellsItsInputsOutputsAndMetadata) {
  EXPECT_THAT(sample().save(folder_ / "g.onnx"), testing::ElementsAre(folder_ / "g.onnx"));
  const GraphInfo info = read_graph_info(folder_ / "g.onnx");
  ASSERT_EQ(info.inputs.size(), 1U);
  EXPECT_EQ(info.inputs[0].name, "x");
  EXPECT_EQ(info.inputs[0].shape, (Shape{-1, 32}));
  EXPECT_EQ(info.outputs.at(0).name, "y");
  EXPECT_EQ(info.metadata.at("key"), "value");
  EXPECT_EQ(info.opset, 20);
  EXPECT_EQ(info.operator_counts.at("MatMul"), 1);
  EXPECT_EQ(info.initializer_bytes, 4096);
}

TEST_F(GraphFiles, SameCallsGiveTheSameBytes) {
  sample().save(folder_ / "a.onnx");
  sample().save(folder_ / "b.onnx");
  EXPECT_EQ(read(folder_ / "a.onnx"), read(folder_ / "b.onnx"));
}

TEST_F(GraphFiles, LargeWeightsGoToTheDataFile) {
  EXPECT_EQ(sample().save(folder_ / "g.onnx", 1000).size(), 2U);
  const std::string data = read(folder_ / "g.onnx.data");
  ASSERT_EQ(data.size(), 4096U);
  float last = 0;
  std::memcpy(&last, data.data() + 4092, 4);
  EXPECT_EQ(last, 1023.0F);
  EXPECT_LT(read(folder_ / "g.onnx").size(), 1000U);
}

TEST_F(GraphFiles, AnOldDataFileIsRemovedWhenNothingRefersToIt) {
  sample().save(folder_ / "g.onnx", 1000);
  sample().save(folder_ / "g.onnx");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "g.onnx.data"));
}

TEST_F(GraphFiles, FailingConstantLeavesNoFile) {
  Graph graph("broken");
  const Value x = graph.add_input("x", DType::kF32, {2});
  graph.add_output("y", add_add(graph, "/sum", x, graph.add_constant("c", {2}, []() {
                     return std::vector<float>(3);
                   })));
  EXPECT_THROW(graph.save(folder_ / "g.onnx"), Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(GraphFiles, ReadingRefusesWhatIsNoModel) {
  for (const std::string content : {"", "not a protobuf", "\x08\x09"}) {
    std::ofstream(folder_ / "bad.onnx", std::ios::binary) << content;
    try {
      (void)read_graph_info(folder_ / "bad.onnx");
      FAIL() << "no error for " << content.size() << " bytes";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), testing::HasSubstr("bad.onnx: not an ONNX model"));
    }
  }
}

TEST_F(GraphFiles, ReadingRefusesATruncatedModel) {
  sample().save(folder_ / "g.onnx");
  const std::string whole = read(folder_ / "g.onnx");
  for (size_t size = 0; size < whole.size(); size += 37) {
    std::ofstream(folder_ / "cut.onnx", std::ios::binary) << whole.substr(0, size);
    EXPECT_THROW((void)read_graph_info(folder_ / "cut.onnx"), Error) << size;
  }
}

TEST(Graph, DuplicateNamesThrow) {
  Graph graph("g");
  graph.add_input("x", DType::kF32, {2});
  EXPECT_THROW(graph.add_input("x", DType::kF32, {2}), Error);
  EXPECT_THROW(graph.add_constant_f32("x", {1}, {0.0F}), Error);
}

TEST(Graph, NodesMayOnlyUseTensorsThatExist) {
  Graph graph("g");
  const Value ghost{"ghost", DType::kF32, {2}};
  EXPECT_THROW(add_relu(graph, "/relu", ghost), Error);
}

TEST(Graph, IntegerConstantsMustFitTheirShape) {
  Graph graph("g");
  EXPECT_THROW(graph.add_constant_i64("c", {3}, {1, 2}), Error);
}

}  // namespace
}  // namespace sam3trt
