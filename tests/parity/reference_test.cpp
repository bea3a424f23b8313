#include "verify/reference.hpp"

#include <gtest/gtest.h>

#include <set>

#include "openvino/openvino_engine.hpp"
#include "runtime/float32_engine.hpp"
#include "stages.hpp"
#include "verify/built_in_images.hpp"

namespace sam3trt::parity {
namespace {

const std::vector<std::string> kTexts = {"circle", "cat", "cup"};

ReferenceRun record(const ReferenceLimits& limits, const std::vector<std::string>& texts = kTexts) {
  const ModelFiles files = export_model(all_references().front());
  const auto load = [](const std::filesystem::path& path) {
    return with_float32_tensors(load_openvino_engine(path, {}));
  };
  return record_reference(files, load, {built_in_images().front()}, texts, limits);
}

TEST(RecordReference, EnginesSeeSeveralPromptsTogetherAndOneAlone) {
  const ReferenceRun run = record({});
  const auto& calls = run.calls.at("detector");
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].outputs.at("pred_logits").dim(0), 4);
  EXPECT_EQ(calls[1].outputs.at("pred_logits").dim(0), 1);
  EXPECT_EQ(run.results.front().prompts.size(), 5U);
}

TEST(RecordReference, ItsCallsStayWithinWhatTheEnginesTake) {
  const ReferenceRun run = record({.prompts = 2, .boxes = 1, .masks = 3});
  for (const RecordedCall& call : run.calls.at("detector")) {
    EXPECT_LE(call.outputs.at("pred_logits").dim(0), 2);
  }
  for (const RecordedCall& call : run.calls.at("text_encoder")) {
    EXPECT_LE(call.inputs.at("input_ids").dim(0), 2);
  }
  for (const RecordedCall& call : run.calls.at("geometry_encoder")) {
    EXPECT_EQ(call.inputs.at("boxes").dim(1), 1);
  }
  for (const RecordedCall& call : run.calls.at("mask_head")) {
    EXPECT_LE(call.inputs.at("query_index").dim(0), 2);
    EXPECT_EQ(call.inputs.at("query_index").dim(1), 3);
  }
}

/// How many prompts the calls of a component have.
std::set<int64_t> prompts_of(const ReferenceRun& run, const std::string& component) {
  std::set<int64_t> counts;
  for (const RecordedCall& call : run.calls.at(component)) {
    counts.insert(call.outputs.begin()->second.dim(0));
  }
  return counts;
}

TEST(RecordReference, EveryPartSeesOnePromptAloneAndSeveralWhateverTheLimitsAndTexts) {
  for (const int64_t prompts : {2, 3, 16}) {
    for (const std::vector<std::string>& texts : {std::vector<std::string>{}, {"cat"}, kTexts}) {
      const ReferenceRun run = record({.prompts = prompts}, texts);
      for (const char* part : {"text_encoder", "geometry_encoder", "detector", "mask_head"}) {
        const auto counts = prompts_of(run, part);
        EXPECT_EQ(*counts.begin(), 1) << part << " of " << prompts << ", texts " << texts.size();
        EXPECT_GT(*counts.rbegin(), 1) << part << " of " << prompts << ", texts " << texts.size();
        EXPECT_LE(*counts.rbegin(), prompts) << part;
      }
    }
  }
}

TEST(RecordReference, TheMaskHeadSeesOnePromptOfOneAndSeveralOfSeveral) {
  const ReferenceRun run = record({.mask_prompts = 3});
  const auto& calls = run.calls.at("mask_head");
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].inputs.at("query_features").dim(0), 1);
  EXPECT_EQ(calls[0].inputs.at("query_index").dim(0), 1);
  EXPECT_EQ(calls[1].inputs.at("query_features").dim(0), 4);
  EXPECT_EQ(calls[1].inputs.at("query_index").dim(0), 3);
  EXPECT_EQ(calls[1].inputs.at("prompt_index").i64()[2], 2);
}

TEST(RecordReference, EnginesForOnePromptSeeNoMore) {
  const ReferenceRun run = record({.prompts = 1, .mask_prompts = 1});
  for (const char* part : {"text_encoder", "geometry_encoder", "detector", "mask_head"}) {
    EXPECT_EQ(prompts_of(run, part), (std::set<int64_t>{1})) << part;
  }
}

}  // namespace
}  // namespace sam3trt::parity
