#include "compile/compile_apart.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "base/error.hpp"
#include "fake_tensorrt_api.hpp"
#include "onnx/graph.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class CompileApart : public testing::Test {
 protected:
  CompileApart() : folder_(fs::path(testing::TempDir()) / "sam3trt_compile_apart_test") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    Graph graph("detector");
    graph.add_output("y", add_relu(graph, "/y", graph.add_input("x", DType::kF32, {Dim("P"), 2})));
    graph.save(folder_ / "graph.onnx");
    settings_.profiles = {{{"x", {{1, 2}, {4, 2}, {8, 2}}}}, {}};
    settings_.optimization_level = 2;
    settings_.workspace_bytes = 1ULL << 33U;
    settings_.allow_tf32 = true;
    settings_.timing_cache = std::vector<std::byte>(3, std::byte{'t'});
    settings_.progress = [this](std::string_view phase, int step, int steps) {
      steps_.push_back(std::string(phase) + " " + std::to_string(step) + "/" +
                       std::to_string(steps));
      return steps_.size() < most_steps_;
    };
  }
  ~CompileApart() override { fs::remove_all(folder_); }

  /// A shell script in place of the program; $2 is the file with the settings.
  fs::path program(const std::string& script) const {
    const fs::path program = folder_ / "program";
    std::ofstream(program) << "#!/bin/sh\nset -e\ncd \"$(dirname \"$2\")\"\n" << script << "\n";
    fs::permissions(program, fs::perms::owner_all);
    return program;
  }

  /// Compiles with it.
  Plan build(const std::string& script) {
    return compile_apart(api_, program(script), 1)->build(folder_ / "graph.onnx", settings_);
  }

  /// Several at the same time; how many of them gave a plan.
  int build_together(const std::string& script, size_t calls, size_t most) {
    const auto api = compile_apart(api_, program(script), most);
    settings_.progress = nullptr;
    std::atomic<int> done = 0;
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < calls; ++i) {
      threads.emplace_back([&] {
        try {
          static_cast<void>(api->build(folder_ / "graph.onnx", settings_));
          ++done;
        } catch (const Error&) {
          return;
        }
      });
    }
    threads.clear();
    return done;
  }

  std::string refusal(const std::string& script) {
    try {
      static_cast<void>(build(script));
      return "no error";
    } catch (const Error& error) {
      code_ = error.code();
      return error.what();
    }
  }

  /// What lies in the folder beside the program and the graph.
  [[nodiscard]] std::set<std::string> left() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      names.insert(entry.path().filename());
    }
    for (const char* name : {"program", "graph.onnx", "graph.onnx.data"}) names.erase(name);
    return names;
  }

  static constexpr const char* kDone = "printf plan > plan; printf cache > timing.new";

  fs::path folder_;
  PlanSettings settings_;
  std::vector<std::string> steps_;
  size_t most_steps_ = 100;
  ErrorCode code_ = ErrorCode::kInternal;
  std::shared_ptr<FakeTensorRt> api_ = std::make_shared<FakeTensorRt>();
};

TEST_F(CompileApart, ThePlanAndTheTimingCacheComeFromTheProcess) {
  const Plan plan =
      build(std::string("test \"$1\" = compile-plan; test \"$(cat timing)\" = ttt; ") + kDone);
  EXPECT_EQ(text_of(plan.bytes), "plan");
  EXPECT_EQ(text_of(plan.timing_cache), "cache");
  EXPECT_EQ(api_->builds, 0);
  EXPECT_THAT(left(), testing::IsEmpty());
}

TEST_F(CompileApart, ProgressIsToldAndEndsTheProcessWhereItIsWanted) {
  const std::string line = R"(echo '{"phase":"Build","step":1,"steps":4}'; )";
  static_cast<void>(build(line + kDone));
  EXPECT_THAT(steps_, ElementsAre("Build 1/4"));
  most_steps_ = 2;
  EXPECT_THAT(refusal(line + "sleep 600"), HasSubstr("cancelled"));
}

TEST_F(CompileApart, NoMoreProcessesThanAreWantedRunAtTheSameTime) {
  // Fails where another is there.
  const std::string alone = std::string("mkdir ../busy; sleep 0.1; rmdir ../busy; ") + kDone;
  EXPECT_EQ(build_together(alone, 3, 1), 3);
  // Waits for another, ten seconds at most.
  const std::string beside =
      std::string(
          "mkdir ../here.$$; for i in $(seq 100); do "
          "if test $(ls -d ../here.* | wc -l) -ge 2; then break; fi; sleep 0.1; done; "
          "test $i -lt 100; ") +
      kDone;
  EXPECT_EQ(build_together(beside, 2, 2), 2);
}

