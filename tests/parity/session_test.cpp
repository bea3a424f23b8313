#include "runtime/cpu_session.hpp"

#include <gtest/gtest.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "clips.hpp"
#include "goldens.hpp"
#include "image/image.hpp"
#include "image/rle.hpp"
#include "stages.hpp"

namespace sam3trt::parity {
namespace {

/// The worst of all instances, for the log.
struct Worst {
  double iou = 1;
  double score = 0;
  double box = 0;
};

void compare_instances(const GoldenPrompt& golden, const PromptResult& found, Worst& worst) {
  const nlohmann::json& limits = thresholds().at("result");
  ASSERT_EQ(found.instances.size(), golden.instances->size()) << golden.key;
  EXPECT_NEAR(found.presence, golden.presence, limits.at("score_error").get<double>());
  for (size_t i = 0; i < found.instances.size(); ++i) {
    const Instance& instance = found.instances[i];
    const nlohmann::json& expected = golden.instances->at(i);
    const std::string where = golden.key + ", instance " + std::to_string(i);
    const double score =
        std::abs(static_cast<double>(instance.score) - expected.at("score").get<double>());
    EXPECT_LT(score, limits.at("score_error")) << where;
    worst.score = std::max(worst.score, score);
    for (size_t side = 0; side < 4; ++side) {
      const double box = std::abs(static_cast<double>(instance.box[side]) -
                                  expected.at("box").at(side).get<double>());
      EXPECT_LT(box, limits.at("box_error_pixels")) << where;
      worst.box = std::max(worst.box, box);
    }
    const auto counts = expected.at("mask").at("counts").get<std::string>();
    const auto expected_mask = rle_decode(rle_from_string(counts), golden.height, golden.width);
    const auto mask = rle_decode(instance.counts, golden.height, golden.width);
    const double iou = mask_iou(mask, expected_mask);
    EXPECT_GT(iou, limits.at("mask_iou")) << where;
    worst.iou = std::min(worst.iou, iou);
  }
}

class SessionParity : public testing::TestWithParam<Reference> {};

TEST_P(SessionParity, GivesTheReferencesInstancesFromThePhotographs) {
  const Goldens goldens(GetParam());
  const ModelFiles files = export_model(GetParam());
  EXPECT_EQ(files.semantics, GetParam().semantics);
  const Tokenizer tokenizer = Tokenizer::load(files.tokenizer);
  CpuSession session(load_on_cpu(files), Tokenizer::load(files.tokenizer), files.config,
                     files.semantics);
  std::map<std::string, std::vector<GoldenPrompt>> cases;
  for (const GoldenPrompt& prompt :
       goldens.session_prompts(tokenizer, files.config, files.semantics)) {
    cases[prompt.key.substr(0, prompt.key.find('/'))].push_back(prompt);
  }
  ASSERT_FALSE(cases.empty());
  Worst worst;
  for (const auto& [name, golden] : cases) {
    std::vector<Prompt> prompts;
    for (const GoldenPrompt& prompt : golden) prompts.push_back(prompt_of(prompt));
    const Image image = read_image(std::filesystem::path(SAM3TRT_SOURCE_DIR) / "test_images" /
                                   golden.front().image);
    const Thresholds limits{golden.front().threshold, golden.front().mask_threshold};
    const ImageResult result = session.run(image, prompts, limits);
    ASSERT_EQ(result.prompts.size(), golden.size());
    EXPECT_EQ(result.width, golden.front().width);
    EXPECT_EQ(result.height, golden.front().height);
    for (size_t i = 0; i < golden.size(); ++i) {
      compare_instances(golden[i], result.prompts[i], worst);
    }
  }
  std::cout << name_of(GetParam()) << ": lowest IoU " << worst.iou << ", score error "
            << worst.score << ", box error " << worst.box << " pixels\n";
}

INSTANTIATE_TEST_SUITE_P(Tiny, SessionParity, testing::ValuesIn(all_references()),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace sam3trt::parity
