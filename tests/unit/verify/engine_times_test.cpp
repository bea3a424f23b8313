#include "verify/engine_times.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace sam3trt {
namespace {

class Doubler : public Engine {
 public:
  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return tensors_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return tensors_; }
  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override {
    Tensor result(DType::kI64, {1});
    result.i64()[0] = 2 * inputs.at("x")->i64()[0];
    std::map<std::string, Tensor> results;
    results.emplace("x", std::move(result));
    return results;
  }

 private:
  std::vector<TensorInfo> tensors_ = {{"x", DType::kI64, {1}}};
};

TEST(EngineTimes, AddUpCallsByNameTheSlowestFirst) {
  EngineTimes times;
  EXPECT_EQ(times.text(), "0.0 s");
  times.add("detector", 1.25);
  times.add("vision_encoder", 4);
  times.add("vision_encoder", 4.06);
  EXPECT_EQ(times.text(), "9.3 s: vision_encoder 8.1 (2 calls), detector 1.2 (1 call)");
}

TEST(EngineTimes, WatchedEnginesGiveWhatTheyGave) {
  EngineTimes times;
  const auto engine = times.watch("doubler", std::make_unique<Doubler>());
  EXPECT_EQ(engine->inputs().front().name, "x");
  EXPECT_EQ(engine->outputs().front().dtype, DType::kI64);
  Tensor x(DType::kI64, {1});
  x.i64()[0] = 21;
  EXPECT_EQ(engine->run({{"x", &x}}).at("x").i64()[0], 42);
  EXPECT_THAT(times.text(), testing::HasSubstr("doubler 0.0 (1 call)"));
}

}  // namespace
}  // namespace sam3trt
