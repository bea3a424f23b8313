#include "gpu/gpu_session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>

#include "base/error.hpp"
#include "fake_cuda.hpp"
#include "fake_driver.hpp"
#include "fake_plan.hpp"
#include "goldens.hpp"
#include "image/image.hpp"
#include "image/rle.hpp"
#include "stages.hpp"

namespace sam3trt::parity {
namespace {

struct Scene {
  Image image;
  std::vector<Prompt> prompts;
};

/// Every picture of the goldens with the prompts that they ask of it.
std::vector<Scene> scenes_of(const Goldens& goldens, const ModelFiles& files) {
  std::map<std::string, Scene> scenes;
  const Tokenizer tokenizer = Tokenizer::load(files.tokenizer);
  for (const GoldenPrompt& golden :
       goldens.session_prompts(tokenizer, files.config, files.semantics)) {
    Scene& scene = scenes[golden.image];
    if (scene.image.rgb.empty()) {
      scene.image =
          read_image(std::filesystem::path(SAM3TRT_SOURCE_DIR) / "test_images" / golden.image);
    }
    scene.prompts.push_back(prompt_of(golden));
  }
  std::vector<Scene> list;
  for (auto& [name, scene] : scenes) list.push_back(std::move(scene));
  return list;
}

size_t different_pixels(const Instance& a, const Instance& b, int64_t height, int64_t width) {
  if (a.counts == b.counts) return 0;
  const auto left = rle_decode(a.counts, height, width);
  const auto right = rle_decode(b.counts, height, width);
  size_t different = 0;
  for (size_t i = 0; i < left.size(); ++i) different += left[i] == right[i] ? 0U : 1U;
  return different;
}

/// OpenVINO's results depend in the last places on how many prompts it sees at once.
void expect_same(const ImageResult& found, const ImageResult& wanted, size_t& instances) {
  ASSERT_EQ(found.prompts.size(), wanted.prompts.size());
  for (size_t p = 0; p < wanted.prompts.size(); ++p) {
    EXPECT_NEAR(found.prompts[p].presence, wanted.prompts[p].presence, 1e-5);
    ASSERT_EQ(found.prompts[p].instances.size(), wanted.prompts[p].instances.size());
    for (size_t i = 0; i < wanted.prompts[p].instances.size(); ++i, ++instances) {
      const Instance& a = found.prompts[p].instances[i];
      const Instance& b = wanted.prompts[p].instances[i];
      EXPECT_EQ(a.query, b.query);
      EXPECT_NEAR(a.score, b.score, 1e-5);
      for (size_t side = 0; side < 4; ++side) EXPECT_NEAR(a.box[side], b.box[side], 1e-2);
      EXPECT_LE(different_pixels(a, b, wanted.height, wanted.width),
                static_cast<size_t>(wanted.height * wanted.width / 10000));
    }
  }
}

class GpuSessionParity : public testing::TestWithParam<Reference> {};

TEST_P(GpuSessionParity, GivesTheCpuSessionsResultsForManyPicturesAndPromptsAtOnce) {
  const Goldens goldens(GetParam());
  const ModelFiles files = export_model(GetParam());
  const std::vector<Scene> scenes = scenes_of(goldens, files);
  CpuSession cpu(load_on_cpu(files), Tokenizer::load(files.tokenizer), files.config,
                 files.semantics);
  const CudaDevice device(0, fake_driver());
  GpuSession gpu(device, fake_plans(load_on_cpu(files), files.config, {}),
                 Tokenizer::load(files.tokenizer), files.config, files.semantics);
  const Thresholds thresholds{goldens.prompts().front().threshold,
                              goldens.prompts().front().mask_threshold};
  std::vector<ImageRequest> requests;
  // Each picture twice, so that a batch of two with other pictures occurs; the first one again, so
  // that shapes repeat and graphs are recorded.
  for (int round = 0; round < 2; ++round) {
    for (const Scene& scene : scenes) requests.push_back({view_of(scene.image), scene.prompts});
  }
  size_t instances = 0;
  for (int round = 0; round < 2; ++round) {
    const auto results = gpu.run(requests, {thresholds});
    ASSERT_EQ(results.size(), requests.size());
    for (size_t i = 0; i < results.size(); ++i) {
      const ImageResult wanted = cpu.run(std::span(&requests[i], 1), {thresholds}).front();
      expect_same(results[i], wanted, instances);
    }
  }
  EXPECT_GT(instances, 0U);
  std::cout << name_of(GetParam()) << ": " << instances << " instances\n";
}

INSTANTIATE_TEST_SUITE_P(Tiny, GpuSessionParity, testing::ValuesIn(all_references()),
                         [](const auto& info) { return name_of(info.param); });

/// A session of the first reference, and what its first picture is asked.
struct FirstScene {
  Reference reference = all_references().front();
  Goldens goldens{reference};
  ModelFiles files = export_model(reference);
  std::vector<Scene> scenes = scenes_of(goldens, files);
  CudaDevice device{0, fake_driver()};
  GpuSession gpu{device, fake_plans(load_on_cpu(files), files.config, {}),
                 Tokenizer::load(files.tokenizer), files.config, files.semantics};
  ImageRequest request{view_of(scenes.front().image), scenes.front().prompts};
  Thresholds thresholds{goldens.prompts().front().threshold, 0.5};
};

TEST(GpuSession, AllocatesNothingWhenShapesRepeat) {
  FirstScene first;
  GpuSession& gpu = first.gpu;
  const ImageRequest& request = first.request;
  const Thresholds& thresholds = first.thresholds;
  for (int warm_up = 0; warm_up < 3; ++warm_up) {  // the first may move the shared activations
    static_cast<void>(gpu.run(std::span(&request, 1), {thresholds}));
  }
  const int before = fake_cuda_live_objects();
  fake_cuda_fail_next("cuMemAlloc_v2", 2);
  fake_cuda_fail_next("cuMemHostAlloc", 2);
  const auto results = gpu.run(std::span(&request, 1), {thresholds});
  EXPECT_EQ(results.size(), 1U);
  EXPECT_EQ(fake_cuda_live_objects(), before);
  fake_cuda_fail_next("cuMemAlloc_v2", 0);
  fake_cuda_fail_next("cuMemHostAlloc", 0);
}

TEST(GpuSession, FreesTheTextEncoderWhenAllTextsAreKnown) {
  FirstScene first;
  GpuSession& gpu = first.gpu;
  const ImageRequest& request = first.request;
  const Thresholds& thresholds = first.thresholds;
  const auto wanted = gpu.run(std::span(&request, 1), {thresholds});

  std::vector<Prompt> too_many;
  for (int i = 0; i < 600; ++i) too_many.push_back({"text " + std::to_string(i), {}});
  EXPECT_FALSE(gpu.keep_only_texts(too_many));  // the encoder stays, and with it any text
  const std::vector<Prompt> new_text = {{"something new", {}}};
  const ImageRequest other{request.image, new_text};
  EXPECT_NO_THROW(static_cast<void>(gpu.run(std::span(&other, 1), {thresholds})));

  const int before = fake_cuda_live_objects();
  EXPECT_TRUE(gpu.keep_only_texts(request.prompts));
  EXPECT_LT(fake_cuda_live_objects(), before);
  const auto found = gpu.run(std::span(&request, 1), {thresholds});
  size_t instances = 0;
  expect_same(found.front(), wanted.front(), instances);
  const std::vector<Prompt> unknown = {{"unheard of", {}}};
  const ImageRequest refused{request.image, unknown};
  try {
    static_cast<void>(gpu.run(std::span(&refused, 1), {thresholds}));
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), testing::HasSubstr("'unheard of' is not among those"));
  }
}

TEST(GpuSession, RefusesMoreBoxesThanItsEnginesWereBuiltFor) {
  const Reference reference = all_references().front();
  const ModelFiles files = export_model(reference);
  const CudaDevice device(0, fake_driver());
  GpuSession gpu(device, fake_plans(load_on_cpu(files), files.config, {}),
                 Tokenizer::load(files.tokenizer), files.config, files.semantics);
  Image image{20, 10, std::vector<uint8_t>(600)};
  const std::vector<Prompt> prompts = {
      {std::nullopt, std::vector<PromptBox>(5, {{1.0, 1.0, 9.0, 9.0}, true})}};
  const ImageRequest request{view_of(image), prompts};
  try {
    static_cast<void>(gpu.run(std::span(&request, 1), {}));
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), testing::HasSubstr("--max-boxes"));
  }
}

}  // namespace
}  // namespace sam3trt::parity
