#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "checkpoint/config_json.hpp"
#include "checkpoint/config_shapes.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/plan.hpp"
#include "checkpoint/wrapped_names.hpp"
#include "model_files.hpp"

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using namespace testing_files;

Sam3Config full_size() {
  return parse_config_json({{"model_type", "sam3_video"}}, "config.json", true);
}

/// The unused tensors of a published list, by reason.
std::map<std::string, size_t> unused_of(const std::string& list, Naming naming,
                                        const Sam3Config& config, std::set<std::string>& used) {
  const auto tensors = read_tensor_list(list);
  const TensorPlan plan = plan_tensors(tensors, naming, config, list);
  std::set<size_t> sources;
  for (const PlannedTensor& tensor : plan.tensors) {
    used.insert(tensor.name);
    sources.insert(tensor.source);
  }
  EXPECT_EQ(sources.size() + plan.unused.size(), tensors.size()) << list;
  const ModelNames model = unwrap_names(tensors, naming);
  std::map<std::string, size_t> reasons;
  for (const size_t index : plan.unused) {
    ++reasons[std::string(unused_reason(naming, model.names[index], true))];
  }
  return reasons;
}

TEST(Tracker, EveryTensorOfTheWholePublishedModelIsUsedOrHasAReason) {
  std::set<std::string> hf;
  std::set<std::string> meta;
  auto reasons = unused_of("hf_video_tensors.txt", Naming::kHuggingFace, full_size(), hf);
  EXPECT_EQ(reasons["no graph has it: nor has the reference"],
            1U);                                             // no_memory_positional_encoding
  EXPECT_EQ(reasons["the level that the model drops"], 8U);  // of both necks
  EXPECT_EQ(reasons["CLIP's pooled output"], 1U);
  EXPECT_EQ(reasons["stages after the second"], 4U);
  EXPECT_EQ(reasons.size(), 4U);
  const Sam3Config inferred = infer_meta_config(read_tensor_list("meta_tensors.txt"), "sam3.pt");
  ASSERT_TRUE(inferred.tracker);
  reasons = unused_of("meta_tensors.txt", Naming::kMeta, inferred, meta);
  EXPECT_EQ(reasons["no graph has it: nor has the reference"], 1U);
  EXPECT_EQ(reasons["the level that scalp=1 drops"], 8U);
  EXPECT_EQ(reasons.size(), 6U);
  EXPECT_EQ(hf, meta);
}

TEST(Tracker, SizesFromMetasShapesAreThoseOfThePublishedConfiguration) {
  const Sam3Config meta = infer_meta_config(read_tensor_list("meta_tensors.txt"), "sam3.pt");
  const Sam3Config hf = full_size();
  std::map<std::string, double> found;
  for_each_field(*meta.tracker, [&](const char* name, const auto& value) {
    found[name] = static_cast<double>(value);
  });
  EXPECT_EQ(found.at("recondition_on_trk_masks"), 0);  // what Meta's code has
  found["recondition_on_trk_masks"] = 1;
  for_each_field(*hf.tracker, [&](const char* name, const auto& value) {
    EXPECT_EQ(found.at(name), static_cast<double>(value)) << name;
  });
  EXPECT_EQ(found.at("mask_tokens"), 4);
  EXPECT_EQ(found.at("vision_width"), 1024);
  EXPECT_EQ(found.at("low_res_mask_size"), 288);

  const TrackerSizes& a = meta.tracker_sizes;
  const TrackerSizes& b = hf.tracker_sizes;
  EXPECT_EQ(a.point_embeddings, b.point_embeddings);
  EXPECT_EQ(a.mask_input_channels, b.mask_input_channels);
  EXPECT_EQ(a.decoder.layers, b.decoder.layers);
  EXPECT_EQ(a.decoder.heads, b.decoder.heads);
  EXPECT_EQ(a.decoder.intermediate, b.decoder.intermediate);
  EXPECT_EQ(a.decoder_downsample, b.decoder_downsample);
  EXPECT_EQ(a.decoder_mlp_inner, b.decoder_mlp_inner);
  EXPECT_EQ(a.iou_depth, b.iou_depth);
  EXPECT_EQ(a.iou_hidden, b.iou_hidden);
  EXPECT_EQ(a.attention.layers, b.attention.layers);
  EXPECT_EQ(a.attention.heads, b.attention.heads);
  EXPECT_EQ(a.attention.intermediate, b.attention.intermediate);
  EXPECT_EQ(a.attention.activation, b.attention.activation);
  EXPECT_EQ(a.attention_downsample, b.attention_downsample);
  EXPECT_EQ(a.pointer_time_encoding, b.pointer_time_encoding);
  EXPECT_EQ(a.mask_layers, b.mask_layers);
  EXPECT_EQ(a.mask_kernel, b.mask_kernel);
  EXPECT_EQ(a.mask_stride, b.mask_stride);
  EXPECT_EQ(a.mask_padding, b.mask_padding);
  EXPECT_EQ(a.fuser_layers, b.fuser_layers);
  EXPECT_EQ(a.fuser_kernel, b.fuser_kernel);
  EXPECT_EQ(a.fuser_intermediate, b.fuser_intermediate);
  EXPECT_EQ(a.occlusion_embedding, b.occlusion_embedding);
}

