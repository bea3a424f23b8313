#include "sam3trt/session.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "base/error.hpp"
#include "fake_cuda.hpp"
#include "fake_driver.hpp"
#include "fake_graphs.hpp"
#include "fake_plan.hpp"
#include "image/pack_pixels.hpp"
#include "image/rle.hpp"
#include "scenes.hpp"
#include "segmenter/shared_model.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;

class SessionTest : public testing::Test {
 protected:
  [[nodiscard]] Model gpu_model() const {
    device_.make_current();
    auto gpu = std::make_shared<const GpuModel>(
        device_, fake_plans(graphs_.engines(), FakeGraphs::config(), {}), FakeGraphs::config(),
        Semantics::kHf);
    return Model(std::make_shared<const SharedModel>(std::move(gpu), FakeGraphs::tokenizer()));
  }

  [[nodiscard]] Model cpu_model() const {
    return Model(std::make_shared<const SharedModel>(
        std::make_shared<SharedEngines>(graphs_.engines()), FakeGraphs::tokenizer(),
        FakeGraphs::config(), Semantics::kHf));
  }

  static std::string run(Session& session, const Scene& scene) {
    return text_of(session.run(scene.requests(), {}));
  }

  /// What the CPU says.
  [[nodiscard]] std::string answer(const Scene& scene) const {
    Session session(cpu_model());
    return run(session, scene);
  }

  static Features encode(Session& session, const Scene& scene, size_t images) {
    std::vector<ImageView> views;
    for (size_t i = 0; i < images; ++i) views.push_back(view_of(scene.images[i]));
    return session.encode(views);
  }

  static std::string detect(Session& session, const Features& features, const Scene& scene) {
    std::vector<std::span<const Prompt>> prompts;
    for (size_t i = 0; i < features.images(); ++i) prompts.emplace_back(scene.prompts[i]);
    return text_of(session.detect(features, prompts));
  }

  template <typename Action>
  static std::string error_of(const Action& action) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return error.what();
    }
    return "no error";
  }

  /// Five clicks, two objects together on the GPU; what the CPU says is the same.
  [[nodiscard]] std::string answer_of_clicks(const ModelConfig& config) const {
    const auto gpu = std::make_shared<const GpuModel>(
        device_, fake_plans(graphs_.all_engines(), config, {.objects = 2}), config, Semantics::kHf);
    EXPECT_EQ(gpu->limits().objects, 2U);
    const Model engines(std::make_shared<const SharedModel>(gpu, FakeGraphs::tokenizer()));
    const Model graphs(
        std::make_shared<const SharedModel>(std::make_shared<SharedEngines>(graphs_.all_engines()),
                                            FakeGraphs::tokenizer(), config, Semantics::kHf));
    std::vector<ObjectPrompt> objects(5);
    for (size_t i = 0; i < objects.size(); ++i) {
      objects[i].id = static_cast<int64_t>(i + 1);
      objects[i].points = {{.x = 1.0 + static_cast<double>(i), .y = 2, .positive = true}};
    }
    const Scene scene = small_scene("dog");
    const auto answer = [&](const Model& model) {
      Session session(model);
      const Features features = encode(session, scene, 1);
      const std::vector<std::span<const ObjectPrompt>> asked = {objects};
      std::string text;
      const std::vector<ImageResult> results = session.interact(features, asked);
      for (const ObjectResult& object : results.front().objects) {
        text += "object " + std::to_string(object.id) + " " + testing::PrintToString(object.score) +
                " " + testing::PrintToString(object.object_score) + " " +
                std::to_string(object.area) + " " + testing::PrintToString(object.box) + " " +
                testing::PrintToString(object.counts) + "\n";
      }
      return text;
    };
    const std::string wanted = answer(graphs);
    EXPECT_THAT(wanted, HasSubstr("object 5"));
    EXPECT_EQ(answer(engines), wanted);
    return wanted;
  }

  FakeGraphs graphs_;
  CudaDevice device_{0, fake_driver()};
};

