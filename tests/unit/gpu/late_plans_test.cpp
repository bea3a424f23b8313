#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <limits>
#include <numeric>

#include "base/error.hpp"
#include "fake_driver.hpp"
#include "fake_graphs.hpp"
#include "fake_plan.hpp"
#include "image/rle.hpp"
#include "runtime/stage.hpp"
#include "scenes.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;
using enum Component;

/// A plan that says only what it takes and gives.
class NamedPlan : public LoadedPlan {
 public:
  NamedPlan(std::vector<TensorInfo> inputs, std::vector<TensorInfo> outputs)
      : inputs_(std::move(inputs)), outputs_(std::move(outputs)) {}
  [[nodiscard]] const std::vector<TensorInfo>& inputs() const override { return inputs_; }
  [[nodiscard]] const std::vector<TensorInfo>& outputs() const override { return outputs_; }
  [[nodiscard]] ProfileShape profile(const std::string& /*input*/) const override { return {}; }
  [[nodiscard]] uint64_t activation_bytes() const override { return 0; }
  [[nodiscard]] std::string layers_json() const override { return "{}"; }
  [[nodiscard]] std::unique_ptr<PlanContext> make_context(
      ActivationMemory /*memory*/) const override {
    return nullptr;
  }

 private:
  std::vector<TensorInfo> inputs_;
  std::vector<TensorInfo> outputs_;
};

/// Numbers that differ from row to row.
Tensor numbers(const Shape& shape, float step) {
  Tensor tensor(DType::kF32, shape);
  for (size_t i = 0; i < tensor.f32().size(); ++i) {
    tensor.f32()[i] = step * static_cast<float>(i % 97) - 1.0F;
  }
  return tensor;
}

Tensor filled(const Shape& shape, float value) {
  Tensor tensor(DType::kF32, shape);
  std::ranges::fill(tensor.f32(), value);
  return tensor;
}

Tensor count_up(int64_t count) {
  Tensor tensor(DType::kI64, {count});
  std::iota(tensor.i64().begin(), tensor.i64().end(), int64_t{0});
  return tensor;
}

/// What the components of clicks and videos gave.
struct Objects {
  Tensor masks;
  Tensor with_memory;
  Tensor without_memory;
};

class LatePlansTest : public testing::Test {
 protected:
  /// Its components of clicks and videos are loaded late and counted.
  std::shared_ptr<const GpuModel> open() {
    GpuPlans plans = fake_plans(graphs_.all_engines(), config_, {});
    LatePlans later;
    for (const ComponentInfo& info : components()) {
      if (serves(info.id, Task::kDetect)) continue;
      auto plan = plans.extract(info.id).mapped();
      later[info.id] = {[this, plan, id = info.id] {
                          ++loads_[id];
                          if (refused_) throw_bad_input("the file was changed");
                          return plan;
                        },
                        input_counting(info.id, "O") ? 3 : 0};
    }
    return std::make_shared<const GpuModel>(device_, std::move(plans), config_, Semantics::kHf,
                                            std::move(later));
  }

  AxisSizes sizes(std::initializer_list<AxisSizes::value_type> more) const {
    AxisSizes all = model_sizes(config_);
    all.insert(more);
    return all;
  }

