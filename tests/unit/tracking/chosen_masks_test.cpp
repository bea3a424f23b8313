#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/sigmoid.hpp"
#include "fake_graphs.hpp"
#include "image/rle.hpp"
#include "runtime/cpu_backend.hpp"
#include "runtime/postprocess.hpp"
#include "scenes.hpp"
#include "tracking/backend_tracker.hpp"
#include "tracking/image_objects.hpp"
#include "tracking/object_input.hpp"
#include "tracking/object_mask.hpp"

namespace sam3trt {
namespace {

using enum Component;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;

/// Notes which of the decoder's masks are copied to the host, kept, or counted.
class ReadingBackend : public CpuBackend {
 public:
  using CpuBackend::CpuBackend;

  [[nodiscard]] std::vector<Tensor> read(Component component,
                                         std::span<const OutputPart> parts) override {
    for (const OutputPart& part : parts) {
      if (part.output == "pred_masks") ++masks_read;
      if (part.output != "sam_masks") continue;
      if (part.row_size == 0) ADD_FAILURE() << "all masks are copied";
      planes.insert(part.rows.begin(), part.rows.end());
    }
    return CpuBackend::read(component, parts);
  }

  [[nodiscard]] std::vector<LogitPlane> keep_planes(Component component,
                                                    std::span<const size_t> wanted,
                                                    int64_t side) override {
    if (component == kSamDecoder) kept.insert(wanted.begin(), wanted.end());
    return CpuBackend::keep_planes(component, wanted, side);
  }

  [[nodiscard]] std::vector<std::array<int64_t, 2>> count_logits(std::span<const size_t> wanted,
                                                                 int64_t side, float high,
                                                                 float low) override {
    counted.insert(wanted.begin(), wanted.end());
    return CpuBackend::count_logits(wanted, side, high, low);
  }

  [[nodiscard]] int64_t padded_size(Component component, const std::string& input,
                                    size_t axis) override {
    EXPECT_EQ(component, kMemoryAttention);
    EXPECT_EQ(axis, 1U);
    return input == "memory_present" ? padded_frames : 2 * padded_frames;
  }

  [[nodiscard]] int64_t mask_slots(size_t count) const override {
    const auto slots = static_cast<int64_t>(count);
    return pads_masks ? (slots + 1) / 2 * 2 : slots;
  }

  [[nodiscard]] CallLimits limits() const override {
    CallLimits limits = CpuBackend::limits();
    limits.objects = most_objects;
    return limits;
  }

  size_t most_objects = 16;
  std::multiset<size_t> planes;
  std::multiset<size_t> kept;
  std::multiset<size_t> counted;
  int masks_read = 0;  ///< Times that masks of the mask head were copied.
  int64_t padded_frames = 0;
  bool pads_masks = false;
};

class ChosenMasks : public testing::Test {
 protected:
  /// What the decoder gives, as it was; two single masks are stable, one object is absent.
  ChosenMasks() {
    config_.tracker->stability_delta = 0.5;
    config_.tracker->stability_threshold = 0.98;
    graphs_.set_damage("sam_decoder", [this](const TensorMap&, auto& outputs) {
      const std::vector<float> scores = {1.0F, 0.5F, -1.0F, 2.0F, 3.0F, 4.0F};
      const auto objects = static_cast<size_t>(outputs.at("object_score").dim(0));
      std::copy_n(scores.begin(), objects, outputs.at("object_score").f32().begin());
      for (const size_t stable : {0U, 4U}) {
        if (stable >= objects) continue;
        std::ranges::fill(outputs.at("sam_masks").f32().subspan(stable * kMasks * kArea, kArea),
                          1.0F);
      }
      given_ = outputs;
    });
    backend_ =
        std::make_unique<ReadingBackend>(std::make_shared<SharedEngines>(graphs_.all_engines()),
                                         config_, Semantics::kHf, SessionLimits{});
    backend_->begin();
  }

  [[nodiscard]] std::span<const float> ious(size_t object) const {
    return given_.at("iou_scores").f32().subspan(object * kMasks, kMasks);
  }
  [[nodiscard]] std::span<const float> mask(size_t plane) const {
    return given_.at("sam_masks").f32().subspan(plane * kArea, kArea);
  }
  [[nodiscard]] size_t best(size_t object) const {
    return object * kMasks + best_of_several(ious(object));
  }

