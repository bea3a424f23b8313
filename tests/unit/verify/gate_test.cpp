#include "verify/gate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "verify/builtin_gate.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

Json numbers() { return Json::parse(builtin_gate()); }

Gate gate_with(const std::function<void(Json&)>& change) {
  Json json = numbers();
  change(json);
  return Gate::parse(json.dump(), "gate");
}

std::string message_of(const std::function<void(Json&)>& change) {
  try {
    (void)gate_with(change);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

TEST(Gate, EveryNumberTellsItFromOthers) {
  const std::string builtin = Gate::builtin().sha256();
  EXPECT_EQ(gate_with([](Json&) {}).sha256(), builtin);
  for (const char* path :
       {"/undecidable_yardstick", "/precisions/fp16/yardstick_factor",
        "/precisions/fp8/deviation/*", "/precisions/fp16/result/mask_iou",
        "/precisions/fp32/result/score_error", "/precisions/bf16/result/box_error_pixels",
        "/precisions/fp16/result/borderline_score"}) {
    const Gate other = gate_with([&](Json& json) { json[Json::json_pointer(path)] = 0.4321; });
    EXPECT_NE(other.sha256(), builtin) << path;
  }
}

TEST(Gate, ADeviationWithinTheLimitPasses) {
  const Gate gate = gate_with([](Json& json) {
    json["precisions"]["fp16"]["deviation"] = {{"*", 1e-3}, {"pred_boxes", 1e-6}};
  });
  EXPECT_EQ(gate.judge(Precision::kFp16, "pred_masks", 1e-3, {}), OutputVerdict::kPassed);
  EXPECT_EQ(gate.judge(Precision::kFp16, "pred_masks", 1.1e-3, {}), OutputVerdict::kFailed);
  EXPECT_EQ(gate.judge(Precision::kFp16, "pred_boxes", 1e-5, {}), OutputVerdict::kFailed);
}

TEST(Gate, TheYardstickForgivesWhatRoundingAloneDoes) {
  const Gate gate = gate_with([](Json& json) {
    json["precisions"]["fp16"]["deviation"] = {{"*", 1e-4}};
    json["precisions"]["fp16"]["yardstick_factor"] = 10;
    json["undecidable_yardstick"] = 0.01;
  });
  EXPECT_EQ(gate.judge(Precision::kFp16, "y", 9e-3, 1e-3), OutputVerdict::kPassed);
  EXPECT_EQ(gate.judge(Precision::kFp16, "y", 2e-2, 1e-3), OutputVerdict::kFailed);
}

TEST(Gate, ACheckpointThatRoundingDecidesIsUndecidableNotRight) {
  const Gate gate = gate_with([](Json& json) { json["undecidable_yardstick"] = 0.01; });
  EXPECT_EQ(gate.judge(Precision::kFp16, "y", 0.3, 0.25), OutputVerdict::kUndecidable);
}

TEST(Gate, EveryPrecisionHasLimitsThatGrowWithItsRounding) {
  const Gate gate = Gate::builtin();
  double before = 0;
  for (const auto precision :
       {Precision::kFp32, Precision::kFp16, Precision::kBf16, Precision::kFp8}) {
    const double limit = gate.limits(precision).deviation.at("*");
    EXPECT_GT(limit, before) << name_of(precision);
    before = limit;
  }
  EXPECT_LE(gate.limits(Precision::kFp16).deviation.at("*"), 1e-3);
}

TEST(Gate, AllMistakesOfAFileAreInOneError) {
  const std::string message = message_of([](Json& json) {
    json["typo"] = 1;
    json["precisions"]["fp16"]["deviation"].erase("*");
    json["precisions"]["bf16"]["yardstick_factor"] = -1;
    json["precisions"]["fp8"]["result"]["mask_iou"] = "high";
    json["precisions"].erase("fp32");
  });
  for (const char* part : {"/typo: unknown key", "/precisions/fp16/deviation/*: missing",
                           "/precisions/bf16/yardstick_factor", "/precisions/fp8/result/mask_iou",
                           "/precisions/fp32: expected an object"}) {
    EXPECT_THAT(message, HasSubstr(part));
  }
  EXPECT_THROW((void)Gate::parse("[", "gate"), Error);
  EXPECT_THAT(message_of([](Json& json) { json["format"] = 2; }), HasSubstr("/format"));
}

}  // namespace
}  // namespace sam3trt
