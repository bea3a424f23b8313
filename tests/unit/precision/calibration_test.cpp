#include "precision/calibration.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include "base/error.hpp"
#include "onnx/graph.hpp"
#include "onnx/model_file.hpp"
#include "onnx/ops.hpp"
#include "precision/precision.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;

class CalibrationFiles : public testing::Test {
 protected:
  CalibrationFiles() : folder_(std::filesystem::path(testing::TempDir()) / "sam3trt_calibration") {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "other");
    recipe_.name = "test";
    recipe_.precision = Precision::kFp8;
    recipe_.fp8["part"] = {"/*/matmul"};
  }
  ~CalibrationFiles() override { std::filesystem::remove_all(folder_); }

  /// x [B, 32] times two matrices.
  void save_graph(uint64_t inline_limit) const {
    Graph graph("g");
    Value x = graph.add_input("x", DType::kF32, {"B", 32});
    for (const char* name : {"/a/matmul", "/b/matmul"}) {
      const Value w = graph.add_constant(std::string(name) + "/w", {32, 32},
                                         []() { return std::vector<float>(1024, 1.0F); });
      x = add_matmul(graph, name, x, w);
    }
    graph.add_output("y", x);
    graph.set_metadata("sam3trt.component", "part");
    graph.set_metadata("sam3trt.checkpoint_sha256", "abc");
    graph.save(folder_ / "g.onnx", inline_limit);
  }

  std::filesystem::path folder_;
  Recipe recipe_;
};

TEST_F(CalibrationFiles, TheGraphGainsOneMaximumPerProduct) {
  save_graph(1 << 20);
  const Calibration calibration =
      write_calibration_graph(folder_ / "g.onnx", folder_ / "other/c.onnx", recipe_);
  EXPECT_EQ(calibration.component, "part");
  EXPECT_EQ(calibration.checkpoint_sha256, "abc");
  const onnx::ModelProto model = read_model(folder_ / "other/c.onnx");
  ASSERT_EQ(model.graph().output_size(), 3);
  EXPECT_EQ(model.graph().output(1).name(), "/a/matmul/amax");
  EXPECT_EQ(model.graph().output(2).name(), "/b/matmul/amax");
  EXPECT_EQ(model.graph().output(2).type().tensor_type().shape().dim_size(), 0);
  EXPECT_EQ(model.graph().node_size(), 2 + 1 + 4);
  const auto& abs = model.graph().node(5);
  EXPECT_EQ(abs.op_type(), "Abs");
  EXPECT_EQ(abs.input(0), "/a/matmul");  // the second product's first factor
}

TEST_F(CalibrationFiles, ACalibrationGraphIsNotTyped) {
  save_graph(1 << 20);
  write_calibration_graph(folder_ / "g.onnx", folder_ / "other/c.onnx", recipe_);
  EXPECT_THROW(write_typed_graph(folder_ / "other/c.onnx", folder_ / "t.onnx", recipe_), Error);
}

TEST_F(CalibrationFiles, WeightsInADataFileAreSharedWithATemporaryFolder) {
  save_graph(1000);
  const auto graph = folder_ / "other/c.onnx";
  write_calibration_graph(folder_ / "g.onnx", graph, recipe_);
  // OpenVINO follows no link out of the folder.
  EXPECT_FALSE(std::filesystem::is_symlink(folder_ / "other/g.onnx.data"));
  EXPECT_TRUE(std::filesystem::equivalent(folder_ / "other/g.onnx.data", folder_ / "g.onnx.data"));
  EXPECT_EQ(read_f32(read_model(graph).graph().initializer(1), graph),
            std::vector<float>(1024, 1.0F));
}

TEST_F(CalibrationFiles, NothingIsWrittenBesideTheGraph) {
  for (const uint64_t limit : {1000, 1 << 20}) {
    save_graph(limit);
    try {
      write_calibration_graph(folder_ / "g.onnx", folder_ / "c.onnx", recipe_);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), HasSubstr("beside the graph"));
    }
    EXPECT_FALSE(std::filesystem::exists(folder_ / "c.onnx"));
  }
}