  static constexpr size_t kMasks = 4;
  static constexpr size_t kSide = 8;
  static constexpr size_t kArea = kSide * kSide;
  FakeGraphs graphs_;
  ModelConfig config_ = FakeGraphs::config();
  std::map<std::string, Tensor> given_;
  std::unique_ptr<ReadingBackend> backend_;
};

/// Where followed objects' masks are wanted.
class FollowedMasks : public ChosenMasks, public testing::WithParamInterface<MaskPlace> {
 protected:
  [[nodiscard]] const std::multiset<size_t>& taken() const {
    return GetParam() == MaskPlace::kHost ? backend_->planes : backend_->kept;
  }
  [[nodiscard]] const std::multiset<size_t>& left_alone() const {
    return GetParam() == MaskPlace::kHost ? backend_->kept : backend_->planes;
  }
};

INSTANTIATE_TEST_SUITE_P(OnTheHostOrNot, FollowedMasks,
                         testing::Values(MaskPlace::kHost, MaskPlace::kModel));

TEST_P(FollowedMasks, OnlyTheOneThatCountsIsTakenOfEach) {
  const Tokenizer tokenizer = FakeGraphs::tokenizer();
  BackendTracker tracker(*backend_, tokenizer, config_, Semantics::kHf);
  const Image image = image_of(12, 10, 1);
  tracker.encode(view_of(image));
  std::vector<DecodeInput> objects(5);
  for (size_t i = 0; i < objects.size(); ++i) {
    objects[i].tokens = no_tokens();
    objects[i].multimask = i % 2 == 1;
  }
  const std::vector<DecodeOutput> decoded = tracker.decode(objects, GetParam());
  // Object 0 is stable, 1 and 3 take the best, 2 is not there, 4 is stable.
  EXPECT_THAT(taken(), ElementsAre(0, best(1), best(3), 4 * kMasks));
  EXPECT_THAT(left_alone(), IsEmpty());
  EXPECT_THAT(backend_->counted, ElementsAre(0, 4 * kMasks));
  const std::vector<size_t> expected = {0, best(1), 8, best(3), 16};
  const auto width = static_cast<size_t>(tracker.sizes().width);
  for (size_t i = 0; i < decoded.size(); ++i) {
    const ObjectView& view = decoded[i].view;
    EXPECT_EQ(view.iou, given_.at("iou_scores").f32()[expected[i]]) << i;
    EXPECT_THAT(
        *view.pointer,
        ElementsAreArray(given_.at("object_pointers").f32().subspan(expected[i] * width, width)));
    EXPECT_THAT(*decoded[i].absent,
                ElementsAreArray(given_.at("absent_pointers").f32().subspan(i * width, width)));
    if (i == 2) {
      EXPECT_THAT(view.mask.values(), testing::Each(kNoObjectLogit));
    } else {
      EXPECT_THAT(view.mask.values(), ElementsAreArray(mask(expected[i]))) << i;
    }
  }
}

TEST_P(FollowedMasks, AnUnstableSingleMaskIsCountedAndTheBestIsTaken) {
  const Tokenizer tokenizer = FakeGraphs::tokenizer();
  BackendTracker tracker(*backend_, tokenizer, config_, Semantics::kHf);
  const Image image = image_of(12, 10, 2);
  tracker.encode(view_of(image));
  std::vector<DecodeInput> objects(2);
  for (DecodeInput& input : objects) {
    input.tokens = no_tokens();
    input.multimask = false;
  }
  const std::vector<DecodeOutput> decoded = tracker.decode(objects, GetParam());
  EXPECT_THAT(backend_->counted, ElementsAre(0, kMasks));
  EXPECT_THAT(taken(), ElementsAre(0, best(1)));
  EXPECT_THAT(left_alone(), IsEmpty());
  EXPECT_THAT(decoded[1].view.mask.values(), ElementsAreArray(mask(best(1))));
  EXPECT_EQ(decoded[1].view.iou, given_.at("iou_scores").f32()[best(1)]);
  const auto width = static_cast<size_t>(tracker.sizes().width);
  EXPECT_THAT(*decoded[1].view.pointer,
              ElementsAreArray(given_.at("object_pointers").f32().subspan(kMasks * width, width)));
}

TEST_P(FollowedMasks, OfAnObjectThatAMaskPointsAtNoneIsTaken) {
  const Tokenizer tokenizer = FakeGraphs::tokenizer();
  BackendTracker tracker(*backend_, tokenizer, config_, Semantics::kHf);
  const Image image = image_of(12, 10, 3);
  tracker.encode(view_of(image));
  DecodeInput input;
  input.features = FrameFeatures::kRaw;
  input.tokens = no_tokens();
  input.mask_side = model_sizes(config_).at("Y");
  input.mask = std::vector<float>(static_cast<size_t>(input.mask_side * input.mask_side), 1.0F);
  const std::vector<DecodeOutput> decoded = tracker.decode({&input, 1}, GetParam());
  EXPECT_THAT(taken(), IsEmpty());
  EXPECT_THAT(left_alone(), IsEmpty());
  EXPECT_TRUE(decoded[0].view.mask.empty());
}

TEST_F(ChosenMasks, OfDetectionsOnlyBitsComeToTheHost) {
  std::vector<Tensor> planes;
  graphs_.set_damage("mask_head", [&](const TensorMap&, auto& outputs) {
    planes.push_back(outputs.at("pred_masks"));
  });
  const Tokenizer tokenizer = FakeGraphs::tokenizer();
  BackendTracker tracker(*backend_, tokenizer, config_, Semantics::kHf);
  const Image image = image_of(12, 10, 1);
  tracker.encode(view_of(image));
  const Prompt wanted{"dog", {}};
  const auto found = tracker.detect({&wanted, 1}, {12, 10}, 0.0F);
  ASSERT_EQ(found.size(), 1U);
  ASSERT_GT(found[0].size(), 1U);
  EXPECT_EQ(backend_->masks_read, 0);
  std::vector<std::span<const float>> given;
  for (const Tensor& tensor : planes) {
    for (size_t i = 0; i * kArea < tensor.f32().size(); ++i) {
      given.push_back(tensor.f32().subspan(i * kArea, kArea));
    }
  }
  ASSERT_GE(given.size(), found[0].size());
  for (size_t i = 0; i < found[0].size(); ++i) {
    EXPECT_THAT(found[0][i].mask.values(), ElementsAreArray(given[i])) << i;
    EXPECT_THAT(found[0][i].bits.words(), ElementsAreArray(BitMask(given[i]).words())) << i;
  }
}

TEST_F(ChosenMasks, PlacesForMasksBecomeFewerOnlyWhereNoneStaysFree) {
  for (const bool pads : {false, true}) {
    backend_->pads_masks = pads;
    std::vector<int64_t> slots;
    graphs_.set_damage("mask_head", [&](const TensorMap& inputs, auto& /*outputs*/) {
      slots.push_back(inputs.at("query_index")->dim(1));
    });
    const Tokenizer tokenizer = FakeGraphs::tokenizer();
    BackendTracker tracker(*backend_, tokenizer, config_, Semantics::kHf);
    const Image image = image_of(12, 10, 1);
    tracker.encode(view_of(image));
    const Prompt wanted{"dog", {}};
    const auto all = tracker.detect({&wanted, 1}, {12, 10}, 0.0F)[0];
    ASSERT_GT(all.size(), 2U);
    const float best = std::ranges::max_element(all, {}, &TrackerDetection::score)->score;
    const auto one = tracker.detect({&wanted, 1}, {12, 10}, best - 1e-6F)[0];
    ASSERT_EQ(one.size(), 1U);
    EXPECT_EQ(one[0].score, best);
    const auto count = static_cast<int64_t>(all.size());
    if (pads) {
      EXPECT_THAT(slots, ElementsAre((count + 1) / 2 * 2, (count + 1) / 2 * 2));
    } else {
      EXPECT_THAT(slots, ElementsAre(count, 1));
    }
  }
}

/// Objects that remember unequally much.
class Remembering : public ChosenMasks {
 protected:
  Remembering() {
    graphs_.set_damage("memory_attention", [this](const TensorMap& inputs, auto& /*outputs*/) {
      std::map<std::string, Tensor>& call = calls_.emplace_back();
      for (const auto& [name, tensor] : inputs) call[name] = *tensor;
    });
  }

