#include "stages.hpp"

#include <gtest/gtest.h>

#include <iostream>
#include <nlohmann/json.hpp>

namespace sam3trt::parity {
namespace {

/// Where a stage's values are compared, and which.
struct Found {
  std::string key;
  std::span<const float> values;
  Shape shape;
};

/// The tensor without its batch axis of one.
Found whole(const std::string& key, const Tensor& tensor) {
  const Shape& shape = tensor.shape();
  return {key, tensor.f32(), Shape(shape.begin() + 1, shape.end())};
}

/// Rows [first, first + count) of a [1, rows, D] tensor.
Found rows(const std::string& key, const Tensor& tensor, int64_t first, int64_t count) {
  const auto width = static_cast<size_t>(tensor.dim(2));
  return {
      key,
      tensor.f32().subspan(static_cast<size_t>(first) * width, static_cast<size_t>(count) * width),
      {count, tensor.dim(2)}};
}

std::vector<Found> stages_of(const Goldens& goldens, const GoldenPrompt& prompt,
                             const Tensors& tensors) {
  std::vector<Found> found;
  for (const char* name : {"pixel_values", "fpn_feat_0", "fpn_feat_1", "fpn_feat_2"}) {
    found.push_back(whole(prompt.image + "/" + name, tensors.at(name)));
  }
  for (const char* name : {"encoder_hidden_states", "query_features", "pred_boxes", "pred_logits",
                           "presence_logits", "pred_masks", "semantic_seg"}) {
    found.push_back(whole(prompt.key + "/" + name, tensors.at(name)));
  }
  const std::span<const float> mask = tensors.at("prompt_mask").f32();
  const int64_t context = tensors.at("input_ids").dim(1);
  const auto valid = std::count(mask.begin(), mask.begin() + context, 1.0F);
  found.push_back(rows(prompt.key + "/text_features", tensors.at("text_features"), 0, valid));
  const std::string geometry = prompt.key + "/geometry_features";
  if (goldens.has(geometry)) {
    // Without boxes the reference has the CLS token alone, which stands behind one empty slot.
    const int64_t boxes = static_cast<int64_t>(prompt.boxes.size());
    const int64_t first = boxes == 0 ? 1 : 0;
    found.push_back(rows(geometry, tensors.at("geometry_features"), first, boxes + 1));
  }
  return found;
}

class StageParity : public testing::TestWithParam<Reference> {};

TEST_P(StageParity, EveryStageGivesTheReferencesNumbers) {
  const Goldens goldens(GetParam());
  Stages stages(export_model(GetParam()));
  std::map<std::string, Difference> worst;
  ASSERT_FALSE(goldens.prompts().empty());
  for (const GoldenPrompt& prompt : goldens.prompts()) {
    const Tensors tensors = stages.run(goldens, prompt);
    for (const Found& found : stages_of(goldens, prompt, tensors)) {
      const Difference difference = goldens.compare(found.key, found.values, found.shape);
      const std::string stage = found.key.substr(found.key.rfind('/') + 1);
      const double limit = thresholds().at("stages").at(stage).at("largest_error");
      EXPECT_GT(difference.cosine, thresholds().at("cosine")) << found.key;
      EXPECT_LT(difference.largest_error, limit) << found.key;
      Difference& most = worst.try_emplace(stage, Difference{1.0, 0.0}).first->second;
      most.cosine = std::min(most.cosine, difference.cosine);
      most.largest_error = std::max(most.largest_error, difference.largest_error);
    }
  }
  for (const auto& [stage, difference] : worst) {
    std::cout << name_of(GetParam()) << ' ' << stage << ": 1 - cosine " << 1 - difference.cosine
              << ", largest error " << difference.largest_error << '\n';
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, StageParity, testing::ValuesIn(all_references()),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace sam3trt::parity
