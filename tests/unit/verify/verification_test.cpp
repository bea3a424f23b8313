#include "verify/verification.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>

namespace sam3trt {
namespace {

using testing::HasSubstr;

/// y = f(x), element by element.
class Elementwise : public Engine {
 public:
  explicit Elementwise(std::function<float(float)> f) : f_(std::move(f)) {}
  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return outputs_; }
  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override {
    Tensor y = *inputs.at("x");
    for (float& value : y.f32()) value = f_(value);
    std::map<std::string, Tensor> outputs;
    outputs.emplace("y", std::move(y));
    return outputs;
  }

 private:
  std::function<float(float)> f_;
  std::vector<TensorInfo> inputs_ = {{"x", DType::kF32, {-1}}};
  std::vector<TensorInfo> outputs_ = {{"y", DType::kF32, {-1}}};
};

/// Two calls of y = x.
std::vector<RecordedCall> calls() {
  std::vector<RecordedCall> recorded(2);
  recorded[0].inputs.emplace("x", Tensor::from_f32({3}, std::array{1.0F, -2.0F, 3.0F}));
  recorded[1].inputs.emplace("x", Tensor::from_f32({2}, std::array{3.0F, 4.0F}));
  for (RecordedCall& call : recorded) call.outputs.emplace("y", call.inputs.at("x"));
  return recorded;
}

OutputDifference difference_of(std::function<float(float)> f) {
  Elementwise engine(std::move(f));
  return measure_stage(calls(), engine).at("y");
}

TEST(MeasureStage, AnExactEngineDeviatesByNothing) {
  const OutputDifference difference = difference_of([](float x) { return x; });
  EXPECT_EQ(difference.deviation, 0);
  EXPECT_EQ(difference.largest_error, 0);
  EXPECT_NEAR(difference.cosine, 1, 1e-12);
}

TEST(MeasureStage, AWrongScaleDeviatesThoughTheCosineIsOne) {
  const OutputDifference difference = difference_of([](float x) { return 1.5F * x; });
  EXPECT_NEAR(difference.cosine, 1, 1e-12);
  // The second call: 0.25 * 25 / (2 * (14 + 25) / 2).
  EXPECT_NEAR(difference.deviation, 0.25 * 25 / 39, 1e-12);
  EXPECT_EQ(difference.largest_error, 2);
}

TEST(MeasureStage, NumbersThatAreNotFiniteAreSeen) {
  EXPECT_FALSE(difference_of([](float x) {
                 return x < 0 ? std::numeric_limits<float>::infinity() : x;
               }).finite);
  EXPECT_FALSE(difference_of([](float x) { return std::sqrt(x); }).finite);
}

TEST(VerifyStage, NamesTheOutputThatFails) {
  const Gate gate = Gate::builtin();
  Elementwise right([](float x) { return x * (1 + 1e-6F); });
  Elementwise wrong([](float x) { return -x; });
  const auto passing = verify_stage("detector", calls(), right, Precision::kFp16, gate, {});
  EXPECT_TRUE(passed(passing));
  EXPECT_THAT(summary(passing), HasSubstr("largest deviation"));
  const auto failing = verify_stage("detector", calls(), wrong, Precision::kFp16, gate, {});
  EXPECT_FALSE(passed(failing));
  EXPECT_THAT(summary(failing), HasSubstr("y of the detector deviates by"));
  EXPECT_THAT(to_table(failing), HasSubstr("failed"));
  EXPECT_THAT(to_json(failing), HasSubstr(R"("verdict":"failed")"));
}

TEST(VerifyStage, AYardstickThatIsOffTheScaleIsUndecidable) {
  Elementwise wrong([](float x) { return -x; });
  const MeasureYardstick yardstick = [] {
    return std::map<std::string, OutputDifference>{{"y", {0.5, 1, 0.5, true}}};
  };
  const auto reports =
      verify_stage("detector", calls(), wrong, Precision::kFp16, Gate::builtin(), yardstick);
  EXPECT_EQ(reports.at(0).verdict, OutputVerdict::kUndecidable);
  EXPECT_FALSE(passed(reports));
  EXPECT_THAT(summary(reports), HasSubstr("use --fp32"));
}

TEST(VerifyStage, TheYardstickIsMeasuredOnlyWhenAnOutputIsBeyondItsLimit) {
  int measured = 0;
  const MeasureYardstick yardstick = [&measured] {
    ++measured;
    return std::map<std::string, OutputDifference>{{"y", {0.999, 1, 1e-3, true}}};
  };
  Elementwise right([](float x) { return x * (1 + 1e-6F); });
  EXPECT_TRUE(passed(
      verify_stage("detector", calls(), right, Precision::kFp16, Gate::builtin(), yardstick)));
  EXPECT_EQ(measured, 0);
  // Deviates by about 3e-3: three times the limit, and three times the yardstick.
  Elementwise rough([](float x) { return x * 1.06F; });
  const auto reports =
      verify_stage("detector", calls(), rough, Precision::kFp16, Gate::builtin(), yardstick);
  EXPECT_TRUE(passed(reports));
  EXPECT_EQ(reports.at(0).yardstick, 1e-3);
  EXPECT_EQ(measured, 1);
}

TEST(ResultReport, WithoutInstancesNothingWasCompared) {
  ResultReport report;
  EXPECT_EQ(verdict_of(report), "nothing compared");
  EXPECT_THAT(summary(report), HasSubstr("0 instances compared"));
  EXPECT_THAT(to_json(report), HasSubstr(R"("verdict":"nothing compared")"));
  report.difference.matched = 1;
  EXPECT_EQ(verdict_of(report), "passed");
  EXPECT_THAT(summary(report), HasSubstr("1 instances compared"));
  report.problems = {"2 instances are lost", "mask IoU 0.5, allowed 0.9"};
  EXPECT_EQ(verdict_of(report), "failed");
  EXPECT_EQ(summary(report), "2 instances are lost; mask IoU 0.5, allowed 0.9");
}

}  // namespace
}  // namespace sam3trt