  /// Object i has i + 1 frames and i pointers.
  void decode(size_t count) {
    const Tokenizer tokenizer = FakeGraphs::tokenizer();
    BackendTracker tracker(*backend_, tokenizer, config_, Semantics::kHf);
    const Image image = image_of(12, 10, 1);
    tracker.encode(view_of(image));
    std::vector<DecodeInput> objects(count);
    constexpr uint16_t kOne = 0x3F80;  // in bfloat16
    const std::vector<uint16_t> ones(tracker.sizes().memory_size(), kOne);
    for (size_t i = 0; i < count; ++i) {
      objects[i].features = FrameFeatures::kMemory;
      objects[i].tokens = no_tokens();
      ObjectMemory& memory = objects[i].memory;
      for (size_t frame = 0; frame <= i; ++frame) {
        memory.frames.push_back(tracker.restore(ones));
        memory.times.push_back(static_cast<int64_t>(frame) + 1);
      }
      for (size_t n = 0; n < i; ++n) {
        const auto width = static_cast<size_t>(tracker.sizes().width);
        memory.pointers.push_back(std::make_shared<const std::vector<float>>(width, 2.0F));
        memory.pointer_times.push_back(0.5F);
      }
    }
    EXPECT_EQ(tracker.decode(objects, MaskPlace::kModel).size(), count);
  }

