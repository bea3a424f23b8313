#include "compile/part_builds.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <latch>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/error.hpp"
#include "compile/up_to_date.hpp"
#include "fake_tensorrt_api.hpp"
#include "onnx/graph.hpp"
#include "onnx/ops.hpp"
#include "precision/builtin_recipes.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

/// Two small detectors in one folder, each with its engine.
class PartBuild : public testing::Test {
 protected:
  PartBuild() : folder_(fs::path(testing::TempDir()) / "sam3trt_part_builds_test") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    for (const char* name : {"a", "b"}) {
      save_graph(name, 1.0F);
      EngineBuildRequest& request = requests_.emplace_back();
      request.onnx = folder_ / (std::string(name) + ".onnx");
      request.output = folder_ / (std::string(name) + ".engine");
      request.gpu = "NVIDIA H200";
      request.gpu_compute_capability = "9.0";
      request.kernels_sha256 = "kernels";
      request.verification = "three images";
      request.verify = [this](const Plan&, const Recipe&, const fs::path&) {
        ++verifications_;  // under mutex_, as all of build_engine is
        return BuildVerdict{true, "", "[]", 0, 0.25, 1.5};
      };
    }
  }
  ~PartBuild() override { fs::remove_all(folder_); }

  void save_graph(const std::string& name, float weight) const {
    Graph graph("detector");
    const Value x = graph.add_input("x", DType::kF32, {Dim("P"), 2});
    const Value w = graph.add_constant("/decoder/w", {2, 2},
                                       [weight] { return std::vector<float>(4, weight); });
    graph.add_output("y", add_matmul(graph, "/decoder/y", x, w));
    graph.set_metadata("sam3trt.component", "detector");
    graph.set_metadata("sam3trt.checkpoint_sha256", "abc");
    graph.save(folder_ / (name + ".onnx"));
  }

  /// The names of the engines that were built.
  std::vector<std::string> build(bool force = false) {
    std::vector<std::string> built;
    PartBuilds how;
    how.force = force;
    how.jobs = jobs_;
    how.failed = [&] { ++failures_; };
    how.build = [&](const EngineBuildRequest& request) {
      const std::string name = request.output.filename().string();
      {
        const std::lock_guard lock(mutex_);
        built.push_back(name);
      }
      if (before_) before_(name);
      const std::lock_guard lock(mutex_);  // the fake library is for one thread
      return build_engine(api_, request);
    };
    how.kept = [&](const ModelPart& part) { kept_.push_back(part.request.output.stem()); };
    how.changed = [&](const auto& changed) { announced_ += changed.size(); };
    parts_ = build_parts(api_, requests_, how);
    return built;
  }

  /// Both are there and up to date.
  void build_both() {
    ASSERT_THAT(build(), ElementsAre("a.engine", "b.engine"));
    ASSERT_THAT(build(), ElementsAre());
  }

  fs::path folder_;
  std::vector<EngineBuildRequest> requests_;
  std::vector<ModelPart> parts_;
  FakeTensorRt api_;
  std::mutex mutex_;
  size_t jobs_ = 1;
  std::function<void(const std::string& engine)> before_;
  std::vector<fs::path> kept_;
  std::atomic<int> failures_ = 0;
  int verifications_ = 0;
  size_t announced_ = 0;
};

TEST_F(PartBuild, TheSameAgainCompilesAndVerifiesNothing) {
  build_both();
  EXPECT_EQ(api_.builds, 2);
  EXPECT_EQ(verifications_, 2);
  EXPECT_EQ(announced_, 2U);  // by the first build alone
  ASSERT_EQ(parts_.size(), 2U);
  for (const ModelPart& part : parts_) {
    EXPECT_TRUE(part.result.up_to_date);
    EXPECT_EQ(part.result.deviation, 0.25);
    EXPECT_EQ(part.result.milliseconds, 1.5);
    EXPECT_EQ(part.result.manifest.to_json(), EngineManifest::load(part.request.output).to_json());
  }
}

TEST_F(PartBuild, ForceBuildsWhatIsUpToDate) {
  build_both();
  EXPECT_THAT(build(true), ElementsAre("a.engine", "b.engine"));
  EXPECT_FALSE(parts_.front().result.up_to_date);
}

TEST_F(PartBuild, OnlyWhatChangedIsBuilt) {
  build_both();
  save_graph("b", 2.0F);
  EXPECT_THAT(build(), ElementsAre("b.engine"));
  EXPECT_TRUE(parts_[0].result.up_to_date);
  EXPECT_FALSE(parts_[1].result.up_to_date);
}

TEST_F(PartBuild, ADamagedPlanIsBuiltAgain) {
  build_both();
  std::ofstream(requests_[0].output, std::ios::binary) << "plam 1";  // of the same size
  EXPECT_THAT(build(), ElementsAre("a.engine"));
  fs::resize_file(requests_[1].output, 2);
  EXPECT_THAT(build(), ElementsAre("b.engine"));
  fs::remove(requests_[0].output);
  EXPECT_THAT(build(), ElementsAre("a.engine"));
}

TEST_F(PartBuild, AManifestThatIsMissingDamagedOrOlderIsNoProof) {
  build_both();
  fs::remove(EngineManifest::path_beside(requests_[0].output));
  EXPECT_THAT(build(), ElementsAre("a.engine"));
  std::ofstream(EngineManifest::path_beside(requests_[0].output)) << "{}";
  EXPECT_THAT(build(), ElementsAre("a.engine"));
  EngineManifest manifest = EngineManifest::load(requests_[0].output);
  manifest.request_sha256.clear();
  manifest.save(requests_[0].output);
  EXPECT_THAT(build(), ElementsAre("a.engine"));
}

