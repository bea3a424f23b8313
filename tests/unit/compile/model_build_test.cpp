#include "compile/model_build.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "segmenter/engines.hpp"
#include "verify/verify_model.hpp"

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
      part.result.manifest.verification = VerificationState::kStages;
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
      result.manifest.verification = VerificationState::kStages;
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

/// Five engines of one build that passed stage by stage.
class VerifySet : public testing::Test {
 protected:
  VerifySet() : folder_(fs::path(testing::TempDir()) / "sam3trt_verify_set_test") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    files_.form = ModelForm::kEngines;
    for (const ComponentInfo& info : components()) {
      if (!serves(info.id, Task::kDetect)) continue;
      ModelPart part;
      part.request.output = folder_ / (std::string(info.name) + ".engine");
      EngineManifest& manifest = part.result.manifest;
      manifest.component = info.name;
      manifest.recipe = "fast";
      manifest.plan_sha256 = std::string("plan of the ") + std::string(info.name);
      manifest.verification = VerificationState::kStages;
      manifest.save(part.request.output);
      files_.components[info.id] = part.request.output;
      parts_.push_back(std::move(part));
    }
    repair_.check_rounded_reference = [] { return std::string(); };
    repair_.build = [](const EngineBuildRequest&) -> EngineBuildResult {
      throw Error(ErrorCode::kVerificationFailed, "no recipe is left");
    };
    repair_.report = [](const std::string&) {};
  }
  ~VerifySet() override { fs::remove_all(folder_); }

  [[nodiscard]] std::vector<std::string> states() const {
    std::vector<std::string> states;
    for (const EngineManifest& manifest : load_manifests(files_)) {
      states.emplace_back(name_of(manifest.verification));
    }
    return states;
  }

  static ResultReport found(int64_t instances) {
    ResultReport report;
    report.difference.matched = instances;
    return report;
  }

  fs::path folder_;
  ModelFiles files_;
  std::vector<ModelPart> parts_;
  ModelRepair repair_;
};

TEST_F(VerifySet, EnginesPassTogetherOrNotAtAll) {
  const EndToEnd result = verify_set(
      files_, parts_, [] { return found(7); }, repair_, "request");
  EXPECT_EQ(result.verdict, "passed");
  EXPECT_THAT(result.text, HasSubstr("7 instances compared"));
  EXPECT_THAT(states(), testing::Each("passed"));
  EXPECT_EQ(set_refusal(load_manifests(files_)), "");
  EXPECT_EQ(parts_.front().result.manifest.verification, VerificationState::kPassed);
  EXPECT_EQ(parts_.front().result.manifest.end_to_end, "passed");
}

TEST_F(VerifySet, ABuildThatIsKilledBeforeTheEndLeavesEnginesThatAreRefused) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto die = []() -> ResultReport {
      ::raise(SIGKILL);
      return {};
    };
    static_cast<void>(verify_set(files_, parts_, die, repair_, "request"));
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_THAT(states(), testing::Each("stages"));
  EXPECT_NE(set_refusal(load_manifests(files_)), "");
}

TEST_F(VerifySet, AnErrorOfTheCheckLeavesThemAsTheyWere) {
  const auto fail = []() -> ResultReport { throw Error(ErrorCode::kInternal, "out of memory"); };
  EXPECT_THROW((void)verify_set(files_, parts_, fail, repair_, "request"), Error);
  EXPECT_THAT(states(), testing::Each("stages"));
}

TEST_F(VerifySet, WhatIsPassedWithoutInstancesSaysThatNothingWasCompared) {
  const EndToEnd result = verify_set(
      files_, parts_, [] { return found(0); }, repair_, "request");
  EXPECT_EQ(result.verdict, "nothing compared");
  EXPECT_THAT(result.text, HasSubstr("0 instances compared"));
  EXPECT_EQ(load_manifests(files_).front().end_to_end, "nothing compared");
}

/// A set that passed, of engines that are up to date.
class CheckedSet : public VerifySet {
 protected:
  CheckedSet() {
    for (ModelPart& part : parts_) {
      EngineManifest& manifest = part.result.manifest;
      std::ofstream(part.request.output) << manifest.plan_sha256;
      manifest.plan_bytes = manifest.plan_sha256.size();
      manifest.plan_sha256 = sha256_hex(std::as_bytes(std::span(manifest.plan_sha256)));
      manifest.save(part.request.output);
    }
    static_cast<void>(verify_set(
        files_, parts_, [] { return found(7); }, repair_, "request"));
    for (ModelPart& part : parts_) part.result.up_to_date = true;
  }
};

TEST_F(CheckedSet, IsNotCheckedAgain) {
  const auto checked = find_checked_set(files_, parts_, "request");
  ASSERT_TRUE(checked);
  EXPECT_EQ(checked->verdict, "passed");
  EXPECT_TRUE(checked->up_to_date);
  mark_as_set(files_, "undecidable", "request");
  EXPECT_EQ(find_checked_set(files_, parts_, "request")->verdict, "undecidable");
}

TEST_F(CheckedSet, IsCheckedAgainWithSomethingElse) {
  EXPECT_FALSE(find_checked_set(files_, parts_, "other images"));
  mark_as_set(files_, "passed");  // by `verify`
  EXPECT_FALSE(find_checked_set(files_, parts_, "request"));
}

TEST_F(CheckedSet, IsCheckedAgainWhenAPartWasBuilt) {
  parts_.back().result.up_to_date = false;
  EXPECT_FALSE(find_checked_set(files_, parts_, "request"));
}

TEST_F(CheckedSet, IsCheckedAgainWhenItDidNotPass) {
  EngineManifest manifest = EngineManifest::load(parts_.front().request.output);
  manifest.verification = VerificationState::kFailed;
  manifest.save(parts_.front().request.output);
  EXPECT_FALSE(find_checked_set(files_, parts_, "request"));
}

TEST_F(CheckedSet, IsCheckedAgainWhenAnEngineBesideItIsDamaged) {
  const fs::path beside = parts_.back().request.output;
  parts_.pop_back();
  EXPECT_TRUE(find_checked_set(files_, parts_, "request"));
  std::ofstream(beside) << "another plan";
  EXPECT_FALSE(find_checked_set(files_, parts_, "request"));
}

TEST_F(VerifySet, OnlyTheEnginesOfThisBuildAreMarkedAsFailed) {
  parts_.erase(parts_.begin() + 1, parts_.end());  // the others were there before
  ResultReport report;
  report.problems = {"2 instances are lost"};
  EXPECT_THROW((void)verify_set(
                   files_, parts_, [&] { return report; }, repair_, "request"),
               Error);
  EXPECT_THAT(states(), ElementsAre("failed", "stages", "stages", "stages", "stages"));
}

}  // namespace
}  // namespace sam3trt
