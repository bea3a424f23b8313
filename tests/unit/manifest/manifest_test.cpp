#include "manifest/manifest.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/sha256.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

EngineManifest example() {
  EngineManifest manifest;
  manifest.component = "detector";
  manifest.metadata = {{"sam3trt.semantics", "hf"}, {"sam3trt.config", "{\"grid\": 24}"}};
  manifest.graph_sha256 = "aa";
  manifest.precision = "fp16";
  manifest.recipe = "fp16_fp32_softmax";
  manifest.recipe_sha256 = "bb";
  manifest.flavour = "TensorRT 10";
  manifest.tensorrt_version = "10.6.0";
  manifest.gpu = "NVIDIA H200";
  manifest.compute_capability = "9.0";
  manifest.profiles = {{{"input_ids", {{1, 32}, {1, 32}, {1, 32}}}},
                       {{"input_ids", {{1, 32}, {8, 32}, {16, 32}}}}};
  manifest.kernels_sha256 = "dd";
  manifest.attentions = 6;
  manifest.fused_attentions = 5;
  manifest.plan_bytes = uint64_t{1} << 33U;
  manifest.plan_sha256 = "cc";
  manifest.plan_pieces_sha256 = "ccc";
  manifest.verification = VerificationState::kPassed;
  manifest.verification_report = R"([{"output":"pred_boxes"}])";
  manifest.calibration_sha256 = "ee";
  manifest.set_sha256 = "ff";
  manifest.end_to_end = "passed";
  manifest.set_request_sha256 = "gg";
  manifest.request_sha256 = "hh";
  manifest.refused = {"fp16: pred_boxes"};
  manifest.deviation = 0.125;
  manifest.milliseconds = 1.5;
  return manifest;
}

EngineHost host() { return {"TensorRT 10", "10.6.0", "NVIDIA H200", "9.0", "dd"}; }

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return {};
}

TEST(EngineManifest, DescribesAPlanByItsPiecesOrWithoutThemByTheWhole) {
  const std::string plan = "machine code";
  const std::string other = "machine_code";
  const auto bytes = [](const std::string& text) { return std::as_bytes(std::span(text)); };
  EngineManifest manifest;
  manifest.plan_bytes = plan.size();
  manifest.plan_sha256 = sha256_hex(bytes(plan));
  for (const std::string& pieces : {std::string(), sha256_of_pieces(bytes(plan))}) {
    manifest.plan_pieces_sha256 = pieces;
    EXPECT_TRUE(manifest.describes(bytes(plan)));
    EXPECT_FALSE(manifest.describes(bytes(other)));
    EXPECT_FALSE(manifest.describes(bytes(plan + " and more")));
    EXPECT_FALSE(manifest.describes({}));
  }
}

TEST(EngineManifest, SurvivesBeingWrittenAndRead) {
  const EngineManifest manifest = EngineManifest::parse(example().to_json(), "test");
  EXPECT_EQ(manifest.to_json(), example().to_json());
  EXPECT_EQ(manifest.metadata.at("sam3trt.config"), "{\"grid\": 24}");
  ASSERT_EQ(manifest.profiles.size(), 2U);
  EXPECT_EQ(manifest.profiles[0].at("input_ids").max, (Shape{1, 32}));
  EXPECT_EQ(manifest.profiles[1].at("input_ids").opt, (Shape{8, 32}));
  EXPECT_EQ(manifest.fused_attentions, 5);
  EXPECT_EQ(manifest.plan_bytes, uint64_t{1} << 33U);
  EXPECT_EQ(manifest.plan_pieces_sha256, "ccc");
  EXPECT_EQ(manifest.verification, VerificationState::kPassed);
  EXPECT_EQ(manifest.verification_report, R"([{"output":"pred_boxes"}])");
  EXPECT_EQ(manifest.calibration_sha256, "ee");
  EXPECT_EQ(manifest.set_sha256, "ff");
  EXPECT_EQ(manifest.end_to_end, "passed");
  EXPECT_EQ(manifest.set_request_sha256, "gg");
  EXPECT_EQ(manifest.request_sha256, "hh");
  EXPECT_EQ(manifest.refused, std::vector<std::string>{"fp16: pred_boxes"});
  EXPECT_EQ(manifest.deviation, 0.125);
  EXPECT_EQ(manifest.milliseconds, 1.5);
}