  /// Two objects of one image: one memory attention with `pointers`, one decoder.
  Objects interact(Backend& backend, int64_t pointers) const {
    constexpr int64_t kCount = 2;
    const AxisSizes axes = sizes({{"B", 1}, {"E", kCount}, {"O", kCount}, {"A", 2}, {"F", 1}});
    const int64_t grid = config_.grid;
    const int64_t width = config_.detector_width;
    const Image image = image_of(12, 10, 1);
    const ImageView view = view_of(image);
    backend.begin();
    backend.load_images({&view, 1});
    backend.run(kVisionEncoder, axes);
    backend.run(kTrackerNeck, axes);
    backend.put(kMemoryAttention, "image_index", Tensor(DType::kI64, {kCount}));
    backend.put(kMemoryAttention, "memory_features",
                numbers({kCount, 1, grid * grid, width / 2}, 0.25F));
    backend.put(kMemoryAttention, "memory_time", Tensor(DType::kI64, {kCount, 1}));
    backend.put(kMemoryAttention, "memory_present", filled({kCount, 1}, 1.0F));
    if (pointers > 0) {
      backend.put(kMemoryAttention, "memory_pointers", numbers({kCount, pointers, width}, 0.5F));
      backend.put(kMemoryAttention, "pointer_time", numbers({kCount, pointers}, 0.125F));
    } else {
      backend.put_zeros("memory_pointers", {kCount, 0, width});
      backend.put(kMemoryAttention, "pointer_time", Tensor(DType::kF32, {kCount, 0}));
    }
    backend.put(kMemoryAttention, "pointer_present", filled({kCount, pointers}, 1.0F));
    backend.run(kMemoryAttention, axes);
    backend.put(kSamDecoder, "feature_index", count_up(kCount));
    backend.put(kSamDecoder, "image_index", Tensor(DType::kI64, {kCount}));
    backend.put(kSamDecoder, "point_coords", numbers({kCount, 2, 2}, 1.0F));
    backend.put(kSamDecoder, "point_labels", Tensor(DType::kI64, {kCount, 2}));
    backend.put(kSamDecoder, "has_mask", Tensor(DType::kF32, {kCount}));
    backend.put_zeros("mask_input", {kCount, 1, 4 * grid, 4 * grid});
    backend.run(kSamDecoder, axes);
    Objects objects{backend.get(kSamDecoder, "sam_masks"),
                    backend.get(kMemoryAttention, "object_features"),
                    {}};
    backend.wait();
    backend.end();
    return objects;
  }

  void expect_as_on_the_cpu(Backend& backend, int64_t pointers) const {
    CpuBackend cpu(std::make_shared<SharedEngines>(graphs_.all_engines()), config_, Semantics::kHf,
                   {});
    const Objects wanted = interact(cpu, pointers);
    const Objects found = interact(backend, pointers);
    EXPECT_EQ(found.masks.shape(), wanted.masks.shape());
    EXPECT_THAT(found.masks.f32(), testing::ElementsAreArray(wanted.masks.f32()));
    EXPECT_THAT(found.with_memory.f32(), testing::ElementsAreArray(wanted.with_memory.f32()));
  }

  FakeGraphs graphs_;
  ModelConfig config_ = FakeGraphs::config();
  CudaDevice device_{0, fake_driver()};
  std::map<Component, std::atomic<int>> loads_;
  bool refused_ = false;
};

TEST_F(LatePlansTest, DetectionLoadsNone) {
  const auto model = open();
  const Tokenizer tokenizer = FakeGraphs::tokenizer();
  Pipeline session(std::make_unique<GpuBackend>(model), tokenizer, config_, Semantics::kHf);
  const Scene scene = large_scene("dog");
  CpuSession cpu(graphs_.engines(), FakeGraphs::tokenizer(), config_, Semantics::kHf, {});
  EXPECT_EQ(text_of(session.run(scene.requests(), {})), text_of(cpu.run(scene.requests(), {})));
  EXPECT_TRUE(loads_.empty());
  EXPECT_TRUE(model->has(kSamDecoder));
  EXPECT_EQ(model->limits().objects, 3U);
}

TEST_F(LatePlansTest, EachIsLoadedOnceForAllSessionsAndGivesTheNumbersOfTheCpu) {
  const auto model = open();
  loads_[kTrackerNeck] = loads_[kSamDecoder] = loads_[kMemoryAttention] = 0;
  std::vector<std::future<void>> sessions;
  for (int i = 0; i < 3; ++i) {
    sessions.push_back(std::async(std::launch::async, [&] {
      GpuBackend backend(model);
      for (const int64_t pointers : {2, 0, 2, 2}) expect_as_on_the_cpu(backend, pointers);
    }));
  }
  for (auto& session : sessions) session.get();
  EXPECT_EQ(loads_.size(), 3U);
  for (const auto& [component, count] : loads_) EXPECT_EQ(count, 1) << name_of(component);
}

