#include "checkpoint/plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "checkpoint/config_json.hpp"
#include "checkpoint/config_shapes.hpp"
#include "model_files.hpp"

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using namespace testing_files;

Sam3Config full_size() { return parse_config_json({{"model_type", "sam3"}}, "config.json"); }

Sam3Config tiny() { return parse_config_json(tiny_config_json(), "config.json"); }

std::set<std::string> names_of(const TensorPlan& plan) {
  std::set<std::string> names;
  for (const PlannedTensor& tensor : plan.tensors) names.insert(tensor.name);
  return names;
}

struct Coverage {
  size_t tensors = 0;
  size_t consumed = 0;
  size_t unused = 0;
  std::set<std::string> internal;
};

Coverage cover(const std::string& list, Naming naming) {
  const auto tensors = read_tensor_list(list);
  const TensorPlan plan = plan_tensors(tensors, naming, full_size(), list);
  std::set<size_t> sources;
  for (const PlannedTensor& tensor : plan.tensors) sources.insert(tensor.source);
  return {tensors.size(), sources.size(), plan.unused.size(), names_of(plan)};
}

TEST(Plan, ClassifiesEveryTensorOfHuggingFacesImageModel) {
  const Coverage image = cover("hf_image_tensors.txt", Naming::kHuggingFace);
  EXPECT_EQ(image.tensors, 1468U);
  EXPECT_EQ(image.consumed + image.unused, image.tensors);
  // Unused: the dropped neck level (4), CLIP's projection (1), the third mask stage (4).
  EXPECT_EQ(image.unused, 9U);
  EXPECT_EQ(image.internal.size(), image.consumed);
}

TEST(Plan, ClassifiesEveryTensorOfHuggingFacesVideoModel) {
  const Coverage video = cover("hf_video_tensors.txt", Naming::kHuggingFace);
  EXPECT_EQ(video.tensors, 1797U);
  EXPECT_EQ(video.consumed + video.unused, video.tensors);
  EXPECT_EQ(video.internal, cover("hf_image_tensors.txt", Naming::kHuggingFace).internal);
}

TEST(Plan, ClassifiesEveryTensorOfMetasCheckpoint) {
  const Coverage meta = cover("meta_tensors.txt", Naming::kMeta);
  EXPECT_EQ(meta.tensors, 1465U);
  EXPECT_EQ(meta.consumed + meta.unused, meta.tensors);
  // Unused: tracker (309), its neck (22), rotation tables (32), point exemplars (6), and the nine
  // of Hugging Face's list.
  EXPECT_EQ(meta.unused, 309U + 22U + 32U + 6U + 9U);
  EXPECT_EQ(meta.internal, cover("hf_image_tensors.txt", Naming::kHuggingFace).internal);
}

TEST(Plan, PairsTheTwoNamingsAsTheIndependentListDoes) {
  const auto needed = needed_tensors(full_size());
  std::map<std::string, const NamedTensor*> by_name;
  for (const NamedTensor& tensor : needed) by_name[tensor.name] = &tensor;
  size_t compared = 0;
  for (const std::string& line : read_list("name_pairs.txt")) {
    std::string name;
    std::string meta;
    int64_t row = 0;
    std::stringstream(line) >> name >> meta >> row;
    const auto found = by_name.find(name);
    if (found == by_name.end()) continue;  // one of the nine unused tensors
    ++compared;
    const NamedTensor& tensor = *found->second;
    EXPECT_EQ(tensor.meta_name, meta) << name;
    // Rows are those of the second dimension for the position embedding, else of the first.
    const bool position = name.ends_with("position_embeddings");
    const int64_t row_size =
        static_cast<int64_t>(count_of(tensor.meta_shape)) / tensor.meta_shape.at(position ? 1 : 0);
    EXPECT_EQ(tensor.meta_offset, row * row_size) << name;
  }
  EXPECT_EQ(compared, needed.size());
}