TEST_F(PartBuild, AFailedOrMissingVerificationIsNotTaken) {
  build_both();
  for (const VerificationState state : {VerificationState::kFailed, VerificationState::kNone}) {
    EngineManifest manifest = EngineManifest::load(requests_[1].output);
    manifest.verification = state;
    manifest.save(requests_[1].output);
    EXPECT_THAT(build(), ElementsAre("b.engine")) << name_of(state);
  }
}

TEST_F(PartBuild, WhateverDecidesTheEngineDecidesWhetherItIsUpToDate) {
  const std::vector<std::function<void(EngineBuildRequest&)>> changes = {
      [](EngineBuildRequest& request) { request.precision = Precision::kFp32; },
      [](EngineBuildRequest& request) { request.limits.prompts = 3; },
      [](EngineBuildRequest& request) { request.optimization_level = 1; },
      [](EngineBuildRequest& request) { request.workspace_bytes = 1 << 20; },
      [](EngineBuildRequest& request) { request.gpu = "NVIDIA L4"; },
      [](EngineBuildRequest& request) { request.gpu_compute_capability = "8.9"; },
      [](EngineBuildRequest& request) { request.kernels_sha256 = "others"; },
      [](EngineBuildRequest& request) { request.calibration_images = {"another"}; },
      [](EngineBuildRequest& request) { request.verification = "four images"; },
      [](EngineBuildRequest& request) { request.verify = {}; },
      [](EngineBuildRequest& request) {
        nlohmann::json book = nlohmann::json::parse(builtin_recipes());
        book["precisions"]["fp16"]["variants"].erase(1);
        request.recipes = RecipeBook::parse(book.dump(), "book");
      },
  };
  const std::vector<EngineBuildRequest> original = requests_;
  for (size_t i = 0; i < changes.size(); ++i) {
    requests_ = original;
    static_cast<void>(build());
    ASSERT_THAT(build(), ElementsAre()) << i;
    changes[i](requests_[0]);
    EXPECT_THAT(build(), ElementsAre("a.engine")) << i;
  }
}

TEST_F(PartBuild, AnotherLibraryBuildsAgain) {
  build_both();
  api_.own_version = "10.7.0";
  EXPECT_THAT(build(), ElementsAre("a.engine", "b.engine"));
}

TEST_F(PartBuild, AnEngineThatPassedWithItsSetIsUpToDate) {
  build_both();
  EngineManifest manifest = EngineManifest::load(requests_[0].output);
  manifest.verification = VerificationState::kPassed;
  manifest.set_sha256 = "set";
  manifest.end_to_end = "passed";
  manifest.save(requests_[0].output);
  EXPECT_THAT(build(), ElementsAre());
}

TEST_F(PartBuild, SaysWhyAnEngineIsNotTaken) {
  build_both();
  std::string reason;
  requests_[0].optimization_level = 1;
  EXPECT_FALSE(find_up_to_date(api_, requests_[0], reason));
  EXPECT_THAT(reason, HasSubstr("something else"));
  requests_[0].output = folder_ / "none.engine";
  reason.clear();
  EXPECT_FALSE(find_up_to_date(api_, requests_[0], reason));
  EXPECT_EQ(reason, "");
}

TEST_F(PartBuild, WithJobsEnginesAreBuiltAtTheSameTime) {
  jobs_ = 2;
  std::latch both(2);
  before_ = [&](const std::string&) { both.arrive_and_wait(); };  // for ever with one thread
  EXPECT_THAT(build(), UnorderedElementsAre("a.engine", "b.engine"));
  ASSERT_EQ(parts_.size(), 2U);
  EXPECT_EQ(parts_[0].request.output.filename(), "a.engine");
  EXPECT_EQ(parts_[1].request.output.filename(), "b.engine");
  before_ = {};
  EXPECT_THAT(build(), ElementsAre());
  EXPECT_THAT(kept_, ElementsAre("a", "b"));
}

TEST_F(PartBuild, WithOneJobTheyAreBuiltOneAfterTheOther) {
  std::set<std::thread::id> threads;
  before_ = [&](const std::string&) { threads.insert(std::this_thread::get_id()); };
  EXPECT_THAT(build(), ElementsAre("a.engine", "b.engine"));
  EXPECT_THAT(threads, ElementsAre(std::this_thread::get_id()));
}

TEST_F(PartBuild, TheFirstErrorOfSeveralJobsIsThrownAndNoOtherBegins) {
  requests_.push_back(requests_[0]);
  requests_.back().output = folder_ / "c.engine";
  jobs_ = 2;
  std::latch both(2);
  before_ = [&](const std::string& engine) {
    both.arrive_and_wait();
    if (engine == "b.engine") throw Error(ErrorCode::kBadInput, "the first");
    while (failures_ == 0) std::this_thread::yield();
    throw Error(ErrorCode::kInternal, "the second");
  };
  try {
    static_cast<void>(build());
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "the first");
  }
  EXPECT_EQ(failures_, 1);
  EXPECT_FALSE(fs::exists(folder_ / "c.engine"));
}

TEST_F(PartBuild, AnErrorOfOneLeavesTheOthersAsTheyAre) {
  build_both();
  const auto before = fs::last_write_time(requests_[0].output);
  std::ofstream(requests_[1].onnx) << "damaged";
  EXPECT_THROW(static_cast<void>(build()), Error);
  EXPECT_EQ(fs::last_write_time(requests_[0].output), before);
  EXPECT_TRUE(fs::exists(requests_[1].output));
}

}  // namespace
}  // namespace sam3trt
