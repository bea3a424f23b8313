#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "compile/engine_build.hpp"
#include "fake_tensorrt_api.hpp"
#include "onnx/graph.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {

namespace fs = std::filesystem;

/// One graph and a library that does as if it compiled.
class BuildEngine : public testing::Test {
 protected:
  BuildEngine() : folder_(fs::path(testing::TempDir()) / "sam3trt_engine_build_test") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    save_graph("detector");
    request_.onnx = folder_ / "in.onnx";
    request_.output = folder_ / "out.engine";
    request_.gpu = "NVIDIA H200";
    request_.gpu_compute_capability = "9.0";
    request_.kernels_sha256 = "kernels";
  }
  ~BuildEngine() override { fs::remove_all(folder_); }

  /// Three nodes that the variants of fp16 widen one after the other in a detector.
  void save_graph(const std::string& component, const std::string& checkpoint = "abc",
                  int64_t width = 2) const {
    Graph graph(component);
    Value x = graph.add_input("x", DType::kF32, {Dim("P"), Dim(width)});
    for (const char* name : {"/encoder/layers.0/mlp", "/decoder/layers.0/image_attn/k_proj",
                             "/decoder/layers.0/self_attn/q_proj", "/y"}) {
      x = add_relu(graph, name, x);
    }
    graph.add_output("y", x);
    graph.set_metadata("sam3trt.component", component);
    graph.set_metadata("sam3trt.checkpoint_sha256", checkpoint);
    graph.save(folder_ / "in.onnx");
  }

  /// A verification that accepts only these recipes.
  void accept(const std::set<std::string>& names) {
    request_.verify = [names](const Plan&, const Recipe& recipe, const fs::path& typed) {
      EXPECT_TRUE(fs::exists(typed));
      return BuildVerdict{names.contains(recipe.name), "looked at " + recipe.name, "[]"};
    };
  }

  [[nodiscard]] std::set<std::string> files() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      names.insert(entry.path().filename().string());
    }
    return names;
  }

  fs::path folder_;
  EngineBuildRequest request_;
  FakeTensorRt api_;
};

}  // namespace sam3trt