TEST_F(CalibrationFiles, ARecipeThatQuantisesNothingIsRefused) {
  save_graph(1 << 20);
  recipe_.fp8 = {{"other", {"/**"}}};
  EXPECT_THROW(write_calibration_graph(folder_ / "g.onnx", folder_ / "other/c.onnx", recipe_),
               Error);
  recipe_.fp8 = {{"part", {"/none"}}};
  EXPECT_THROW(write_calibration_graph(folder_ / "g.onnx", folder_ / "other/c.onnx", recipe_),
               Error);
}

TEST_F(CalibrationFiles, SavedCalibrationsAreReadBack) {
  Calibration calibration{"part",
                          "abc",
                          3,
                          {{"/a/matmul", 0.1F}, {"/b/matmul", 33.25F}},
                          {"graph", "hf", {"image 1", "image 2"}}};
  const auto path = Calibration::path_beside(folder_ / "g.onnx");
  EXPECT_EQ(path.filename(), "g.onnx.calibration.json");
  calibration.save(path);
  const Calibration found = Calibration::load(path);
  EXPECT_EQ(found.component, "part");
  EXPECT_EQ(found.checkpoint_sha256, "abc");
  EXPECT_EQ(found.runs, 3);
  EXPECT_EQ(found.amax, calibration.amax);
  EXPECT_EQ(found.inputs, calibration.inputs);
  EXPECT_EQ(found.sha256(), calibration.sha256());
  calibration.inputs.images.pop_back();
  EXPECT_NE(found.inputs, calibration.inputs);
  EXPECT_NE(found.sha256(), calibration.sha256());
}

TEST_F(CalibrationFiles, OneOfAnOlderProgramDoesNotSayWhatItWasMadeWith) {
  const auto path = folder_ / "old.json";
  std::ofstream(path)
      << R"({"format":1,"component":"a","checkpoint_sha256":"b","runs":1,"amax":{"x":1}})";
  const Calibration found = Calibration::load(path);
  EXPECT_EQ(found.amax.at("x"), 1.0F);
  EXPECT_EQ(found.inputs, CalibrationInputs{});
}

TEST_F(CalibrationFiles, WrongFilesAreRefused) {
  const auto path = folder_ / "bad.json";
  for (const char* text :
       {"", "[]", "{}", R"({"format":3})", R"({"format":[]})",
        R"({"format":2,"component":"a","checkpoint_sha256":"b","runs":1,"amax":{}})",
        R"({"format":1,"component":"a"})",
        R"({"format":1,"component":"a","checkpoint_sha256":"b","runs":1,"amax":{"x":-1}})",
        R"({"format":1,"component":"a","checkpoint_sha256":"b","runs":1,"amax":{"x":"y"}})",
        R"({"format":1,"component":"a","checkpoint_sha256":"b","runs":1,"amax":{"x":1e99}})"}) {
    std::ofstream(path) << text;
    try {
      (void)Calibration::load(path);
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("not a calibration")) << text;
    }
  }
}

TEST(Calibration, RunsAreMergedByTheirMaximum) {
  Calibration calibration;
  const auto scalar = [](float value) { return Tensor::from_f32({}, std::vector<float>{value}); };
  calibration.add_run({{"/a/amax", scalar(2.0F)}, {"/b/amax", scalar(5.0F)}, {"y", scalar(9.0F)}});
  calibration.add_run({{"/a/amax", scalar(3.0F)}, {"/b/amax", scalar(4.0F)}});
  EXPECT_EQ(calibration.runs, 2);
  EXPECT_EQ(calibration.amax, (std::map<std::string, float>{{"/a", 3.0F}, {"/b", 5.0F}}));
}

TEST(Calibration, ValuesThatAreNotFiniteAreRefused) {
  Calibration calibration;
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -1.0F}) {
    const Tensor tensor = Tensor::from_f32({}, std::vector<float>{value});
    EXPECT_THROW(calibration.add_run({{"/a/amax", tensor}}), Error);
  }
  EXPECT_THROW(calibration.add_run({{"/a/amax", Tensor(DType::kF32, {2})}}), Error);
  EXPECT_THROW(calibration.add_run({{"/a/amax", Tensor(DType::kF16, {})}}), Error);
}

}  // namespace
}  // namespace sam3trt