  std::vector<std::map<std::string, Tensor>> calls_;
};

TEST_F(Remembering, WithoutPaddingOnlyObjectsWithEquallyManyMemoriesGoTogether) {
  decode(3);
  ASSERT_EQ(calls_.size(), 3U);
  for (size_t i = 0; i < calls_.size(); ++i) {
    EXPECT_THAT(calls_[i].at("memory_present").shape(), ElementsAre(1, i + 1));
    EXPECT_THAT(calls_[i].at("memory_present").f32(), testing::Each(1.0F));
    EXPECT_THAT(calls_[i].at("pointer_present").shape(), ElementsAre(1, i));
  }
}

TEST_F(Remembering, WithPaddingAllGoTogetherAndWhatIsAbsentIsZeros) {
  backend_->padded_frames = 3;
  decode(2);
  ASSERT_EQ(calls_.size(), 1U);
  const std::map<std::string, Tensor>& inputs = calls_[0];
  EXPECT_THAT(inputs.at("memory_present").f32(), ElementsAre(1, 0, 0, 1, 1, 0));
  EXPECT_THAT(inputs.at("pointer_present").f32(), ElementsAre(0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0));
  EXPECT_THAT(inputs.at("memory_time").i64(), ElementsAre(1, 0, 0, 1, 2, 0));
  EXPECT_THAT(inputs.at("pointer_time").f32()[6], 0.5F);
  const Tensor& features = inputs.at("memory_features");
  const auto frame = static_cast<size_t>(features.dim(2) * features.dim(3));
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_THAT(features.f32().subspan(i * frame, frame),
                testing::Each(inputs.at("memory_present").f32()[i]))
        << i;
  }
  const auto width = static_cast<size_t>(inputs.at("memory_pointers").dim(2));
  EXPECT_THAT(inputs.at("memory_pointers").f32().subspan(6 * width, width), testing::Each(2.0F));
  EXPECT_THAT(inputs.at("memory_pointers").f32().first(6 * width), testing::Each(0.0F));
}

TEST_F(Remembering, MoreMemoriesThanThePaddingAreAllSeen) {
  backend_->padded_frames = 1;
  decode(2);
  ASSERT_EQ(calls_.size(), 1U);
  EXPECT_THAT(calls_[0].at("memory_present").f32(), ElementsAre(1, 0, 1, 1));
}

TEST_F(Remembering, MoreObjectsThanGoTogetherGoInEqualShares) {
  backend_->padded_frames = 3;
  backend_->most_objects = 4;
  decode(5);
  ASSERT_EQ(calls_.size(),
            2U);  // of three objects; the last place is taken by one that knows little
  EXPECT_THAT(calls_[0].at("memory_present").f32(), ElementsAre(1, 0, 0, 1, 1, 0, 1, 1, 1));
  EXPECT_THAT(calls_[1].at("memory_present").f32(),
              ElementsAre(1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0));
}

TEST_F(Remembering, WithoutPaddingTheLastShareIsSmaller) {
  backend_->most_objects = 2;
  std::vector<int64_t> rows;
  graphs_.set_damage("memory_encoder", [&](const TensorMap& inputs, auto& /*outputs*/) {
    rows.push_back(inputs.at("is_binary")->dim(0));
  });
  const Tokenizer tokenizer = FakeGraphs::tokenizer();
  BackendTracker tracker(*backend_, tokenizer, config_, Semantics::kHf);
  const Image image = image_of(12, 10, 1);
  tracker.encode(view_of(image));
  const int64_t side = tracker.sizes().mask_side();
  std::vector<MemoryInput> masks(3);
  for (size_t i = 0; i < masks.size(); ++i) {
    masks[i].mask = std::vector<float>(static_cast<size_t>(side * side), static_cast<float>(i));
    masks[i].side = side;
    masks[i].object_score = 1.0F;
  }
  const auto alone = tracker.remember(masks);
  EXPECT_THAT(rows, ElementsAre(2, 1));
  backend_->padded_frames = 3;
  rows.clear();
  const auto padded = tracker.remember(masks);
  EXPECT_THAT(rows, ElementsAre(2, 2));
  ASSERT_EQ(padded.size(), 3U);
  ASSERT_EQ(alone.size(), 3U);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(padded[i]->bf16(), alone[i]->bf16()) << i;
  EXPECT_TRUE(tracker.remember({}).empty());
}

/// Clicks on an image.
class ClickedMasks : public ChosenMasks {
 protected:
  std::vector<ObjectResult> click(const InteractOptions& options, Semantics semantics) {
    const Image image = image_of(12, 10, 4);
    const ImageView view = view_of(image);
    backend_->load_images({&view, 1});
    AxisSizes sizes = model_sizes(config_);
    sizes["B"] = 1;
    backend_->run(kVisionEncoder, sizes);
    const auto features = backend_->keep_features();
    std::vector<ObjectPrompt> prompts(2);
    for (size_t i = 0; i < prompts.size(); ++i) {
      prompts[i].id = static_cast<int64_t>(i);
      prompts[i].points = {{3.0 + static_cast<double>(i), 4, true}};
    }
    const ImagePointers pointers{{12, 10}, prompts};
    ImageObjects objects(config_, semantics);
    return objects.run(*backend_, *features, {&pointers, 1}, options).front();
  }