TEST_F(LatePlansTest, WhatTwoComponentsGiveIsTakenFromTheOneThatIsAsked) {
  GpuBackend backend(open());
  const Objects objects = interact(backend, 1);
  const Tensor first = backend.get(kTrackerNeck, "object_features");
  EXPECT_EQ(first.dim(0), 1);
  EXPECT_EQ(objects.with_memory.dim(0), 2);
  EXPECT_NE(first.f32()[0], objects.with_memory.f32()[0]);
  // The decoder took the later ones.
  expect_as_on_the_cpu(backend, 1);
}

TEST_F(LatePlansTest, RowsOfOutputsAreThoseOfTheCpuInTheOrderThatIsAsked) {
  GpuBackend backend(open());
  const Objects objects = interact(backend, 1);
  const int64_t area = 16 * config_.grid * config_.grid;
  const auto masks = objects.masks.f32();
  const std::vector<OutputPart> parts = {{"iou_scores"},
                                         {"sam_masks", area, {5, 6, 0}},
                                         {"sam_masks", area, {}},
                                         {"object_score", 1, {1}}};
  const std::vector<Tensor> read = backend.read(kSamDecoder, parts);
  ASSERT_EQ(read.size(), parts.size());
  EXPECT_THAT(read[0].f32(),
              testing::ElementsAreArray(backend.get(kSamDecoder, "iou_scores").f32()));
  EXPECT_EQ(read[1].shape(), (Shape{3, area}));
  for (size_t i = 0; i < 3; ++i) {
    const auto size = static_cast<size_t>(area);
    EXPECT_THAT(read[1].f32().subspan(i * size, size),
                testing::ElementsAreArray(masks.subspan(parts[1].rows[i] * size, size)));
  }
  EXPECT_EQ(read[2].shape(), (Shape{0, area}));
  EXPECT_EQ(read[3].f32()[0], backend.get(kSamDecoder, "object_score").f32()[1]);
  for (const OutputPart& wrong : std::vector<OutputPart>{
           {"sam_masks", area, {8}}, {"sam_masks", area - 1, {0}}, {"sam_masks", -1, {0}}, {"x"}}) {
    EXPECT_THROW(static_cast<void>(backend.read(kSamDecoder, {&wrong, 1})), Error) << wrong.output;
  }
}

TEST_F(LatePlansTest, MasksOfLogitsAreThoseOfTheCpuToThePixelWhereverTheyAre) {
  GpuBackend backend(open());
  CpuBackend cpu(std::make_shared<SharedEngines>(graphs_.all_engines()), config_, Semantics::kHf,
                 {});
  constexpr int64_t kSide = 6;
  constexpr size_t kArea = 36;
  std::vector<std::vector<float>> logits;
  for (size_t i = 0; i < 70; ++i) {
    logits.emplace_back();
    for (size_t pixel = 0; pixel < kArea; ++pixel) {
      logits.back().push_back(static_cast<float>((pixel * 7 + i * 5) % 11) - 5.0F);
    }
  }
  logits[1].assign(kArea, -1.0F);
  logits[2].assign(kArea, 1e-9F);  // above 0, but its probability in single precision is one half
  logits[3].assign(kArea, -0.0F);
  logits[4].assign(kArea, std::numeric_limits<float>::denorm_min());
  std::vector<LogitPlane> planes(logits.begin(), logits.end());
  backend.begin();
  for (size_t i = 0; i < planes.size(); i += 3) planes[i] = backend.keep_plane(logits[i]);
  backend.end();
  for (const LogitCut cut : {LogitCut::kAboveZero, LogitCut::kProbable}) {
    for (const std::array<int64_t, 2> size : {std::array<int64_t, 2>{19, 13}, {6, 6}, {4, 40}}) {
      backend.begin();
      const auto found = backend.logit_masks(planes, kSide, size, cut);
      const auto wanted = cpu.logit_masks(planes, kSide, size, cut);
      ASSERT_EQ(found.size(), planes.size());
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_EQ(found[i].counts, wanted[i].counts) << i;
        EXPECT_EQ(found[i].area, wanted[i].area) << i;
        EXPECT_EQ(wanted[i].area, rle_area(wanted[i].counts));
      }
      EXPECT_EQ(wanted[2].area > 0, cut == LogitCut::kAboveZero);
      EXPECT_EQ(wanted[3].area, 0);
      backend.end();
    }
  }
  backend.begin();
  EXPECT_TRUE(backend.logit_masks({}, kSide, {4, 4}, LogitCut::kAboveZero).empty());
  EXPECT_THROW(
      static_cast<void>(backend.logit_masks(planes, kSide + 1, {4, 4}, LogitCut::kAboveZero)),
      Error);
}

