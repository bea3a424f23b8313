#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "runtime/cpu_session.hpp"

namespace sam3trt {
namespace {

class NoEngine : public Engine {
 public:
  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return none_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return none_; }
  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& /*inputs*/) override {
    return {};
  }

 private:
  std::vector<TensorInfo> none_;
};

TEST(SessionEngines, WhatDetectionDoesNotNeedIsLoadedAtItsFirstUse) {
  ModelFiles files;
  for (const Component component : {Component::kVisionEncoder, Component::kSamDecoder}) {
    files.components[component] = std::string(name_of(component)) + ".onnx";
  }
  std::vector<std::string> loaded;
  SessionEngines engines = load_engines(files, [&](const std::filesystem::path& path) {
    loaded.push_back(path.string());
    return std::make_unique<NoEngine>();
  });
  EXPECT_THAT(loaded, testing::ElementsAre("vision_encoder.onnx"));
  EXPECT_TRUE(engines.has(Component::kSamDecoder));
  const Engine* first = &engines.at(Component::kSamDecoder);
  EXPECT_EQ(first, &engines.at(Component::kSamDecoder));
  EXPECT_THAT(loaded, testing::ElementsAre("vision_encoder.onnx", "sam_decoder.onnx"));
}

TEST(SessionEngines, AComponentThatTheModelLacksIsNamed) {
  SessionEngines engines;
  EXPECT_FALSE(engines.has(Component::kSamDecoder));
  try {
    (void)engines.at(Component::kSamDecoder);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("has no sam_decoder"),
                                             testing::HasSubstr("--component all")));
  }
}

}  // namespace
}  // namespace sam3trt
