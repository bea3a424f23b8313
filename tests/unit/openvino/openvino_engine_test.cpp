#include "openvino/openvino_engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/stop.hpp"

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::filesystem::path kFolder = std::filesystem::path(SAM3TRT_TEST_DATA) / "openvino";

std::unique_ptr<Engine> small() { return load_openvino_engine(kFolder / "small.onnx"); }

std::vector<float> values_of(const Tensor& tensor) {
  return {tensor.f32().begin(), tensor.f32().end()};
}

template <typename Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

TEST(OpenVinoEngine, DescribesInputsAndOutputs) {
  const auto engine = small();
  ASSERT_EQ(engine->inputs().size(), 2U);
  EXPECT_EQ(engine->inputs()[0].name, "x");
  EXPECT_EQ(engine->inputs()[0].dtype, DType::kF32);
  EXPECT_EQ(engine->inputs()[0].shape, (Shape{-1, 3}));
  EXPECT_EQ(engine->inputs()[1].name, "index");
  EXPECT_EQ(engine->inputs()[1].dtype, DType::kI64);
  EXPECT_EQ(engine->inputs()[1].shape, (Shape{-1}));
  ASSERT_EQ(engine->outputs().size(), 2U);
  EXPECT_EQ(engine->outputs()[0].name, "rows");
  EXPECT_EQ(engine->outputs()[1].name, "product");
  EXPECT_EQ(engine->outputs()[1].shape, (Shape{-1, 2}));
}

TEST(OpenVinoEngine, TakesAnotherBatchInEveryCall) {
  const auto engine = small();
  for (const int64_t rows : {2, 5, 1, 2}) {
    Tensor x(DType::kF32, {rows, 3});
    for (size_t i = 0; i < x.f32().size(); ++i) x.f32()[i] = static_cast<float>(i);
    const Tensor index = Tensor::from_i64({3}, std::vector<int64_t>{rows - 1, 0, rows - 1});
    const auto outputs = engine->run({{"x", &x}, {"index", &index}});
    ASSERT_EQ(outputs.size(), 2U);
    const auto last = static_cast<float>(3 * (rows - 1));
    EXPECT_EQ(outputs.at("rows").shape(), (Shape{3, 3}));
    EXPECT_THAT(values_of(outputs.at("rows")),
                ElementsAre(last, last + 1, last + 2, 0, 1, 2, last, last + 1, last + 2));
    EXPECT_EQ(outputs.at("product").shape(), (Shape{rows, 2}));
    EXPECT_EQ(values_of(outputs.at("product")).back(), 2 * last + 3);
  }
}

TEST(OpenVinoEngine, LargeGraphsTakeOtherShapesInEveryCallToo) {
  const auto engine = load_openvino_engine(kFolder / "large.onnx");
  EXPECT_EQ(engine->inputs()[0].shape, (Shape{-1, 1024, 1024}));
  // Shapes that are new, that were used last, before that, and too long ago to be kept.
  const std::vector<std::pair<int64_t, int64_t>> calls = {{2, 1}, {2, 1}, {1, 0}, {2, 1},
                                                          {1, 3}, {3, 2}, {1, 0}, {2, 1}};
  float value = 0;
  for (const auto& [images, pointers] : calls) {
    value += 1;
    Tensor maps(DType::kF32, {images, 1024, 1024});
    std::ranges::fill(maps.f32(), value);
    Tensor rows(DType::kF32, {1, pointers, 4});
    std::ranges::fill(rows.f32(), value);
    const auto outputs = engine->run({{"maps", &maps}, {"memory_pointers", &rows}});
    EXPECT_EQ(values_of(outputs.at("means")),
              std::vector<float>(static_cast<size_t>(images), value));
    EXPECT_EQ(values_of(outputs.at("sums")),
              std::vector<float>(4, value * static_cast<float>(pointers)));
  }
}

TEST(OpenVinoEngine, ResultsOutliveTheNextCall) {
  const auto engine = small();
  const Tensor index = Tensor::from_i64({1}, std::vector<int64_t>{0});
  const Tensor first = Tensor::from_f32({1, 3}, std::vector<float>{1, 2, 3});
  const auto kept = engine->run({{"x", &first}, {"index", &index}});
  const Tensor second = Tensor::from_f32({1, 3}, std::vector<float>{7, 8, 9});
  (void)engine->run({{"x", &second}, {"index", &index}});
  EXPECT_THAT(values_of(kept.at("product")), ElementsAre(4, 5));
}

