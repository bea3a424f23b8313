#include "segmenter/engines.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <mutex>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "cuda/operators.hpp"
#include "fake_cuda.hpp"
#include "fake_driver.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// Only its name is asked for here.
class NamedPlan : public LoadedPlan {
 public:
  explicit NamedPlan(std::string text) : text_(std::move(text)) { ++alive; }
  ~NamedPlan() override { --alive; }
  NamedPlan(const NamedPlan&) = delete;
  NamedPlan& operator=(const NamedPlan&) = delete;
  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return none_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return none_; }
  [[nodiscard]] ProfileShape profile(const std::string& /*input*/) const override { return {}; }
  [[nodiscard]] uint64_t activation_bytes() const override { return 0; }
  [[nodiscard]] std::string layers_json() const override { return text_; }
  [[nodiscard]] std::unique_ptr<PlanContext> make_context(
      ActivationMemory /*memory*/) const override {
    return nullptr;
  }

  static inline std::atomic<int> alive = 0;

 private:
  std::string text_;
  std::vector<TensorInfo> none_;
};

/// Loads any bytes but some.
class FakeTensorRt : public TensorRtApi {
 public:
  [[nodiscard]] TensorRtFlavour flavour() const override { return TensorRtFlavour::kTensorRt10; }
  [[nodiscard]] std::string version() const override { return "10.6.0"; }
  [[nodiscard]] Plan build(const fs::path& /*onnx*/, const PlanSettings& /*settings*/) override {
    return {};
  }
  [[nodiscard]] std::shared_ptr<const LoadedPlan> load(std::span<const std::byte> plan) override {
    const std::lock_guard lock(mutex_);
    ++loads;
    std::string text(reinterpret_cast<const char*>(plan.data()), plan.size());
    if (text == refused) throw_bad_input("refuses the engine");
    return std::make_shared<const NamedPlan>(std::move(text));
  }

  int loads = 0;
  std::string refused;

 private:
  std::mutex mutex_;
};

class Engines : public testing::Test {
 protected:
  Engines()
      : api_(std::make_shared<FakeTensorRt>()),
        host_(api_, CudaDevice(0, fake_driver())),
        folder_(fs::path(testing::TempDir()) / "sam3trt_engines_test") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    files_.form = ModelForm::kEngines;
    for (const ComponentInfo& info : components()) {
      files_.components[info.id] = write(std::string(info.name));
    }
    mark_as_set();
  }

  /// All manifests say that exactly these engines passed together.
  void mark_as_set() {
    const std::string set = set_sha256_of(load_manifests(files_));
    for (const auto& [component, path] : files_.components) {
      change(path, [&](EngineManifest& manifest) { manifest.set_sha256 = set; });
    }
  }

  std::string refusal_of_the_set(bool allow_unverified = false) {
    try {
      check_set(files_, {.threads = 0, .allow_unverified = allow_unverified});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.what();
    }
    return "no error";
  }
  ~Engines() override { fs::remove_all(folder_); }

  /// An engine whose plan is its name.
  fs::path write(const std::string& name) {
    const fs::path path = folder_ / (name + ".engine");
    std::ofstream(path) << name;
    EngineManifest manifest;
    manifest.component = name;
    manifest.flavour = "TensorRT 10";
    manifest.tensorrt_version = "10.6.0";
    manifest.gpu = host_.device.info().name;
    manifest.compute_capability = host_.device.info().compute_capability();
    manifest.kernels_sha256 = operator_kernels_sha256();
    manifest.plan_bytes = name.size();
    manifest.plan_sha256 = sha256_hex(std::as_bytes(std::span(name)));
    manifest.verification = VerificationState::kPassed;
    manifest.save(path);
    return path;
  }

  static void change(const fs::path& engine, const std::function<void(EngineManifest&)>& edit) {
    EngineManifest manifest = EngineManifest::load(engine);
    edit(manifest);
    manifest.save(engine);
  }

  GpuPlans load() { return load_plans(host_, open_engines(files_), {}); }

  /// Components that detection needs.
  static size_t detecting() {
    return static_cast<size_t>(std::ranges::count_if(
        components(), [](const ComponentInfo& info) { return serves(info.id, Task::kDetect); }));
  }

  std::string refusal_of_all() {
    try {
      static_cast<void>(load());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.what();
    }
    return "no error";
  }

  std::shared_ptr<FakeTensorRt> api_;
  TensorRtHost host_;
  fs::path folder_;
  ModelFiles files_;
};

TEST_F(Engines, EachComponentGetsThePlanOfItsFile) {
  const GpuPlans plans = load();
  EXPECT_EQ(plans.size(), detecting());
  for (const auto& [component, plan] : plans) EXPECT_EQ(plan->layers_json(), name_of(component));
  EXPECT_EQ(static_cast<size_t>(api_->loads), detecting());
}

TEST_F(Engines, ThoseOfClicksAndVideosAreLoadedWhenTheyAreUsed) {
  change(files_.at(Component::kSamDecoder), [](EngineManifest& manifest) {
    manifest.profiles = {{{"feature_index", {{1}, {1}, {1}}}},
                         {{"feature_index", {{1}, {8}, {8}}}}};
  });
  const LatePlans later = late_plans(host_, files_, {});
  EXPECT_EQ(later.size(), components().size() - detecting());
  EXPECT_EQ(api_->loads, 0);
  EXPECT_EQ(later.at(Component::kSamDecoder).objects, 8);
  EXPECT_EQ(later.at(Component::kTrackerNeck).objects, 0);
  for (const auto& [component, plan] : later) {
    EXPECT_EQ(plan.load()->layers_json(), name_of(component));
  }
}

