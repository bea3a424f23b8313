#include "onnx/graph_info.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <onnx/onnx-ml.pb.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.hpp"

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class HashGraph : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_);
    model_.add_opset_import()->set_version(20);
    model_.mutable_graph()->set_name("g");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static void place(onnx::TensorProto* tensor, const std::string& name, const std::string& file) {
    tensor->set_name(name);
    tensor->set_data_location(onnx::TensorProto::EXTERNAL);
    auto* entry = tensor->add_external_data();
    entry->set_key("location");
    entry->set_value(file);
  }

  void write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }

  std::string hash() const {
    write("g.onnx", model_.SerializeAsString());
    return hash_graph(folder_ / "g.onnx");
  }

  std::string error() const {
    try {
      return "no error: " + hash();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.what();
    }
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("sam3trt_graph_info_" + std::to_string(::getpid()));
  onnx::ModelProto model_;
};

TEST_F(HashGraph, TheShapesAreThoseOfAllWeightsWhateverTheirValues) {
  auto* graph = model_.mutable_graph();
  auto* weight = graph->add_initializer();
  weight->set_name("w");
  weight->set_data_type(onnx::TensorProto::FLOAT);
  weight->add_dims(1);
  weight->set_raw_data("one.");
  graph->add_node()->set_op_type("Relu");
  const auto shapes = [&] {
    write("g.onnx", model_.SerializeAsString());
    return hash_graph_shapes(folder_ / "g.onnx");
  };
  const std::string before = shapes();
  weight->set_raw_data("two.");
  auto* metadata = model_.add_metadata_props();
  metadata->set_key("sam3trt.checkpoint_sha256");
  metadata->set_value("another");
  EXPECT_EQ(shapes(), before);
  place(weight, "w", "weights.bin");
  weight->clear_raw_data();
  EXPECT_EQ(shapes(), before);
  weight->set_dims(0, 2);
  EXPECT_NE(shapes(), before);
  weight->set_dims(0, 1);
  graph->mutable_node(0)->set_op_type("Sigmoid");
  EXPECT_NE(shapes(), before);
}

TEST_F(HashGraph, EveryDataFileThatAGraphNamesCounts) {
  place(model_.mutable_graph()->add_initializer(), "a", "weights.bin");
  place(model_.mutable_graph()->add_initializer(), "b", "g.onnx.data");
  auto* node = model_.mutable_graph()->add_node();
  place(node->add_attribute()->mutable_t(), "c", "attribute.bin");
  auto* branch = node->add_attribute()->mutable_g();
  place(branch->add_initializer(), "d", "branch.bin");
  place(model_.add_functions()->add_node()->add_attribute()->add_tensors(), "e", "function.bin");
  for (const char* name :
       {"weights.bin", "g.onnx.data", "attribute.bin", "branch.bin", "function.bin"}) {
    write(name, "one");
  }
  const std::string before = hash();
  EXPECT_EQ(hash(), before);
  for (const char* name :
       {"weights.bin", "g.onnx.data", "attribute.bin", "branch.bin", "function.bin"}) {
    write(name, "two");
    EXPECT_NE(hash(), before) << name;
    write(name, "one");
  }
  EXPECT_EQ(hash(), before);
}

TEST_F(HashGraph, BytesThatMoveFromOneFileToTheOtherCount) {
  place(model_.mutable_graph()->add_initializer(), "a", "a.bin");
  place(model_.mutable_graph()->add_initializer(), "b", "b.bin");
  write("a.bin", "12");
  write("b.bin", "3");
  const std::string before = hash();
  write("a.bin", "1");
  write("b.bin", "23");
  EXPECT_NE(hash(), before);
}

TEST_F(HashGraph, AFileThatTheGraphDoesNotNameDoesNotCount) {
  const std::string before = hash();
  write("g.onnx.data", "left over");
  EXPECT_EQ(hash(), before);
}

TEST_F(HashGraph, MissingDataFilesAreNamedTogether) {
  place(model_.mutable_graph()->add_initializer(), "a", "a.bin");
  place(model_.mutable_graph()->add_initializer(), "b", "b.bin");
  EXPECT_THAT(error(), AllOf(HasSubstr("g.onnx: "), HasSubstr("are missing: a.bin, b.bin")));
}

TEST_F(HashGraph, DataFilesElsewhereAreRefused) {
  for (const std::string name : {"../a.bin", "/etc/passwd", "x/a.bin", "..", ".", ""}) {
    model_.mutable_graph()->clear_initializer();
    place(model_.mutable_graph()->add_initializer(), "a", name);
    EXPECT_THAT(error(), HasSubstr("tensor 'a': its data file '" + name + "' does not lie beside"));
  }
}

}  // namespace
}  // namespace sam3trt