/// Planes of `size` logits from `least` on, every third kept by the backend, the others on the
/// host.
std::vector<LogitPlane> planes_of_both(Backend& backend, int count, int64_t size, float least) {
  std::vector<LogitPlane> planes;
  for (int i = 0; i < count; ++i) {
    std::vector<float> logits;
    for (int64_t pixel = 0; pixel < size; ++pixel) {
      logits.push_back(static_cast<float>((pixel * 7 + i * pixel % 5) % 11) + least);
    }
    planes.push_back(i % 3 == 0 ? backend.keep_plane(logits) : LogitPlane(logits));
  }
  return planes;
}

TEST_F(LatePlansTest, MasksWinAndAreLoweredAsOnTheCpuWhereverTheyWere) {
  GpuBackend backend(open());
  CpuBackend cpu(std::make_shared<SharedEngines>(graphs_.all_engines()), config_, Semantics::kHf,
                 {});
  backend.begin();
  std::vector<LogitPlane> planes = planes_of_both(backend, 7, 81, -6.0F);
  const std::vector<int64_t> areas = backend.won_areas(planes);
  EXPECT_EQ(areas, cpu.won_areas(planes));
  EXPECT_GT(std::ranges::count_if(areas, [](int64_t area) { return area > 0; }), 2);
  const std::vector<LogitPlane> lowered = backend.lowered_planes(planes, 2.0F);
  const std::vector<LogitPlane> wanted = cpu.lowered_planes(planes, 2.0F);
  ASSERT_EQ(lowered.size(), planes.size());
  for (size_t i = 0; i < lowered.size(); ++i) {
    EXPECT_THAT(lowered[i].values(), testing::ElementsAreArray(wanted[i].values()));
    EXPECT_FALSE(std::ranges::equal(lowered[i].values(), planes[i].values()));
  }
  EXPECT_EQ(backend.won_areas(planes), areas);  // what was given is as it was
  EXPECT_TRUE(backend.won_areas({}).empty());
  EXPECT_TRUE(backend.lowered_planes({}, 0.0F).empty());
  planes.emplace_back(std::vector<float>(4));
  EXPECT_THROW(static_cast<void>(backend.won_areas(planes)), Error);
  EXPECT_THROW(static_cast<void>(backend.lowered_planes(planes, 0.0F)), Error);
  backend.end();
}

TEST_F(LatePlansTest, CleanedMasksAreThoseOfTheCpuWhereverTheyWere) {
  GpuBackend backend(open());
  CpuBackend cpu(std::make_shared<SharedEngines>(graphs_.all_engines()), config_, Semantics::kHf,
                 {});
  constexpr int64_t kSide = 9;
  backend.begin();
  std::vector<LogitPlane> planes = planes_of_both(backend, 70, kSide * kSide, -4.5F);
  for (const int64_t max_area : {0, 1, 3, 1000}) {
    const auto found = backend.clean_planes(planes, kSide, max_area);
    const auto wanted = cpu.clean_planes(planes, kSide, max_area);
    ASSERT_EQ(found.size(), planes.size());
    size_t changed = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_THAT(found[i].plane.values(), testing::ElementsAreArray(wanted[i].plane.values()));
      EXPECT_EQ(found[i].bits, wanted[i].bits);
      if (!std::ranges::equal(found[i].plane.values(), planes[i].values())) ++changed;
    }
    EXPECT_EQ(changed == 0, max_area == 0) << max_area;
  }
  EXPECT_TRUE(backend.clean_planes({}, kSide, 3).empty());
  std::vector<float> broken(kSide * kSide, 1.0F);
  broken[40] = std::numeric_limits<float>::quiet_NaN();  // a hole that is filled otherwise
  planes.emplace_back(broken);
  EXPECT_THROW(static_cast<void>(backend.clean_planes(planes, kSide, 3)), NonFiniteError);
  planes.back() = std::vector<float>(4);
  EXPECT_THROW(static_cast<void>(backend.clean_planes(planes, kSide, 3)), Error);
  planes.pop_back();
  EXPECT_EQ(backend.clean_planes(planes, kSide, 3).size(), planes.size());
  backend.end();
}