TEST(EngineManifest, OneThatDoesNotSayItsRequestIsRead) {
  auto json = nlohmann::json::parse(example().to_json());
  json.erase("build");
  json["verification"].erase("set_request_sha256");
  const EngineManifest manifest = EngineManifest::parse(json.dump(), "file");
  EXPECT_EQ(manifest.request_sha256, "");
  EXPECT_EQ(manifest.set_request_sha256, "");
  EXPECT_EQ(manifest.milliseconds, std::nullopt);
}

TEST(EngineManifest, NumbersThatAreNotFiniteCanBeRead) {
  EngineManifest manifest = example();
  manifest.deviation = std::numeric_limits<double>::infinity();
  manifest.milliseconds = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(EngineManifest::parse(manifest.to_json(), "file").deviation, 0);
}

TEST(EngineManifest, OneThatPassedNamesItsSet) {
  auto json = nlohmann::json::parse(example().to_json());
  for (const char* key : {"set_sha256", "end_to_end"}) {
    auto missing = json;
    missing["verification"].erase(key);
    EXPECT_THAT(message_of([&] { (void)EngineManifest::parse(missing.dump(), "file"); }),
                HasSubstr(key));
  }
  EngineManifest stages = example();
  stages.verification = VerificationState::kStages;
  const EngineManifest read = EngineManifest::parse(stages.to_json(), "file");
  EXPECT_EQ(read.verification, VerificationState::kStages);
  EXPECT_EQ(read.set_sha256, "");
}

TEST(EngineManifest, EveryMissingOrWrongFieldIsAnError) {
  const auto json = nlohmann::json::parse(example().to_json());
  for (const auto& item : json.items()) {
    if (item.key() != "fused_attentions" && item.key() != "build" &&
        item.key() != "plan_pieces_sha256") {
      auto missing = json;
      missing.erase(item.key());
      EXPECT_THAT(message_of([&] { (void)EngineManifest::parse(missing.dump(), "file"); }),
                  HasSubstr("file"))
          << item.key();
    }
    auto wrong = json;
    wrong[item.key()] = nlohmann::json::array({-1});
    EXPECT_THAT(message_of([&] { (void)EngineManifest::parse(wrong.dump(), "file"); }),
                HasSubstr("file"))
        << item.key();
  }
  for (const char* text : {"", "[]", "{", "\xff\xfe", "{\"version\": \"1\"}"}) {
    EXPECT_THAT(message_of([&] { (void)EngineManifest::parse(text, "file"); }), HasSubstr("file"));
  }
}

TEST(EngineManifest, AnAxisIsAsLargeAsInTheWidestProfile) {
  EngineManifest manifest = example();
  EXPECT_EQ(manifest.largest("input_ids", 0), 16);
  EXPECT_EQ(manifest.largest("input_ids", 1), 32);
  EXPECT_EQ(manifest.largest("input_ids", 2), std::nullopt);
  EXPECT_EQ(manifest.largest("boxes", 0), std::nullopt);
  std::ranges::reverse(manifest.profiles);
  EXPECT_EQ(manifest.largest("input_ids", 0), 16);
}

TEST(EngineManifest, AnOlderVersionIsRefusedWithWhatToDo) {
  auto json = nlohmann::json::parse(example().to_json());
  json["version"] = 3;
  EXPECT_THAT(message_of([&] { (void)EngineManifest::parse(json.dump(), "file"); }),
              testing::AllOf(HasSubstr("of version 4"), HasSubstr("'sam3trt build'")));
}

TEST(EngineManifest, AnEngineWithoutOneIsRefusedByName) {
  const fs::path engine = fs::path(testing::TempDir()) / "lonely.engine";
  std::ofstream(engine) << "plan";
  EXPECT_THAT(message_of([&] { (void)EngineManifest::load(engine); }),
              testing::AllOf(HasSubstr("lonely.engine.json"), HasSubstr("missing")));
  std::ofstream(EngineManifest::path_beside(engine)) << example().to_json();
  EXPECT_EQ(EngineManifest::load(engine).recipe, "fp16_fp32_softmax");
  fs::remove(engine);
  fs::remove(EngineManifest::path_beside(engine));
}

TEST(Refusal, AVerifiedEngineRunsWhereItWasBuilt) {
  EXPECT_EQ(refusal(example(), host(), false), "");
}

TEST(Refusal, AnotherLibraryOrGpuIsNamed) {
  EngineHost other = host();
  other.tensorrt_version = "10.16.0";
  EXPECT_THAT(refusal(example(), other, true), HasSubstr("10.16.0"));
  other = host();
  other.flavour = "TensorRT 11";
  EXPECT_THAT(refusal(example(), other, true), HasSubstr("TensorRT 11"));
  other = host();
  other.gpu = "NVIDIA L4";
  EXPECT_THAT(refusal(example(), other, true), HasSubstr("NVIDIA L4"));
}