TEST_F(Engines, OneThatIsLoadedLaterMustBeTheOneThatWasThere) {
  const LatePlans later = late_plans(host_, files_, {});
  const LatePlans any = late_plans(host_, files_, {.threads = 0, .allow_unverified = true});
  const auto refusal = [&](const LatePlans& plans) -> std::string {
    try {
      static_cast<void>(plans.at(Component::kSamDecoder).load());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.what();
    }
    return "no error";
  };
  const fs::path path = files_.at(Component::kSamDecoder);
  std::ofstream(path) << "sam_Decoder";  // as long as before
  EXPECT_THAT(refusal(later), HasSubstr("is not the engine that its manifest describes"));
  change(path, [](EngineManifest& manifest) {
    const std::string plan = "sam_Decoder";
    manifest.plan_sha256 = sha256_hex(std::as_bytes(std::span(plan)));
  });
  EXPECT_THAT(refusal(later),
              testing::AllOf(HasSubstr("sam_decoder.engine"), HasSubstr("load the model again")));
  EXPECT_EQ(refusal(any), "no error");
  change(path, [](EngineManifest& manifest) { manifest.gpu = "NVIDIA L4"; });
  EXPECT_THAT(refusal(any), HasSubstr("L4"));
}

TEST_F(Engines, AChangedByteIsRefusedByName) {
  std::ofstream(files_.at(Component::kTextEncoder)) << "text_Encoder";  // as long as before
  EXPECT_THAT(refusal_of_all(), testing::AllOf(HasSubstr("text_encoder.engine"),
                                               HasSubstr("is not the engine that its manifest")));
  std::ofstream(files_.at(Component::kTextEncoder)) << "text_encoder, longer";
  EXPECT_THAT(refusal_of_all(), HasSubstr("is not the engine that its manifest"));
}

TEST_F(Engines, WhatThisMachineOrProgramDidNotBuildIsRefused) {
  change(files_.at(Component::kDetector),
         [](EngineManifest& manifest) { manifest.gpu = "NVIDIA L4"; });
  EXPECT_THAT(refusal_of_all(), testing::AllOf(HasSubstr("detector.engine"), HasSubstr("L4")));
  files_.components[Component::kDetector] = write("detector");
  change(files_.at(Component::kDetector),
         [](EngineManifest& manifest) { manifest.kernels_sha256 = "0"; });
  EXPECT_THAT(refusal_of_all(), HasSubstr("other kernels"));
  files_.components[Component::kDetector] = write("detector");
  change(files_.at(Component::kDetector),
         [](EngineManifest& manifest) { manifest.verification = VerificationState::kFailed; });
  EXPECT_THAT(refusal_of_all(), HasSubstr("failed its verification"));
  files_.components[Component::kDetector] = write("detector");
  EXPECT_EQ(refusal_of_all(), "no error");
}

TEST_F(Engines, ThoseThatRunOnlyBecauseTheyAreAllowedAreNamed) {
  EXPECT_TRUE(unverified_components(files_).empty());
  change(files_.at(Component::kDetector),
         [](EngineManifest& manifest) { manifest.verification = VerificationState::kFailed; });
  change(files_.at(Component::kMaskHead),
         [](EngineManifest& manifest) { manifest.verification = VerificationState::kNone; });
  const std::map<std::string, std::string> expected = {{"detector", "failed"},
                                                       {"mask_head", "none"}};
  EXPECT_EQ(unverified_components(files_), expected);
  EXPECT_FALSE(all_verified(files_));
  files_.form = ModelForm::kGraphs;
  EXPECT_TRUE(all_verified(files_)) << "graphs are the reference";
}

TEST_F(Engines, WhatTheLibraryRefusesIsAnErrorAndTheOthersAreFreed) {
  api_->refused = "vision_encoder";
  EXPECT_THAT(refusal_of_all(), HasSubstr("refuses the engine"));
  EXPECT_EQ(static_cast<size_t>(api_->loads), detecting());
  EXPECT_EQ(NamedPlan::alive, 0);
  fs::remove(files_.at(Component::kMaskHead));
  EXPECT_THAT(refusal_of_all(), HasSubstr("mask_head.engine"));
}

TEST_F(Engines, ThoseThatPassedTogetherAreVerified) {
  EXPECT_EQ(refusal_of_the_set(), "no error");
  EXPECT_TRUE(all_verified(files_));
}

TEST_F(Engines, OneOfAnotherSetIsRefusedAndNamed) {
  change(files_.at(Component::kDetector),
         [](EngineManifest& manifest) { manifest.set_sha256 = "of another folder"; });
  EXPECT_THAT(refusal_of_the_set(), testing::AllOf(HasSubstr("together"), HasSubstr("(detector)")));
  EXPECT_EQ(refusal_of_the_set(true), "no error");
  EXPECT_FALSE(all_verified(files_));
}

TEST_F(Engines, OneWhoseBuildEndedBeforeTheEndToEndCheckIsRefused) {
  change(files_.at(Component::kMaskHead),
         [](EngineManifest& manifest) { manifest.verification = VerificationState::kStages; });
  EXPECT_EQ(refusal_of_the_set(), "no error");  // it has a reason of its own
  EXPECT_THAT(refusal_of_all(),
              testing::AllOf(HasSubstr("mask_head.engine"), HasSubstr("not run end to end"),
                             HasSubstr("'sam3trt build' again")));
  EXPECT_FALSE(all_verified(files_));
}

}  // namespace
}  // namespace sam3trt