TEST(Plan, SizesOfMetasListAreThoseOfThePublishedConfiguration) {
  const Sam3Config meta = infer_meta_config(read_tensor_list("meta_tensors.txt"), "sam3.pt");
  const Sam3Config hf = full_size();
  EXPECT_EQ(meta.vision.image_size, 1008);
  EXPECT_EQ(meta.vision.window, 24);
  EXPECT_EQ(meta.vision.pretrain_grid, hf.vision.pretrain_grid);
  EXPECT_EQ(meta.vision.global_blocks, hf.vision.global_blocks);
  EXPECT_EQ(meta.vision.stack.layers, 32);
  EXPECT_EQ(meta.vision.stack.heads, 16);
  EXPECT_EQ(meta.vision.stack.intermediate, 4736);
  EXPECT_EQ(meta.vision.patch_size, 14);
  EXPECT_EQ(meta.text.vocabulary, 49408);
  EXPECT_EQ(meta.text.context, 32);
  EXPECT_EQ(meta.text.stack.layers, 24);
  EXPECT_EQ(meta.text.stack.heads, 16);
  EXPECT_EQ(meta.text.stack.intermediate, 4096);
  EXPECT_EQ(meta.text.bos_token_id, 49406);
  EXPECT_EQ(meta.text.eos_token_id, 49407);
  EXPECT_EQ(meta.text.pad_token_id, 0);
  EXPECT_EQ(meta.width, 256);
  EXPECT_EQ(meta.geometry.layers, 3);
  EXPECT_EQ(meta.encoder.layers, 6);
  EXPECT_EQ(meta.decoder.layers, 6);
  EXPECT_EQ(meta.decoder.heads, 8);
  EXPECT_EQ(meta.decoder.intermediate, 2048);
  EXPECT_EQ(meta.queries, 200);
  EXPECT_EQ(meta.roi_size, 7);
  EXPECT_EQ(meta.mask_heads, 8);
  EXPECT_EQ(meta.mask_upsampling_stages, 3);
  EXPECT_EQ(meta.vision.layer_norm_eps, 1e-5);
}

TEST(Plan, PublishedProportionsReplaceMissingRotationTables) {
  auto tensors = read_tensor_list("meta_tensors.txt");
  std::erase_if(tensors, [](const auto& tensor) { return tensor.name.ends_with("freqs_cis"); });
  const Sam3Config config = infer_meta_config(tensors, "sam3.pt");
  EXPECT_EQ(config.vision.image_size, 1008);
  EXPECT_EQ(config.vision.window, 24);
  EXPECT_EQ(config.vision.stack.heads, 16);
  EXPECT_EQ(config.vision.global_blocks, (std::vector<int64_t>{7, 15, 23, 31}));
}

TEST(Plan, SizesComeFromRealRotationTablesToo) {
  auto tensors = read_tensor_list("meta_tensors.txt");
  const size_t count = tensors.size();
  for (size_t i = 0; i < count; ++i) {
    if (!tensors[i].name.ends_with("freqs_cis")) continue;
    StoredTensor part = tensors[i];
    part.dtype = DType::kF32;
    part.name += "_imag";
    tensors.push_back(part);
    tensors[i].dtype = DType::kF32;
    tensors[i].name += "_real";
  }
  const Sam3Config config = infer_meta_config(tensors, "sam3.pt");
  EXPECT_EQ(config.vision.global_blocks, (std::vector<int64_t>{7, 15, 23, 31}));
  EXPECT_EQ(config.vision.window, 24);
  const TensorPlan plan = plan_tensors(tensors, Naming::kMeta, full_size(), "sam3.pt");
  EXPECT_EQ(plan.unused.size(), 309U + 22U + 64U + 6U + 9U);
}

TEST(Plan, UnusedTensorsMayBeMissing) {
  for (const auto& [list, naming] : {std::pair{"hf_video_tensors.txt", Naming::kHuggingFace},
                                     std::pair{"meta_tensors.txt", Naming::kMeta}}) {
    auto tensors = read_tensor_list(list);
    const TensorPlan full = plan_tensors(tensors, naming, full_size(), list);
    for (size_t i = full.unused.size(); i-- > 0;) {
      tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(full.unused[i]));
    }
    const TensorPlan plan = plan_tensors(tensors, naming, full_size(), list);
    EXPECT_TRUE(plan.unused.empty());
    EXPECT_EQ(names_of(plan), names_of(full));
  }
}

/// The tiny model's tensors without bytes.
std::vector<StoredTensor> tiny_tensors() {
  std::vector<StoredTensor> tensors;
  for (const NamedTensor& needed : needed_tensors(tiny())) {
    StoredTensor tensor;
    tensor.name = needed.name;
    tensor.dtype_name = "F32";
    tensor.dtype = DType::kF32;
    tensor.shape = needed.shape;
    tensors.push_back(tensor);
  }
  return tensors;
}

std::string plan_error(const std::vector<StoredTensor>& tensors) {
  return error_of([&] {
    static_cast<void>(plan_tensors(tensors, Naming::kHuggingFace, tiny(), "model.safetensors"));
  });
}

StoredTensor& named(std::vector<StoredTensor>& tensors, const std::string& name) {
  return *std::ranges::find(tensors, name, &StoredTensor::name);
}

