#include "compile/file_hashes.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "compile/up_to_date.hpp"
#include "fake_tensorrt_api.hpp"
#include "onnx/graph.hpp"
#include "precision/builtin_recipes.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

std::string hash_of(const std::string& text) { return sha256_hex(std::as_bytes(std::span(text))); }

class FileHashesTest : public testing::Test {
 protected:
  FileHashesTest() : folder_(fs::path(testing::TempDir()) / "sam3trt_file_hashes_test") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~FileHashesTest() override { fs::remove_all(folder_); }

  [[nodiscard]] fs::path save_graph(float weight) const {
    Graph graph("detector");
    graph.add_output(
        "y", graph.add_constant("w", {2}, [weight] { return std::vector<float>(2, weight); }));
    fs::path path = folder_ / "graph.onnx";
    graph.save(path);
    return path;
  }

  fs::path folder_;
};

TEST_F(FileHashesTest, AGraphIsHashedOnceAsItWasWhenThatBegan) {
  FileHashes hashes;
  const fs::path path = save_graph(1);
  const std::string wanted = hash_graph(path);
  hashes.begin_graph(path);
  EXPECT_EQ(hashes.graph(path), wanted);
  static_cast<void>(save_graph(2));
  hashes.begin_graph(path);
  EXPECT_EQ(hashes.graph(path), wanted);
  EXPECT_NE(hash_graph(path), wanted);
}

TEST_F(FileHashesTest, WhatCannotBeReadIsAnErrorForWhoeverAsksForIt) {
  FileHashes hashes;
  hashes.begin_graph(folder_ / "missing.onnx");
  for (int i = 0; i < 2; ++i) {
    EXPECT_THROW(static_cast<void>(hashes.graph(folder_ / "missing.onnx")), Error);
  }
}

TEST_F(FileHashesTest, AnEngineIsHashedWhereThereIsOne) {
  EXPECT_FALSE(FileHashes::begin_engine(folder_ / "missing.engine").valid());
  EXPECT_FALSE(FileHashes::begin_engine(folder_).valid());
  const fs::path path = folder_ / "an.engine";
  std::ofstream(path) << "a plan";
  EXPECT_THROW(static_cast<void>(FileHashes::begin_engine(path).get()), Error);  // no manifest
  EngineManifest manifest;
  manifest.plan_bytes = 6;
  manifest.plan_sha256 = hash_of("a plan");
  manifest.save(path);
  EXPECT_TRUE(FileHashes::begin_engine(path).get());
  std::ofstream(path) << "a_plan";
  EXPECT_FALSE(FileHashes::begin_engine(path).get());
}

TEST_F(FileHashesTest, AnEngineIsUpToDateByTheHashThatTheRequestHolds) {
  FakeTensorRt api;
  EngineBuildRequest request;
  request.onnx = save_graph(1);
  request.output = folder_ / "graph.engine";
  static_cast<void>(build_engine(api, request));
  std::string reason;
  EXPECT_TRUE(find_up_to_date(api, request, reason)) << reason;
  request.output_intact = FileHashes::begin_engine(request.output);
  EXPECT_TRUE(find_up_to_date(api, request, reason)) << reason;
  request.output_intact = std::async([] { return false; }).share();
  EXPECT_FALSE(find_up_to_date(api, request, reason));
  EXPECT_EQ(reason, "is not the file that its manifest describes");
}

}  // namespace
}  // namespace sam3trt