TEST(OpenVinoEngine, ComputesInSinglePrecision) {
  // bfloat16 would lose the last digits of both, float16 those of the first.
  const float fine = 1.0F + 0x1p-20F;
  const float coarse = 1.0F + 0x1p-10F;
  const Tensor x = Tensor::from_f32({1, 3}, std::vector<float>{fine, coarse, 0});
  const Tensor index = Tensor::from_i64({1}, std::vector<int64_t>{0});
  const auto outputs = small()->run({{"x", &x}, {"index", &index}});
  EXPECT_THAT(values_of(outputs.at("product")), ElementsAre(fine, coarse));
}

TEST(OpenVinoEngine, RunsOnTheThreadsAskedFor) {
  const auto engine = load_openvino_engine(kFolder / "small.onnx", {.threads = 1});
  const Tensor x(DType::kF32, {1, 3});
  const Tensor index(DType::kI64, {1});
  EXPECT_EQ(engine->run({{"x", &x}, {"index", &index}}).size(), 2U);
}

TEST(OpenVinoEngine, RefusesInputsThatDoNotFit) {
  const auto engine = small();
  const Tensor x(DType::kF32, {2, 3});
  const Tensor index(DType::kI64, {1});
  const auto refusal = [&](const TensorMap& inputs) {
    return message_of([&] { (void)engine->run(inputs); });
  };
  EXPECT_THAT(refusal({{"x", &x}}), AllOf(HasSubstr("small.onnx"), HasSubstr("index")));
  EXPECT_THAT(refusal({{"x", &x}, {"index", &index}, {"extra", &x}}), HasSubstr("extra"));
  const Tensor wrong_type(DType::kI64, {2, 3});
  EXPECT_THAT(refusal({{"x", &wrong_type}, {"index", &index}}),
              HasSubstr("input x expects f32 [-1, 3], found i64 [2, 3]"));
  for (const Shape& shape : {Shape{2, 4}, Shape{3}, Shape{1, 2, 3}, Shape{0, 3}}) {
    const Tensor wrong_shape(DType::kF32, shape);
    EXPECT_THAT(refusal({{"x", &wrong_shape}, {"index", &index}}),
                HasSubstr("found f32 " + to_string(shape)));
  }
  EXPECT_EQ(engine->run({{"x", &x}, {"index", &index}}).size(), 2U);
}

TEST(OpenVinoEngine, FilesThatCannotBeLoadedAreErrorsThatNameThem) {
  const auto refusal = [](const std::filesystem::path& path) {
    return message_of([&] { (void)load_openvino_engine(path); });
  };
  EXPECT_THAT(refusal(kFolder / "missing.onnx"), HasSubstr("missing.onnx: there is no such file"));
  EXPECT_THAT(refusal(kFolder), HasSubstr("no such file"));
  EXPECT_THAT(
      refusal(kFolder / "external.onnx"),
      AllOf(HasSubstr("openvino/external.onnx: OpenVINO"), HasSubstr("external.onnx.data")));
  EXPECT_THAT(refusal(kFolder / "unknown.onnx"),
              AllOf(HasSubstr("unknown.onnx"), HasSubstr("NoSuchOperator"), Not(HasSubstr("src/")),
                    Not(HasSubstr("\n"))));
  const auto broken = std::filesystem::path(testing::TempDir()) / "openvino_broken.onnx";
  std::ofstream(broken) << "this is not a graph";
  EXPECT_THAT(refusal(broken), HasSubstr("openvino_broken.onnx"));
  std::filesystem::remove(broken);
}

TEST(OpenVinoVersion, IsNotEmpty) { EXPECT_THAT(openvino_version(), HasSubstr(".")); }

TEST(OpenVinoEngine, WhatIsToEndDoesNotBegin) {
  std::stop_source source;
  const auto engine = load_openvino_engine(kFolder / "small.onnx", {.stop = source.get_token()});
  Tensor x(DType::kF32, {2, 3});
  Tensor index(DType::kI64, {1});
  const TensorMap inputs = {{"x", &x}, {"index", &index}};
  EXPECT_EQ(engine->run(inputs).size(), 2U);
  source.request_stop();
  EXPECT_THROW((void)engine->run(inputs), StoppedError);
  EXPECT_THROW((void)load_openvino_engine(kFolder / "small.onnx", {.stop = source.get_token()}),
               StoppedError);
}

}  // namespace
}  // namespace sam3trt
