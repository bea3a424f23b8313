#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "clips.hpp"
#include "image/rle.hpp"
#include "sam3trt/image.hpp"
#include "sam3trt/session.hpp"
#include "stages.hpp"

namespace sam3trt::parity {
namespace {

using nlohmann::json;

/// What a mask of the reference may be missed by, for the log.
struct Worst {
  size_t pixels = 0;
  double score = 0;
  size_t objects = 0;
};

void compare_mask(const std::string& where, const std::vector<uint32_t>& counts, double score,
                  const json& expected, Worst& worst) {
  const int64_t height = expected.at("mask").at("size").at(0);
  const int64_t width = expected.at("mask").at("size").at(1);
  const auto wanted = rle_decode(
      rle_from_string(expected.at("mask").at("counts").get<std::string>()), height, width);
  const auto found = rle_decode(counts, height, width);
  ASSERT_EQ(found.size(), wanted.size()) << where;
  size_t differ = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    differ += static_cast<size_t>((wanted[i] != 0) != (found[i] != 0));
  }
  // Only pixels whose logit is within rounding of 0 may differ.
  EXPECT_LE(differ, expected.at("near_zero").get<size_t>()) << where;
  EXPECT_NEAR(score, expected.at("score").get<double>(), 1e-5) << where;
  worst.pixels = std::max(worst.pixels, differ);
  worst.score = std::max(worst.score, std::abs(score - expected.at("score").get<double>()));
}

void compare(const std::string& where, const ObjectResult& found, const json& expected,
             bool multimask, Worst& worst) {
  ++worst.objects;
  const double logit = expected.at("object_score_logit");
  EXPECT_NEAR(static_cast<double>(found.object_score), 1 / (1 + std::exp(-logit)), 1e-5) << where;
  const json& masks = expected.at("masks");
  const json& best = masks.at(expected.at("best").get<size_t>());
  compare_mask(where, found.counts, static_cast<double>(found.score), best, worst);
  if (!multimask) return;
  ASSERT_EQ(found.candidates.size(), masks.size()) << where;
  for (size_t i = 0; i < masks.size(); ++i) {
    compare_mask(where + ", mask " + std::to_string(i), found.candidates[i].counts,
                 static_cast<double>(found.candidates[i].score), masks[i], worst);
  }
}

class ObjectsParity : public testing::TestWithParam<Reference> {};

/// Every kind of prompt on a frame of a clip, and the refinement of an earlier result.
TEST_P(ObjectsParity, EveryKindOfPromptGivesTheReferencesMasks) {
  const std::string path = std::string(SAM3TRT_TEST_DATA) + "/goldens/" +
                           name_of(GetParam().semantics) + '/' + GetParam().name + ".objects.json";
  const json document = json::parse(std::ifstream(path));
  Session session{Model(export_model(GetParam()))};
  std::map<std::string, MaskLogits> previous;
  Worst worst;
  for (const json& entry : document.at("cases")) {
    const std::string name = entry.at("name");
    const Image image = frame_of(entry.at("image").at("clip"), entry.at("image").at("frame"));
    const ImageView view = view_of(image);
    std::vector<ObjectPrompt> objects;
    for (const json& object : entry.at("objects")) objects.push_back(object_of(object));
    if (entry.contains("previous")) {
      objects.front().previous = previous.at(entry.at("previous").get<std::string>());
    }
    InteractOptions options;
    options.multimask = entry.at("multimask");
    options.logits = true;
    const std::span<const ObjectPrompt> asked(objects);
    const auto results = session.interact(session.encode({&view, 1}), {&asked, 1}, options);
    ASSERT_EQ(results.at(0).objects.size(), entry.at("expected").size()) << name;
    previous[name] = results[0].objects.front().logits;
    for (size_t i = 0; i < results[0].objects.size(); ++i) {
      compare(name + ", object " + std::to_string(i), results[0].objects[i],
              entry.at("expected")[i], options.multimask, worst);
    }
  }
  EXPECT_GE(worst.objects, 15U);
  std::cout << name_of(GetParam()) << ": " << worst.objects << " objects, at most " << worst.pixels
            << " pixels and " << worst.score << " of the score\n";
}

INSTANTIATE_TEST_SUITE_P(Video, ObjectsParity,
                         testing::Values(Reference{Semantics::kHf, "video_a"},
                                         Reference{Semantics::kHf, "video_b"},
                                         Reference{Semantics::kMeta, "video_a"},
                                         Reference{Semantics::kMeta, "video_b"}),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace sam3trt::parity
