#include "verify/tracker_reference.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "fake_graphs.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;
using enum Component;

class TrackerReference : public testing::Test {
 protected:
  TrackerReference() {
    files_.config = FakeGraphs::config();
    for (const ComponentInfo& info : components()) files_.components[info.id] = info.name;
    const int64_t tokens = files_.config.grid * files_.config.grid;
    for (int image = 0; image < 4; ++image) {
      Tensor features(DType::kF32, {1, tokens, files_.config.tracker->vision_width});
      std::iota(features.f32().begin(), features.f32().end(), static_cast<float>(100 * image));
      vision_.push_back({{}, {}});
      vision_.back().outputs.emplace("vision_features", std::move(features));
    }
  }

  std::map<std::string, std::vector<RecordedCall>> record(const ReferenceLimits& limits) {
    return record_tracker(
        files_,
        [this](const std::filesystem::path& path) {
          return graphs_.all_engines().take(component_named(path.string()).value());
        },
        vision_, limits);
  }

  /// The sizes of that axis in all calls, once each.
  static std::vector<int64_t> sizes(const std::vector<RecordedCall>& calls, const char* input,
                                    int64_t axis) {
    std::vector<int64_t> found;
    for (const RecordedCall& call : calls) found.push_back(call.inputs.at(input).dim(axis));
    std::ranges::sort(found);
    const auto rest = std::ranges::unique(found);
    found.erase(rest.begin(), rest.end());
    return found;
  }

  FakeGraphs graphs_;
  ModelFiles files_;
  std::vector<RecordedCall> vision_;
};

TEST_F(TrackerReference, EveryComponentHasCallsOfOneObjectAndOfSeveral) {
  const auto calls = record({.images = 2});
  EXPECT_EQ(calls.size(), 5U);
  EXPECT_EQ(calls.at("tracker_neck").size(), vision_.size());
  for (const char* component :
       {"mask_prompt", "memory_attention", "sam_decoder", "memory_encoder"}) {
    const std::string input(*input_counting(component_named(component).value(), "O"));
    EXPECT_EQ(sizes(calls.at(component), input.c_str(), 0), (std::vector<int64_t>{1, 4}))
        << component;
  }
  // Several objects look at several images, and at features of their own.
  EXPECT_EQ(sizes(calls.at("memory_encoder"), "tracker_feat_2", 0), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(sizes(calls.at("sam_decoder"), "object_features", 0), (std::vector<int64_t>{1, 2, 4}));
  // Frames and pointers: none, one and more.
  EXPECT_EQ(sizes(calls.at("memory_attention"), "memory_features", 1),
            (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(sizes(calls.at("memory_attention"), "memory_pointers", 1),
            (std::vector<int64_t>{0, 1, 2}));
}

TEST_F(TrackerReference, NothingIsBeyondTheLimits) {
  const auto calls = record({.objects = 1});
  EXPECT_EQ(sizes(calls.at("sam_decoder"), "feature_index", 0), (std::vector<int64_t>{1}));
  EXPECT_EQ(sizes(calls.at("memory_attention"), "image_index", 0), (std::vector<int64_t>{1}));
  EXPECT_EQ(sizes(calls.at("sam_decoder"), "tracker_feat_0", 0), (std::vector<int64_t>{1}));
}

TEST_F(TrackerReference, AMaskAndAllLabelsGoThroughTheDecoder) {
  std::vector<int64_t> labels;
  bool masked = false;
  const auto calls = record({});
  for (const RecordedCall& call : calls.at("sam_decoder")) {
    const auto given = call.inputs.at("point_labels").i64();
    labels.insert(labels.end(), given.begin(), given.end());
    const Tensor& mask = call.inputs.at("mask_input");
    for (int64_t object = 0; object < mask.dim(0); ++object) {
      if (call.inputs.at("has_mask").f32()[static_cast<size_t>(object)] == 0) continue;
      masked = masked || std::ranges::any_of(mask.f32(), [](float value) { return value != 0; });
    }
  }
  EXPECT_TRUE(masked);
  for (const int64_t label : {-10, -1, 0, 1, 2, 3}) EXPECT_THAT(labels, testing::Contains(label));
}

TEST_F(TrackerReference, TheSameCallsComeEachTime) {
  const auto first = record({});
  const auto second = record({});
  for (const auto& [component, calls] : first) {
    ASSERT_EQ(second.at(component).size(), calls.size());
    for (size_t i = 0; i < calls.size(); ++i) {
      for (const auto& [name, tensor] : calls[i].outputs) {
        EXPECT_TRUE(
            std::ranges::equal(second.at(component)[i].outputs.at(name).bytes(), tensor.bytes()))
            << component << " " << name;
      }
    }
  }
}

TEST_F(TrackerReference, AModelForClicksHasNoMemory) {
  for (const Component component : {kMaskPrompt, kMemoryAttention, kMemoryEncoder}) {
    files_.components.erase(component);
  }
  const auto calls = record({});
  EXPECT_EQ(calls.size(), 2U);
  EXPECT_EQ(sizes(calls.at("sam_decoder"), "feature_index", 0), (std::vector<int64_t>{1, 4}));
}

TEST_F(TrackerReference, FeaturesThatTheVisionEncoderLacksAreNamed) {
  vision_.back().outputs.clear();
  try {
    static_cast<void>(record({}));
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), HasSubstr("vision_features"));
  }
}

}  // namespace
}  // namespace sam3trt