  [[nodiscard]] std::vector<uint32_t> counts_of(size_t plane) const {
    return rle_counts(binary_mask(mask(plane), kSide, 12, 10, Semantics::kMeta, 0.5F), 10, 12);
  }
};

TEST_F(ClickedMasks, NoneIsCopiedUnlessItsLogitsAreAskedFor) {
  const auto several = click({true, false}, Semantics::kHf);
  EXPECT_THAT(backend_->planes, IsEmpty());
  for (size_t i = 0; i < several.size(); ++i) {
    ASSERT_EQ(several[i].candidates.size(), 3U);
    for (size_t m = 1; m < kMasks; ++m) {
      EXPECT_EQ(several[i].candidates[m - 1].counts, counts_of(i * kMasks + m));
    }
    EXPECT_EQ(several[i].counts, counts_of(best(i)));
    EXPECT_EQ(several[i].object_score, precise_sigmoid(given_.at("object_score").f32()[i]));
  }
  const auto one = click({false, false}, Semantics::kHf);
  EXPECT_THAT(backend_->planes, IsEmpty());
  EXPECT_EQ(one[0].counts, counts_of(0));
  EXPECT_EQ(one[1].counts, counts_of(best(1)));
}

TEST_F(ClickedMasks, LogitsForRefinementAreThoseOfTheResult) {
  const auto several = click({true, true}, Semantics::kHf);
  EXPECT_THAT(backend_->planes, ElementsAre(best(0), best(1)));
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_THAT(several[i].logits.values, ElementsAreArray(mask(best(i))));
  }
  const auto one = click({false, true}, Semantics::kHf);
  EXPECT_THAT(one[0].logits.values, ElementsAreArray(mask(0)));
  EXPECT_THAT(one[1].logits.values, ElementsAreArray(mask(best(1))));
}

TEST_F(ClickedMasks, LogitsOfCandidatesAreThoseOfEachMask) {
  const auto several = click({true, false, true}, Semantics::kHf);
  for (size_t i = 0; i < several.size(); ++i) {
    EXPECT_TRUE(several[i].logits.values.empty());
    for (size_t m = 1; m < kMasks; ++m) {
      EXPECT_EQ(several[i].candidates[m - 1].logits.side, kSide);
      EXPECT_THAT(several[i].candidates[m - 1].logits.values,
                  ElementsAreArray(mask(i * kMasks + m)));
    }
  }
  EXPECT_TRUE(click({false, false, true}, Semantics::kHf)[0].candidates.empty());
}

}  // namespace
}  // namespace sam3trt
