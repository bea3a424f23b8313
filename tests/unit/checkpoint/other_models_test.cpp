#include "checkpoint/other_models.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model_files.hpp"

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using namespace testing_files;

std::string refusal(const std::vector<std::string>& names, const std::string& dtype = "F32") {
  std::vector<StoredTensor> tensors(names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    tensors[i].name = names[i];
    tensors[i].dtype_name = dtype;
  }
  return error_of([&] { refuse_other_models(tensors, "x.pt"); });
}

TEST(OtherModels, PublishedModelsAreNotRefused) {
  for (const char* list : {"hf_image_tensors.txt", "hf_video_tensors.txt", "meta_tensors.txt"}) {
    const auto tensors = read_tensor_list(list);
    EXPECT_EQ(error_of([&] { refuse_other_models(tensors, list); }), "no error");
    EXPECT_EQ(guess_model(tensors), "") << list;
  }
}

TEST(OtherModels, AdaptersNameTheWayOut) {
  const std::string alone =
      refusal({"base_model.model.detr_decoder.layers.0.self_attn.q_proj.lora_A.weight",
               "base_model.model.detr_decoder.layers.0.self_attn.q_proj.lora_B.weight"});
  EXPECT_THAT(alone, AllOf(HasSubstr("x.pt: is a LoRA or another PEFT adapter"),
                           HasSubstr("2 of 2 tensors"), HasSubstr("merge_and_unload()")));
  EXPECT_THAT(refusal({"vision_encoder.backbone.layers.0.attention.q_proj.base_layer.weight",
                       "vision_encoder.backbone.layers.0.attention.q_proj.base_layer.bias",
                       "vision_encoder.backbone.layers.0.attention.q_proj.lora_A.default.weight"}),
              HasSubstr("layers that are not merged"));
  EXPECT_THAT(refusal({"lora_unet_x.lora_down.weight"}), HasSubstr("LoRA"));
  EXPECT_THAT(refusal({"a.hada_w1_a"}), HasSubstr("adapter"));
}

TEST(OtherModels, QuantisedWeightsAreNamed) {
  for (const char* name :
       {"vision_encoder.backbone.layers.0.mlp.fc1.qweight", "a.fc1.weight.absmax", "a.fc1.SCB",
        "a.fc1.weight_scale", "a.fc1.weight_packed", "a.fc1._packed_params",
        "a.fc1.weight.quant_state.bitsandbytes__nf4"}) {
    EXPECT_THAT(refusal({name}), AllOf(HasSubstr("holds quantised weights"), HasSubstr(name)));
  }
  EXPECT_THAT(refusal({"vision_encoder.backbone.x.weight"}, "F8_E4M3"),
              AllOf(HasSubstr("holds quantised weights"), HasSubstr("F8_E4M3")));
  EXPECT_THAT(refusal({"a.weight"}, "Float8_e4m3fn"), HasSubstr("holds quantised weights"));
}

TEST(OtherModels, RelativesOfSam3AreNamed) {
  EXPECT_THAT(refusal({"tracker.model.interactive_sam_mask_decoder.iou_token.weight"}),
              HasSubstr("seems to be the tracker of SAM 3.1 without the image model"));
  EXPECT_THAT(refusal({"image_encoder.trunk.blocks.0.norm1.weight", "sam_mask_decoder.x"}),
              HasSubstr("seems to be SAM 2;"));
  EXPECT_THAT(refusal({"vision_encoder.backbone.blocks.0.attn.qkv.weight"}),
              HasSubstr("seems to be SAM 2;"));
  EXPECT_THAT(refusal({"image_encoder.blocks.0.norm1.weight", "mask_decoder.iou_token.weight"}),
              HasSubstr("seems to be SAM 1"));
  EXPECT_THAT(refusal({"vision_encoder.backbone.layers.0.layer_norm1.weight",
                       "prompt_encoder.point_embed.weight", "mask_decoder.iou_token.weight"}),
              HasSubstr("Sam3TrackerModel"));
  EXPECT_THAT(refusal({"tracker.sam_mask_decoder.iou_token.weight"}), HasSubstr("tracker"));
}

TEST(OtherModels, AnOptimizersStateIsNamed) {
  EXPECT_THAT(refusal({"state.exp_avg.fc1.weight", "state.exp_avg_sq.fc1.weight", "step"}),
              HasSubstr("holds the state of an optimizer and no model"));
}

TEST(OtherModels, StrangersAreGuessed) {
  const auto guess = [](const std::vector<std::string>& names) {
    std::vector<StoredTensor> tensors(names.size());
    for (size_t i = 0; i < names.size(); ++i) tensors[i].name = names[i];
    return guess_model(tensors);
  };
  EXPECT_EQ(guess({"class_labels_classifier.weight", "bbox_predictor.layers.0.weight"}),
            "; it seems to be DETR");
  EXPECT_EQ(guess({"model.0.conv.weight"}), "; it seems to be a YOLO model");
  EXPECT_EQ(guess({"vision_model.encoder.x", "text_model.encoder.x"}),
            "; it seems to be CLIP or SigLIP");
  EXPECT_EQ(guess({"something"}), "");
}

}  // namespace
}  // namespace sam3trt