TEST_F(LatePlansTest, OneThatCannotBeLoadedIsTriedAgain) {
  GpuBackend backend(open());
  refused_ = true;
  for (int i = 0; i < 2; ++i) {
    try {
      static_cast<void>(interact(backend, 1));
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("the file was changed"));
    }
    backend.recover();
  }
  refused_ = false;
  expect_as_on_the_cpu(backend, 1);
  EXPECT_EQ(loads_[kTrackerNeck], 3);
}

TEST_F(LatePlansTest, AModelThatDetectsOnlyNamesWhatIsMissing) {
  GpuBackend backend(std::make_shared<const GpuModel>(
      device_, fake_plans(graphs_.engines(), config_, {}), config_, Semantics::kHf));
  try {
    backend.run(kTrackerNeck, sizes({{"B", 1}}));
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("no tracker_neck"), HasSubstr("build it")));
  }
}

/// Both components that give `object_features`, and what the host gives in their place.
TEST_F(LatePlansTest, OneThatTakesAnotherTypeThanItIsGivenIsRefused) {
  const auto refusal = [&](Component component, const char* input, DType type) {
    GpuPlans plans = fake_plans(graphs_.engines(), config_, {});
    LatePlans later;
    later[component] = {[&] {
                          return std::make_shared<const NamedPlan>(
                              std::vector<TensorInfo>{{input, type, {}}},
                              std::vector<TensorInfo>{});
                        },
                        0};
    const GpuModel model(device_, std::move(plans), config_, Semantics::kHf, std::move(later));
    try {
      static_cast<void>(model.plan(component));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(refusal(kTrackerNeck, "vision_features", DType::kF16),
              testing::AllOf(HasSubstr("tracker_neck takes vision_features as f16"),
                             HasSubstr("vision_encoder gives it as nothing")));
  EXPECT_THAT(refusal(kSamDecoder, "object_features", DType::kF16),
              HasSubstr("expected object_features as f32, found f16"));
  EXPECT_THAT(refusal(kSamDecoder, "point_labels", DType::kF32),
              HasSubstr("expected point_labels as i64"));
  EXPECT_EQ(refusal(kSamDecoder, "object_features", DType::kF32), "no error");
  // Memories are kept by kernels, which write any float.
  EXPECT_EQ(refusal(kMemoryAttention, "memory_features", DType::kF16), "no error");
  EXPECT_THAT(refusal(kMemoryAttention, "memory_features", DType::kI64),
              HasSubstr("expected memory_features as f32"));
}

TEST_F(LatePlansTest, MaskHeadsHaveFewNumbersOfPlaces) {
  const auto slots = [&](int64_t most, size_t count) {
    return GpuBackend(std::make_shared<const GpuModel>(
                          device_, fake_plans(graphs_.engines(), config_, {.masks = most}), config_,
                          Semantics::kHf))
        .mask_slots(count);
  };
  EXPECT_EQ(slots(200, 1), 16);
  EXPECT_EQ(slots(200, 16), 16);
  EXPECT_EQ(slots(200, 17), 64);
  EXPECT_EQ(slots(200, 65), 200);
  EXPECT_EQ(slots(40, 17), 40);
  EXPECT_EQ(slots(8, 1), 8);
}

}  // namespace
}  // namespace sam3trt