TEST(Refusal, OtherOperatorKernelsMatterWhereTheEngineCallsThem) {
  EngineHost other = host();
  other.kernels_sha256 = "ee";
  EXPECT_THAT(refusal(example(), other, true), HasSubstr("other kernels"));
  EngineManifest without = example();
  without.kernels_sha256.clear();
  EXPECT_EQ(refusal(without, other, false), "");
}

TEST(Refusal, AnEngineNeedsTheCublasLtThatItWasBuiltWith) {
  EngineManifest manifest = example();
  EXPECT_EQ(missing_library(manifest, "", "it is not installed"), "");  // it does not call it
  manifest.cublaslt_version = "13.1.0";
  EXPECT_EQ(EngineManifest::parse(manifest.to_json(), "x").cublaslt_version, "13.1.0");
  EXPECT_EQ(missing_library(manifest, "13.1.0", ""), "");
  EXPECT_THAT(missing_library(manifest, "12.9.1", ""),
              testing::AllOf(HasSubstr("13.1.0"), HasSubstr("this is 12.9.1"),
                             HasSubstr("SAM3TRT_CUBLASLT_DIR")));
  EXPECT_THAT(missing_library(manifest, "", "it is not installed; install libcublas"),
              testing::AllOf(HasSubstr("needs cuBLASLt 13.1.0"), HasSubstr("install libcublas")));
}

TEST(Refusal, AnEngineCompiledAheadOfTimeNeedsTheComputeCapabilityOnly) {
  EngineManifest manifest = example();
  manifest.gpu.clear();
  EXPECT_EQ(refusal(manifest, host(), false), "");
  manifest.compute_capability = "8.9";
  EXPECT_THAT(refusal(manifest, host(), true), HasSubstr("8.9"));
}

TEST(Refusal, OnlyAPassedVerificationIsTaken) {
  EngineManifest manifest = example();
  manifest.verification = VerificationState::kStages;
  EXPECT_THAT(refusal(manifest, host(), false),
              testing::AllOf(HasSubstr("not run end to end"), HasSubstr("'sam3trt build' again"),
                             HasSubstr("'sam3trt verify'")));
  EXPECT_EQ(refusal(manifest, host(), true), "");
  manifest.verification = VerificationState::kNone;
  EXPECT_THAT(refusal(manifest, host(), false), HasSubstr("never verified"));
  EXPECT_EQ(refusal(manifest, host(), true), "");
  manifest.verification = VerificationState::kFailed;
  EXPECT_THAT(refusal(manifest, host(), false), HasSubstr("failed its verification"));
  EXPECT_EQ(refusal(manifest, host(), true), "");
}

class Set : public testing::Test {
 protected:
  Set() {
    for (const char* name : {"vision_encoder", "detector", "mask_head"}) {
      EngineManifest manifest = example();
      manifest.component = name;
      manifest.plan_sha256 = std::string("plan of ") + name;
      engines_.push_back(std::move(manifest));
    }
    mark();
  }

  /// As a build does when all have passed together.
  void mark() {
    const std::string set = set_sha256_of(engines_);
    for (EngineManifest& engine : engines_) engine.set_sha256 = set;
  }

  std::vector<EngineManifest> engines_;
};

TEST_F(Set, EnginesThatPassedTogetherRunTogetherInAnyOrder) {
  EXPECT_EQ(set_refusal(engines_), "");
  std::ranges::reverse(engines_);
  EXPECT_EQ(set_refusal(engines_), "");
}

TEST_F(Set, AnEngineOfAnotherSetIsRefused) {
  const EngineManifest detector = engines_[1];
  engines_[1].plan_sha256 = "plan of another detector";
  mark();
  EXPECT_EQ(set_refusal(engines_), "");
  engines_[1] = detector;
  EXPECT_THAT(set_refusal(engines_),
              testing::AllOf(HasSubstr("together"), HasSubstr("'sam3trt verify'")));
}

TEST_F(Set, OneThatWasChangedOrIsMissingIsAnotherSet) {
  engines_[2].plan_sha256 = "other";
  EXPECT_THAT(set_refusal(engines_), HasSubstr("mask_head"));
  engines_.pop_back();
  EXPECT_NE(set_refusal(engines_), "");
}

TEST_F(Set, OneThatPassedByItselfOnlyIsNamed) {
  engines_[0].verification = VerificationState::kStages;
  EXPECT_THAT(set_refusal(engines_), HasSubstr("(vision_encoder)"));
}

}  // namespace
}  // namespace sam3trt