TEST_F(CompileApart, WhatWaitsForItsTurnCanBeCancelled) {
  const auto api = compile_apart(
      api_, program(std::string("while ! test -e ../go; do sleep 0.05; done; ") + kDone), 1);
  PlanSettings quiet = settings_;
  quiet.progress = nullptr;
  std::jthread first([&] { static_cast<void>(api->build(folder_ / "graph.onnx", quiet)); });
  while (left().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  most_steps_ = 2;
  try {
    static_cast<void>(api->build(folder_ / "graph.onnx", settings_));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("cancelled"));
  }
  EXPECT_THAT(steps_, ElementsAre("waiting 0/0", "waiting 0/0"));
  std::ofstream(folder_ / "go") << "";
}

TEST_F(CompileApart, AnErrorOfTheProcessIsThrownAsItIs) {
  EXPECT_EQ(refusal(R"(echo '{"error":"graph.onnx: no","code":1}'; exit 1)"), "graph.onnx: no");
  EXPECT_EQ(code_, ErrorCode::kBadInput);
  EXPECT_THAT(left(), testing::IsEmpty());
}

TEST_F(CompileApart, ADeathOfTheProcessIsOneErrorWithItsLastWords) {
  EXPECT_THAT(refusal("echo first >&2; echo 'out of memory' >&2; kill -SEGV $$"),
              testing::AllOf(HasSubstr("graph.onnx died of: Segmentation fault"),
                             HasSubstr("it said last: out of memory")));
  EXPECT_EQ(code_, ErrorCode::kInternal);
  EXPECT_THAT(refusal("exit 7"), HasSubstr("ended with exit code 7"));
  EXPECT_THAT(refusal("echo nonsense; sleep 600"), HasSubstr("the compiler wrote"));
  EXPECT_THAT(refusal("true"), HasSubstr("plan"));  // which is not there
  EXPECT_THAT(left(), testing::IsEmpty());
}

/// The other side: what the program does with the settings that build() wrote.
class RunCompiler : public CompileApart {
 protected:
  /// The settings of one call, kept.
  [[nodiscard]] fs::path kept_settings() {
    const fs::path kept = folder_ / "kept";
    fs::create_directories(kept);
    static_cast<void>(build("cp settings.json timing " + kept.string() + "; " + kDone));
    return kept / "settings.json";
  }
};

TEST_F(RunCompiler, BuildsWhatTheSettingsSay) {
  const fs::path settings = kept_settings();
  std::ostringstream out;
  EXPECT_EQ(run_compiler(*api_, settings, out), 0) << out.str();
  const PlanSettings& found = api_->last_settings;
  ASSERT_EQ(found.profiles.size(), 2U);
  EXPECT_EQ(found.profiles[0].at("x").min, (Shape{1, 2}));
  EXPECT_EQ(found.profiles[0].at("x").opt, (Shape{4, 2}));
  EXPECT_EQ(found.profiles[0].at("x").max, (Shape{8, 2}));
  EXPECT_TRUE(found.profiles[1].empty());
  EXPECT_EQ(found.optimization_level, 2);
  EXPECT_EQ(found.workspace_bytes, 1ULL << 33U);
  EXPECT_TRUE(found.allow_tf32);
  EXPECT_TRUE(found.strongly_typed);
  EXPECT_EQ(text_of(found.timing_cache), "ttt");
  EXPECT_TRUE(fs::exists(settings.parent_path() / "plan"));
  EXPECT_TRUE(fs::exists(settings.parent_path() / "timing.new"));
}

TEST_F(RunCompiler, WritesAnErrorAsALine) {
  std::ostringstream out;
  EXPECT_EQ(run_compiler(*api_, folder_ / "none.json", out), 1);
  EXPECT_THAT(nlohmann::json::parse(out.str()).at("error").get<std::string>(),
              HasSubstr("none.json"));
  std::ofstream(folder_ / "bad.json") << "{";
  std::ostringstream other;
  EXPECT_EQ(run_compiler(*api_, folder_ / "bad.json", other), 1);
  EXPECT_THAT(other.str(), StartsWith("{\"code\":0,\"error\":"));
}

}  // namespace
}  // namespace sam3trt