TEST(Tracker, AMissingTensorOfItIsTold) {
  auto tensors = read_tensor_list("hf_video_tensors.txt");
  std::erase_if(tensors, [](const StoredTensor& tensor) {
    return tensor.name == "tracker_model.mask_downsample.weight";
  });
  const std::string message = error_of([&] {
    static_cast<void>(plan_tensors(tensors, Naming::kHuggingFace, full_size(), "model"));
  });
  EXPECT_THAT(message, AllOf(HasSubstr("1 missing"), HasSubstr("mask_downsample.weight")));
}

TEST(Tracker, AnUnknownTensorOfItIsTold) {
  auto tensors = read_tensor_list("hf_video_tensors.txt");
  tensors.emplace_back().name = "tracker_model.memory_gate.weight";
  const std::string message = error_of([&] {
    static_cast<void>(plan_tensors(tensors, Naming::kHuggingFace, full_size(), "model"));
  });
  EXPECT_THAT(message, AllOf(HasSubstr("unknown"), HasSubstr("memory_gate.weight")));
}

TEST(Tracker, WeightsWithoutTheNeckOrANeckAloneAreNone) {
  const auto has = [](std::vector<std::string> names, Naming naming) {
    return has_tracker(names, naming);
  };
  EXPECT_TRUE(has({"tracker_model.x", "tracker_neck.y"}, Naming::kHuggingFace));
  EXPECT_FALSE(has({"tracker_model.x"}, Naming::kHuggingFace));
  EXPECT_FALSE(has({"backbone.vision_backbone.sam2_convs.x"}, Naming::kMeta));
  EXPECT_TRUE(has({"tracker.x", "backbone.vision_backbone.sam2_convs.x"}, Naming::kMeta));
}

TEST(Tracker, IsFoundUnderItsOtherNames) {
  std::vector<StoredTensor> tensors(2);
  tensors[0].name = "detector_model.vision_encoder.backbone.layer_norm.weight";
  tensors[1].name = "tracker_model.tracker_model.no_memory_embedding";
  EXPECT_EQ(unwrap_names(tensors, Naming::kHuggingFace).names.at(1),
            "tracker_model.no_memory_embedding");
  tensors[0].name = "detector.backbone.vision_backbone.trunk.pos_embed";
  for (const std::string prefix :
       {"tracker.", "detector.inst_interactive_predictor.model.", "sam2_predictor."}) {
    tensors[1].name = prefix + "no_mem_embed";
    EXPECT_EQ(unwrap_names(tensors, Naming::kMeta).names.at(1), "tracker.no_mem_embed") << prefix;
  }
}