TEST(Plan, OneErrorListsEverythingThatIsWrong) {
  auto tensors = tiny_tensors();
  named(tensors, "detr_decoder.query_embed.weight").shape = {6, 9};
  named(tensors, "geometry_encoder.cls_embed.weight").dtype = DType::kI64;
  named(tensors, "geometry_encoder.cls_embed.weight").dtype_name = "I64";
  named(tensors, "text_projection.bias").name = "text_projektion.bias";
  named(tensors, "detr_encoder.layers.1.layer_norm3.weight").name =
      "detr_encoder.layers.2.layer_norm3.weight";
  const std::string message = plan_error(tensors);
  EXPECT_THAT(message, HasSubstr("model.safetensors: "));
  EXPECT_THAT(message, HasSubstr("2 missing:\n  text_projection.bias [8]\n"
                                 "  detr_encoder.layers.1.layer_norm3.weight [8]"));
  EXPECT_THAT(message, HasSubstr("2 unknown:\n  text_projektion.bias [8]\n"
                                 "  detr_encoder.layers.2.layer_norm3.weight [8]"));
  EXPECT_THAT(message, HasSubstr("1 with a wrong shape:\n  detr_decoder.query_embed.weight: "
                                 "expected [6, 8], found [6, 9]"));
  EXPECT_THAT(message, HasSubstr("1 of type I64, expected F32, F16, BF16 or F64:\n  "
                                 "geometry_encoder.cls_embed.weight"));
  EXPECT_THAT(message, Not(HasSubstr("unmodified")));
}

TEST(Plan, LongListsAreCut) {
  auto tensors = tiny_tensors();
  tensors.resize(tensors.size() - 50);
  const std::string message = plan_error(tensors);
  EXPECT_THAT(message, AllOf(HasSubstr("\n50 missing"), HasSubstr("... and 40 more")));
  EXPECT_LE(std::ranges::count(message, '\n'), 13);
}

TEST(Plan, WhatManyNamesBeginWithIsSaidOnce) {
  auto tensors = tiny_tensors();
  std::erase_if(tensors,
                [](const auto& t) { return t.name.starts_with("detr_decoder.layers.1."); });
  const std::string message = plan_error(tensors);
  EXPECT_THAT(message, HasSubstr("missing, each name begins with \"detr_decoder.layers.1.\":\n  "));
  EXPECT_EQ(message.find("detr_decoder.layers.1."), message.rfind("detr_decoder.layers.1."));
}

TEST(Plan, ManyTensorsOfOneWrongTypeAreOneList) {
  auto tensors = tiny_tensors();
  for (StoredTensor& tensor : tensors) {
    tensor.dtype = DType::kI64;
    tensor.dtype_name = "I64";
  }
  const std::string message = plan_error(tensors);
  EXPECT_THAT(message, HasSubstr(std::to_string(tensors.size()) + " of type I64, expected"));
  EXPECT_LE(std::ranges::count(message, '\n'), 13);
}

TEST(Plan, TensorsOfAnUnneededTypeAreFineWhereNothingReadsThem) {
  auto tensors = tiny_tensors();
  StoredTensor ids;
  ids.name = "text_encoder.text_model.embeddings.position_ids";
  ids.dtype_name = "I64";
  ids.dtype = DType::kI64;
  ids.shape = {1, 5};
  tensors.push_back(ids);
  EXPECT_EQ(plan_error(tensors), "no error");
}

TEST(Plan, ATensorWithAndWithoutItsPrefixIsRefused) {
  auto tensors = tiny_tensors();
  tensors.push_back(named(tensors, "text_projection.bias"));
  tensors.back().name = "detector_model.text_projection.bias";
  EXPECT_THAT(plan_error(tensors),
              HasSubstr("1 unknown:\n  detector_model.text_projection.bias [8] (there "
                        "with and without its prefix)"));
}

TEST(Plan, AnotherModelsTensorsAreNotTakenForSam3) {
  std::vector<StoredTensor> tensors(1);
  tensors[0].name = "bert.embeddings.weight";
  const std::string message =
      error_of([&] { static_cast<void>(detect_naming(tensors, "model.safetensors")); });
  EXPECT_THAT(message, AllOf(HasSubstr("holds no SAM 3 model"), HasSubstr("bert.embeddings"),
                             HasSubstr("it seems to be a BERT text model")));
}

TEST(Plan, UnusedPatternsDoNotSwallowNeededOrUnknownNames) {
  for (const NamedTensor& needed : needed_tensors(full_size())) {
    // The first two mask stages share their name with the unused third one.
    if (needed.name.find("pixel_decoder") != std::string::npos) continue;
    EXPECT_FALSE(is_unused_tensor(Naming::kHuggingFace, needed.name)) << needed.name;
    EXPECT_FALSE(is_unused_tensor(Naming::kMeta, needed.meta_name)) << needed.meta_name;
  }
  EXPECT_FALSE(is_unused_tensor(Naming::kHuggingFace, "tracker_models.x"));
  EXPECT_FALSE(is_unused_tensor(Naming::kHuggingFace, "lossless.x"));
  EXPECT_FALSE(
      is_unused_tensor(Naming::kMeta, "backbone.vision_backbone.trunk.blocks.0.attn.freqs"));
}

}  // namespace
}  // namespace sam3trt
