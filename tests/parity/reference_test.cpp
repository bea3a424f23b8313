#include "verify/reference.hpp"

#include <gtest/gtest.h>

#include "openvino/openvino_engine.hpp"
#include "runtime/float32_engine.hpp"
#include "stages.hpp"

namespace sam3trt::parity {
namespace {

const std::vector<std::string> kTexts = {"circle", "cat", "cup"};

ReferenceRun record(const ReferenceLimits& limits) {
  const ModelFiles files = export_model(all_references().front());
  const auto load = [](const std::filesystem::path& path) {
    return with_float32_tensors(load_openvino_engine(path, {}));
  };
  return record_reference(files, load, {built_in_pictures().front()}, kTexts, limits);
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
  EXPECT_EQ(run.calls.at("mask_head").front().inputs.at("query_index").dim(1), 3);
}

}  // namespace
}  // namespace sam3trt::parity