/// Names of SAM 3's list as SAM 3.1 has them: another tracker beside the parts for clicks.
std::vector<StoredTensor> multiplex_list() {
  static const std::map<std::string, std::string> kRenamed = {
      {"tracker.sam_mask_decoder.", "tracker.model.interactive_sam_mask_decoder."},
      {"tracker.sam_prompt_encoder.", "tracker.model.interactive_sam_prompt_encoder."},
      {"tracker.obj_ptr_proj.", "tracker.model.interactive_obj_ptr_proj."},
      {"tracker.mask_downsample.", "tracker.model.interactive_mask_downsample."},
      {"tracker.no_mem_embed", "tracker.model.interactivity_no_mem_embed"},
      {"detector.backbone.vision_backbone.sam2_convs.",
       "detector.backbone.vision_backbone.interactive_convs."}};
  std::vector<StoredTensor> tensors;
  for (StoredTensor tensor : read_tensor_list("meta_tensors.txt")) {
    const auto found = std::ranges::find_if(
        kRenamed, [&](const auto& pair) { return tensor.name.starts_with(pair.first); });
    if (found != kRenamed.end()) {
      tensor.name = found->second + tensor.name.substr(found->first.size());
    } else if (tensor.name.starts_with("tracker.")) {
      tensor.name = "tracker.model." + tensor.name.substr(8);
    }
    tensors.push_back(std::move(tensor));
  }
  tensors.emplace_back().name =
      "detector.backbone.vision_backbone.propagation_convs.0.conv_1x1.weight";
  return tensors;
}

TEST(Tracker, OfSam31TheDetectorAndTheClicksAreUsed) {
  const auto tensors = multiplex_list();
  const Sam3Config config = infer_meta_config(tensors, "sam3.1.pt");
  ASSERT_TRUE(config.tracker);
  EXPECT_EQ(config.tracker->num_maskmem, 0);
  EXPECT_EQ(config.tracker->mask_tokens, 4);
  const TensorPlan plan = plan_tensors(tensors, Naming::kMeta, config, "sam3.1.pt");
  std::set<std::string> used;
  for (const PlannedTensor& tensor : plan.tensors) used.insert(tensor.name);
  EXPECT_TRUE(used.contains("tracker_neck.fpn_layers.2.proj2.weight"));
  EXPECT_TRUE(used.contains("tracker_model.mask_decoder.iou_token.weight"));
  EXPECT_TRUE(used.contains("tracker_model.no_memory_embedding"));
  EXPECT_FALSE(used.contains("tracker_model.memory_encoder.projection.weight"));
  size_t of_tracker = 0;
  const ModelNames model = unwrap_names(tensors, Naming::kMeta);
  for (const size_t index : plan.unused) {
    const auto reason = unused_reason(Naming::kMeta, model.names[index], true);
    of_tracker += static_cast<size_t>(reason.starts_with("SAM 3.1's tracker"));
  }
  EXPECT_GT(of_tracker, 100U);
}

nlohmann::json with(const std::string& pointer, const nlohmann::json& value) {
  nlohmann::json config = {{"model_type", "sam3_video"}};
  config[nlohmann::json::json_pointer(pointer)] = value;
  return config;
}

std::string refusal(const std::string& pointer, const nlohmann::json& value) {
  return error_of(
      [&] { static_cast<void>(parse_config_json(with(pointer, value), "config.json", true)); });
}

TEST(TrackerConfigJson, NumbersComeFromTheFile) {
  const auto tracker = [](const std::string& pointer, const nlohmann::json& value) {
    return *parse_config_json(with(pointer, value), "config.json", true).tracker;
  };
  EXPECT_EQ(tracker("/tracker_config/num_maskmem", 5).num_maskmem, 5);
  EXPECT_EQ(tracker("/tracker_config/mask_decoder_config/num_multimask_outputs", 4).mask_tokens, 5);
  EXPECT_EQ(tracker("/new_det_thresh", 0.25).new_det_thresh, 0.25);
  EXPECT_FALSE(tracker("/recondition_on_trk_masks", false).recondition_on_trk_masks);
  EXPECT_FALSE(parse_config_json(with("/hotstart_delay", 3), "config.json").tracker);
}