Scene first_images(Scene scene, size_t count) {
  scene.images.resize(count);
  scene.prompts.resize(count);
  return scene;
}

TEST_F(SessionTest, FeaturesGiveWhatOneCallGivesAndStayUntilTheyAreReleased) {
  for (const Model& model : {gpu_model(), cpu_model()}) {
    Session session(model);
    const size_t together = model.max_images();
    const Scene dogs = first_images(large_scene("dog"), together);
    const Scene cats = first_images(large_scene("cat"), together);
    const Features features = encode(session, dogs, together);
    EXPECT_EQ(features.images(), together);
    // Three maps of 8 channels: 8 x 8, 4 x 4 and 2 x 2.
    EXPECT_EQ(features.size_bytes(), together * 8 * (64 + 16 + 4) * sizeof(float));
    EXPECT_EQ(run(session, small_scene("tree")), answer(small_scene("tree")));
    for (int round = 0; round < 3; ++round) {
      EXPECT_EQ(detect(session, features, dogs), answer(dogs));
      EXPECT_EQ(detect(session, features, cats), answer(cats));
    }
    Session other(model);
    EXPECT_EQ(detect(other, features, cats), answer(cats));
  }
}

TEST_F(SessionTest, FeaturesTakeMemoryOfTheDeviceOnlyWhileTheyLive) {
  Session session(gpu_model());
  const Scene scene = small_scene("dog");
  for (int i = 0; i < 3; ++i) static_cast<void>(encode(session, scene, 1));  // records its graph
  const int before = fake_cuda_live_objects();
  auto features = std::make_unique<Features>(encode(session, scene, 1));
  EXPECT_EQ(fake_cuda_live_objects(), before + 3);
  features.reset();
  EXPECT_EQ(fake_cuda_live_objects(), before);
}

TEST_F(SessionTest, RefusesFeaturesThatDoNotFit) {
  const Model model = gpu_model();
  Session session(model);
  Session stranger(gpu_model());
  const Scene scene = large_scene("dog");
  const Features features = encode(session, scene, 2);
  EXPECT_THAT(error_of([&] { static_cast<void>(detect(stranger, features, scene)); }),
              HasSubstr("another model"));
  const std::span<const Prompt> prompts = scene.prompts[0];
  EXPECT_THAT(error_of([&] {
                static_cast<void>(session.detect(features, {&prompts, 1}));
              }),
              HasSubstr("one for each image"));
  EXPECT_THAT(error_of([&] { static_cast<void>(encode(session, scene, 3)); }),
              HasSubstr("expected 1 to 2"));
  EXPECT_THAT(error_of([&] { static_cast<void>(session.encode({})); }), HasSubstr("0 images"));
}

TEST_F(SessionTest, EveryFailureOfEncodingAndDetectingLeavesTheSessionAsItWas) {
  const Scene scene = first_images(large_scene("red circle"), 2);
  const std::string wanted = answer(scene);
  Session session(gpu_model());
  int64_t failed = 0;
  for (int64_t number = 1;; ++number) {
    fake_cuda_fail_call(number);
    try {
      const Features features = encode(session, scene, 2);
      EXPECT_EQ(detect(session, features, scene), wanted);
    } catch (const Error& error) {
      ++failed;
      EXPECT_NE(error.code(), ErrorCode::kBadInput) << error.what();
    }
    const bool reached = fake_cuda_counted_calls() >= number;
    fake_cuda_fail_call(0);
    ASSERT_EQ(run(session, scene), wanted) << "after call " << number;
    if (!reached) break;
  }
  EXPECT_GT(failed, 20);
}

