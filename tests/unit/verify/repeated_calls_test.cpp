#include "verify/repeated_calls.hpp"

#include <gtest/gtest.h>

#include <array>

namespace sam3trt {
namespace {

/// y = 2x; counts its calls.
class Doubling : public Engine {
 public:
  explicit Doubling(int& calls) : calls_(calls) {}
  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return info_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return info_; }
  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override {
    ++calls_;
    Tensor y = *inputs.at("x");
    for (float& value : y.f32()) value *= 2;
    return {{"y", std::move(y)}};
  }

 private:
  int& calls_;
  std::vector<TensorInfo> info_;
};

class RepeatedCallsTest : public testing::Test {
 protected:
  RepeatedCallsTest() : engine_(std::make_unique<Doubling>(calls_), 2) {}

  float doubled(float x, Shape shape = {1}) {
    const Tensor tensor = Tensor::from_f32(std::move(shape), std::array{x});
    return engine_.run({{"x", &tensor}}).at("y").f32()[0];
  }

  int calls_ = 0;
  RepeatedCalls engine_;
};

TEST_F(RepeatedCallsTest, ACallThatComesAgainIsAnsweredWithoutTheEngine) {
  EXPECT_EQ(doubled(3), 6);
  EXPECT_EQ(doubled(4), 8);
  EXPECT_EQ(doubled(3), 6);
  EXPECT_EQ(doubled(4), 8);
  EXPECT_EQ(calls_, 2);
}

TEST_F(RepeatedCallsTest, OtherShapesAreAnotherCall) {
  EXPECT_EQ(doubled(3, {1}), 6);
  EXPECT_EQ(doubled(3, {1, 1}), 6);
  EXPECT_EQ(calls_, 2);
}

TEST_F(RepeatedCallsTest, TheCallNotAskedForLongestIsForgotten) {
  doubled(1);
  doubled(2);
  doubled(1);
  doubled(3);  // in the place of 2
  EXPECT_EQ(doubled(1), 2);
  EXPECT_EQ(calls_, 3);
  EXPECT_EQ(doubled(2), 4);
  EXPECT_EQ(calls_, 4);
}

}  // namespace
}  // namespace sam3trt