/// A detector of 256 channels with a tracker of `width`.
nlohmann::json with_tracker_width(int64_t width) {
  nlohmann::json config = {{"model_type", "sam3_video"}};
  for (const char* field :
       {"vision_config/fpn_hidden_size", "prompt_encoder_config/hidden_size",
        "mask_decoder_config/hidden_size", "memory_attention_hidden_size",
        "memory_encoder_hidden_size", "mask_downsampler_embed_dim", "memory_fuser_embed_dim"}) {
    config[nlohmann::json::json_pointer("/tracker_config/" + std::string(field))] = width;
  }
  return config;
}

TEST(TrackerConfigJson, ItsWidthNeedNotBeTheDetectors) {
  const Sam3Config config = parse_config_json(with_tracker_width(128), "config.json", true);
  EXPECT_EQ(config.width, 256);
  EXPECT_EQ(config.tracker->width, 128);
  std::map<std::string, Shape> shapes;
  for (const NamedTensor& tensor : needed_tensors(config)) shapes[tensor.name] = tensor.shape;
  EXPECT_EQ(shapes.at("tracker_neck.fpn_layers.2.proj1.weight"), (Shape{128, 1024, 1, 1}));
  EXPECT_EQ(shapes.at("vision_encoder.neck.fpn_layers.2.proj1.weight"), (Shape{256, 1024, 1, 1}));
  EXPECT_EQ(shapes.at("tracker_model.no_memory_embedding"), (Shape{1, 1, 128}));
  EXPECT_EQ(shapes.at("tracker_model.mask_decoder.conv_s0.weight"), (Shape{16, 128, 1, 1}));
}

TEST(TrackerConfigJson, AWidthWithoutWholePartsOfTheMemorysIsRefused) {
  EXPECT_THAT(error_of([&] {
                static_cast<void>(parse_config_json(with_tracker_width(96), "config.json", true));
              }),
              AllOf(HasSubstr("tracker_config.vision_config.fpn_hidden_size"),
                    HasSubstr("a multiple of 64"), HasSubstr("96")));
  EXPECT_THAT(refusal("/tracker_config/vision_config/fpn_hidden_size", 128),
              HasSubstr("tracker_config.vision_config.fpn_hidden_size = 128"));
}

TEST(TrackerConfigJson, WhatNoGraphExpressesIsRefusedByItsField) {
  const std::string t = "/tracker_config/";
  EXPECT_THAT(refusal(t + "memory_encoder_output_channels", 32),
              AllOf(HasSubstr("tracker_config.memory_encoder_output_channels"), HasSubstr("64")));
  EXPECT_THAT(refusal(t + "memory_attention_hidden_size", 128),
              HasSubstr("memory_attention_hidden_size: expected"));
  EXPECT_THAT(refusal(t + "image_size", 504),
              HasSubstr("tracker_config.image_size: expected the detector's image_size = 1008"));
  EXPECT_THAT(refusal(t + "mask_decoder_config/attention_downsample_rate", 3),
              HasSubstr("attention_downsample_rate"));
  EXPECT_THAT(refusal(t + "memory_attention_num_attention_heads", 3),
              HasSubstr("memory_attention_num_attention_heads"));
  EXPECT_THAT(refusal(t + "mask_downsampler_total_stride", 8),
              HasSubstr("mask_downsampler_total_stride"));
  EXPECT_THAT(refusal(t + "memory_fuser_padding", 2), HasSubstr("memory_fuser_padding"));
  EXPECT_THAT(refusal(t + "num_maskmem", 0), HasSubstr("num_maskmem"));
  EXPECT_THAT(refusal(t + "rope_parameters/rope_type", "linear"), HasSubstr("rope_type"));
  EXPECT_THAT(refusal(t + "num_maskmem", "seven"), HasSubstr("expected an integer"));
  EXPECT_THAT(refusal("/low_res_mask_size", 256), HasSubstr("low_res_mask_size: expected 288"));
}

}  // namespace
}  // namespace sam3trt