TEST_F(SessionTest, SeveralOnOneModelGiveInThreadsWhatOneGivesAlone) {
  const std::vector<Scene> scenes = {small_scene("dog"), large_scene("cat"), small_scene("tree"),
                                     large_scene("red circle")};
  std::vector<std::string> answers;
  for (const Scene& scene : scenes) answers.push_back(answer(scene));
  for (const Model& model : {gpu_model(), cpu_model()}) {
    std::vector<std::thread> threads;
    std::vector<std::string> problems(4);
    for (size_t t = 0; t < problems.size(); ++t) {
      threads.emplace_back([&, t] {
        Session session(model);
        for (size_t round = 0; round < 8; ++round) {
          const size_t which = (t + round) % scenes.size();
          const std::string found = run(session, scenes[which]);
          if (found != answers[which])
            problems[t] += "round " + std::to_string(round) + ": " + found;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_THAT(problems, testing::Each(""));
  }
}

TEST_F(SessionTest, KeepsItsTextsWhenTheModelGivesUpTheEncoder) {
  const Model model = gpu_model();
  Session session(model);
  const Scene scene = large_scene("dog");
  std::vector<Prompt> texts;
  for (const auto& list : scene.prompts) texts.insert(texts.end(), list.begin(), list.end());
  std::vector<Prompt> many;
  for (int i = 0; i < 600; ++i) many.push_back({"text " + std::to_string(i), {}});
  EXPECT_FALSE(session.keep_only_texts(many));
  EXPECT_EQ(run(session, small_scene("anything")), answer(small_scene("anything")));
  EXPECT_TRUE(session.keep_only_texts(texts));
  model.free_text_encoder();
  EXPECT_EQ(run(session, scene), answer(scene));
  Session late(model);
  for (Session* each : {&session, &late}) {
    EXPECT_THAT(error_of([&] { static_cast<void>(run(*each, small_scene("new"))); }),
                HasSubstr("'new' is not among those"));
  }
  Session on_cpu(cpu_model());
  EXPECT_FALSE(on_cpu.keep_only_texts(texts));
}

/// A view, and what owns its bytes.
struct Pixels {
  ImageView view;
  std::vector<uint8_t> bytes;
};

/// An image of any kind, with rows that lie apart.
Pixels pixels_of(PixelFormat format, int64_t width, int64_t height, int64_t gap) {
  Pixels pixels;
  pixels.view.width = width;
  pixels.view.height = height;
  pixels.view.format = format;
  const int64_t row = width * bytes_per_pixel(format);
  if (gap > 0) pixels.view.row_stride = row + gap;
  pixels.bytes.resize(static_cast<size_t>(PackedSource(pixels.view).bytes));
  for (size_t i = 0; i < pixels.bytes.size(); ++i) {
    pixels.bytes[i] = static_cast<uint8_t>(31 * i + i * i / 7);
  }
  pixels.view.data = pixels.bytes.data();
  pixels.view.size_bytes = pixels.bytes.size();
  return pixels;
}

TEST_F(SessionTest, TakesImagesOfEveryFormatFromHostAndDevice) {
  Session gpu(gpu_model());
  Session cpu(cpu_model());
  const std::vector<Prompt> prompts = {{"dog", {}}, {"tree", {kBox}}};
  const Stream other(device_);
  for (const PixelFormat format : {PixelFormat::kRgb, PixelFormat::kBgr, PixelFormat::kRgba,
                                   PixelFormat::kBgra, PixelFormat::kGrey, PixelFormat::kNv12}) {
    for (const int64_t gap : {0, 7}) {
      const Pixels pixels = pixels_of(format, 13, 11, gap);
      Image rgb{13, 11, std::vector<uint8_t>(13 * 11 * 3)};
      PackArgs args = PackedSource(pixels.view).arguments();
      args.target = rgb.rgb.data();
      for (int64_t i = 0; i < 13 * 11; ++i) pack_pixel(args, i % 13, i / 13);
      const ImageRequest wanted{view_of(rgb), prompts};
      const std::string answer = text_of(cpu.run({&wanted, 1}, {}));
      const ImageRequest on_host{pixels.view, prompts};
      EXPECT_EQ(text_of(gpu.run({&on_host, 1}, {})), answer);
      EXPECT_EQ(text_of(cpu.run({&on_host, 1}, {})), answer);

      // Written by work of another stream that has not run yet.
      PinnedBuffer staging(device_, pixels.bytes.size());
      std::ranges::copy(std::as_bytes(std::span(pixels.bytes)), staging.data());
      const DeviceBuffer memory(device_, pixels.bytes.size());
      copy_to_device(other, memory.data(), {staging.data(), pixels.bytes.size()});
      ImageView view = pixels.view;
      view.data = device_pointer<const void>(memory.data());
      view.memory = MemoryKind::kDevice;
      view.stream = other.handle();
      const ImageRequest on_device{view, prompts};
      EXPECT_EQ(text_of(gpu.run({&on_device, 1}, {})), answer);
      EXPECT_THAT(error_of([&] {
                    static_cast<void>(cpu.run({&on_device, 1}, {}));
                  }),
                  HasSubstr("device memory"));
    }
  }
}

TEST_F(SessionTest, RefusesViewsWithTooFewBytesOrOverlappingRows) {
  Session gpu(gpu_model());
  const std::vector<Prompt> prompts = {{"dog", {}}};
  const Pixels pixels = pixels_of(PixelFormat::kBgra, 13, 11, 5);
  const auto refusal = [&](const std::function<void(ImageView&)>& edit) {
    ImageRequest request{pixels.view, prompts};
    edit(request.image);
    fake_cuda_fail_call(0);
    const std::string error = error_of([&] { static_cast<void>(gpu.run({&request, 1}, {})); });
    EXPECT_EQ(fake_cuda_counted_calls(), 0);
    return error;
  };
  EXPECT_THAT(refusal([](ImageView& view) { --view.size_bytes; }), HasSubstr("holds 621 bytes"));
  EXPECT_THAT(refusal([](ImageView& view) { view.row_stride = 51; }), HasSubstr("row stride"));
  EXPECT_THAT(refusal([](ImageView& view) { view.row_stride = INT64_MAX / 2; }),
              HasSubstr("row stride"));
  EXPECT_THAT(refusal([](ImageView& view) { view.height = -1; }), HasSubstr("positive numbers"));
}

TEST_F(SessionTest, Nv12BecomesTheColoursOfItsStandard) {
  // Luma, u, v of white, black and of pure red (BT.601 and BT.709, video range).
  const auto colour = [](std::array<uint8_t, 3> yuv, YuvColours colours) {
    const std::vector<uint8_t> bytes = {yuv[0], yuv[0], yuv[0], yuv[0], yuv[1], yuv[2]};
    ImageView view{.data = bytes.data(),
                   .width = 2,
                   .height = 2,
                   .format = PixelFormat::kNv12,
                   .colours = colours};
    const Image image = to_image(view);
    return std::array<int, 3>{image.rgb[0], image.rgb[1], image.rgb[2]};
  };
  using Rgb = std::array<int, 3>;
  EXPECT_EQ(colour({235, 128, 128}, YuvColours::kBt709), (Rgb{255, 255, 255}));
  EXPECT_EQ(colour({16, 128, 128}, YuvColours::kBt601), (Rgb{0, 0, 0}));
  EXPECT_EQ(colour({81, 90, 240}, YuvColours::kBt601), (Rgb{254, 0, 0}));
  EXPECT_EQ(colour({63, 102, 240}, YuvColours::kBt709), (Rgb{255, 1, 0}));
  EXPECT_EQ(colour({77, 128, 128}, YuvColours::kBt601Full), (Rgb{77, 77, 77}));
  EXPECT_EQ(colour({76, 85, 255}, YuvColours::kBt601Full), (Rgb{254, 0, 0}));
}

TEST_F(SessionTest, GivesMasksAsBitsOnTheDeviceThatSayWhatTheRunLengthsSay) {
  Session session(gpu_model());
  const Scene scene = large_scene("dog");
  const auto wanted = session.run(scene.requests(), {});
  size_t compared = 0;
  for (const MaskOutput output : {MaskOutput::kDeviceBits, MaskOutput::kBoth}) {
    const auto found = session.run(scene.requests(), {.thresholds = {}, .masks = output});
    for (size_t image = 0; image < wanted.size(); ++image) {
      const int64_t width = wanted[image].width;
      const int64_t height = wanted[image].height;
      for (size_t p = 0; p < wanted[image].prompts.size(); ++p) {
        const auto& instances = wanted[image].prompts[p].instances;
        ASSERT_EQ(found[image].prompts[p].instances.size(), instances.size());
        for (size_t i = 0; i < instances.size(); ++i, ++compared) {
          const Instance& instance = found[image].prompts[p].instances[i];
          EXPECT_EQ(instance.area, instances[i].area);
          EXPECT_EQ(instance.counts,
                    output == MaskOutput::kBoth ? instances[i].counts : std::vector<uint32_t>{});
          std::vector<uint32_t> words(static_cast<size_t>((height + 31) / 32 * width));
          const Stream stream(device_);
          copy_to_host(stream, std::as_writable_bytes(std::span(words)), instance.bits.address);
          stream.synchronize();
          const auto mask = rle_decode(instances[i].counts, height, width);
          for (int64_t y = 0; y < height; ++y) {
            for (int64_t x = 0; x < width; ++x) {
              const uint32_t word = words[static_cast<size_t>(y / 32 * width + x)];
              ASSERT_EQ((word >> (y % 32)) & 1U, mask[static_cast<size_t>(y * width + x)]);
            }
          }
        }
      }
    }
  }
  EXPECT_GT(compared, 10U);
  Session on_cpu(cpu_model());
  EXPECT_THAT(error_of([&] {
                static_cast<void>(
                    on_cpu.run(scene.requests(), {.thresholds = {}, .masks = MaskOutput::kBoth}));
              }),
              HasSubstr("need a GPU"));
}

/// Clicks, a box and two points: more objects than the engines take together.
/// Gives NaN in place of all float numbers.
class NotANumberEngine : public Engine {
 public:
  explicit NotANumberEngine(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return engine_->inputs(); }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override {
    return engine_->outputs();
  }
  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override {
    auto outputs = engine_->run(inputs);
    for (auto& [name, tensor] : outputs) {
      std::ranges::fill(tensor.f32(), std::numeric_limits<float>::quiet_NaN());
    }
    return outputs;
  }

 private:
  std::unique_ptr<Engine> engine_;
};

TEST_F(SessionTest, NonFiniteNumbersAreAnErrorOfAnImageWithObjectsToo) {
  for (const Component component : {Component::kVisionEncoder, Component::kSamDecoder}) {
    SessionEngines engines = graphs_.all_engines();
    engines.set(component, std::make_unique<NotANumberEngine>(engines.take(component)));
    const Model model(std::make_shared<const SharedModel>(
        std::make_shared<SharedEngines>(std::move(engines)), FakeGraphs::tokenizer(),
        FakeGraphs::config(), Semantics::kHf));
    Session session(model);
    const Scene scene = small_scene("dog");
    std::vector<ObjectPrompt> objects(1);
    objects[0].points = {{.x = 1, .y = 2, .positive = true}};
    ImageRequest request = scene.requests().front();
    request.objects = objects;
    const std::vector<ImageResult> results = session.run({&request, 1});
    ASSERT_EQ(results.size(), 1U);
    EXPECT_EQ(results[0].width, request.image.width);
    ASSERT_TRUE(results[0].error.has_value()) << name_of(component);
    EXPECT_NE(results[0].error->find(name_of(component)), std::string::npos) << *results[0].error;
    EXPECT_TRUE(results[0].prompts.empty());
    EXPECT_TRUE(results[0].objects.empty());
  }
}

/// With single masks that are stable, and with ones that are not.
TEST_F(SessionTest, ObjectsAreTheSameHoweverManyGoTogether) {
  device_.make_current();
  ModelConfig config = FakeGraphs::config();
  config.tracker->stability_fallback = true;
  config.tracker->stability_threshold = 0.98;
  std::vector<std::string> answers;
  for (const double delta : {0.0, 0.5}) {
    config.tracker->stability_delta = delta;
    answers.push_back(answer_of_clicks(config));
  }
  EXPECT_NE(answers[0], answers[1]);
}

}  // namespace
}  // namespace sam3trt
