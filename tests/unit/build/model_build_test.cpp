#include "build/model_build.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class RepairModel : public testing::Test {
 protected:
  RepairModel() : folder_(fs::path(testing::TempDir()) / "sam3trt_model_build_test") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    for (const auto& [name, deviation] : {std::pair{"vision", 1e-3}, std::pair{"detector", 1e-5}}) {
      ModelPart part;
      part.request.output = folder_ / name;
      part.result.deviation = deviation;
      part.result.manifest.recipe = "fast";
      part.result.manifest.verification = VerificationState::kPassed;
      parts_.push_back(std::move(part));
    }
  }
  ~RepairModel() override { fs::remove_all(folder_); }

  /// Runs the repair; the check fails as often as `failures` says, and each part has the recipes
  /// "fast" and `safer`.
  ModelVerdict repair(int failures, const std::string& safer = "safe") {
    ModelRepair model;
    model.check = [&] { return failures-- > 0 ? std::string("an instance is lost") : ""; };
    model.check_rounded_reference = [this] {
      ++rounded_;
      return rounding_;
    };
    model.build = [&](const EngineBuildRequest& request) {
      if (safer.empty() || request.after == safer) {
        throw Error(ErrorCode::kVerificationFailed, "no recipe is left");
      }
      built_.push_back(request.output.filename().string() + " after " + request.after);
      EngineBuildResult result;
      result.manifest.recipe = safer;
      result.manifest.verification = VerificationState::kPassed;
      return result;
    };
    model.report = [&](const std::string& message) { told_.push_back(message); };
    return repair_model(parts_, model);
  }

  fs::path folder_;
  std::vector<ModelPart> parts_;
  std::vector<std::string> built_;
  std::vector<std::string> told_;
  std::string rounding_;
  int rounded_ = 0;
};

TEST_F(RepairModel, ARightModelIsLeftAlone) {
  EXPECT_EQ(repair(0), ModelVerdict::kPassed);
  EXPECT_TRUE(built_.empty());
  EXPECT_TRUE(told_.empty());
  EXPECT_EQ(rounded_, 0);
}

TEST_F(RepairModel, ThePartThatDeviatesMostGetsASaferRecipeFirst) {
  EXPECT_EQ(repair(1), ModelVerdict::kPassed);
  EXPECT_THAT(built_, ElementsAre("vision after fast"));
  EXPECT_EQ(parts_[0].result.manifest.recipe, "safe");
  EXPECT_EQ(parts_[1].result.manifest.recipe, "fast");
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_THAT(told_[0], HasSubstr("an instance is lost"));
}

TEST_F(RepairModel, GoesOnWithTheNextPart) {
  EXPECT_EQ(repair(2), ModelVerdict::kPassed);
  EXPECT_THAT(built_, ElementsAre("vision after fast", "detector after fast"));
  EXPECT_EQ(rounded_, 1);
}

TEST_F(RepairModel, ACheckpointThatRoundingChangesIsLeftAsItIs) {
  rounding_ = "2 instances are gained";
  EXPECT_EQ(repair(1), ModelVerdict::kUndecidable);
  EXPECT_TRUE(built_.empty());
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_THAT(told_[0], HasSubstr("2 instances are gained"));
}

TEST_F(RepairModel, GivesUpAfterAFewRepairs) {
  for (int i = 0; i < 10; ++i) parts_.push_back(parts_.front());
  EXPECT_THROW(repair(100), Error);
  EXPECT_EQ(built_.size(), 4U);
}

TEST_F(RepairModel, WithoutASaferRecipeAllManifestsSayThatTheVerificationFailed) {
  try {
    repair(1, "");
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kVerificationFailed);
    EXPECT_THAT(error.what(), HasSubstr("an instance is lost"));
  }
  for (const char* name : {"vision", "detector"}) {
    EXPECT_EQ(EngineManifest::load(folder_ / name).verification, VerificationState::kFailed);
  }
}

}  // namespace
}  // namespace sam3trt
