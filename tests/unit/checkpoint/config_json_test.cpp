#include "checkpoint/config_json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model_files.hpp"

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using namespace testing_files;
using nlohmann::json;

constexpr const char* kBackbone = "/vision_config/backbone_config";

std::string config_error(const json& config) {
  return error_of([&] { static_cast<void>(parse_config_json(config, "config.json")); });
}

/// The tiny configuration with one field set; `pointer` is a JSON pointer.
json with(const std::string& pointer, const json& value) {
  json config = tiny_config_json();
  config[json::json_pointer(pointer)] = value;
  return config;
}

TEST(ConfigJson, ReadsEveryField) {
  const Sam3Config config = parse_config_json(tiny_config_json(), "config.json");
  EXPECT_EQ(config.semantics, Semantics::kHf);
  EXPECT_EQ(config.vision.hidden, 16);
  EXPECT_EQ(config.vision.stack.layers, 3);
  EXPECT_EQ(config.vision.grid(), 6);
  EXPECT_EQ(config.vision.window, 2);
  EXPECT_EQ(config.vision.pretrain_grid, 3);
  EXPECT_EQ(config.vision.global_blocks, (std::vector<int64_t>{1}));
  EXPECT_EQ(config.vision.layer_norm_eps, 1e-6);
  EXPECT_EQ(config.text.hidden, 64);
  EXPECT_EQ(config.text.context, 5);
  EXPECT_EQ(config.text.eos_token_id, 10);
  EXPECT_EQ(config.text.pad_token_id, 10);
  EXPECT_EQ(config.geometry.intermediate, 14);
  EXPECT_EQ(config.roi_size, 3);
  EXPECT_EQ(config.encoder.layers, 2);
  EXPECT_EQ(config.decoder.intermediate, 22);
  EXPECT_EQ(config.queries, 6);
  EXPECT_EQ(config.mask_heads, 2);
  EXPECT_EQ(config.mask_upsampling_stages, 3);
}

TEST(ConfigJson, MissingPartsTakeTheDefaultsOfSam3Config) {
  const Sam3Config config = parse_config_json({{"model_type", "sam3"}}, "config.json");
  EXPECT_EQ(config.vision.image_size, 1008);
  EXPECT_EQ(config.vision.pretrain_grid, 24);
  EXPECT_EQ(config.vision.global_blocks, (std::vector<int64_t>{7, 15, 23, 31}));
  EXPECT_EQ(config.text.hidden, 1024);
  EXPECT_EQ(config.text.context, 32);
  EXPECT_EQ(config.text.stack.activation, Activation::kGelu);
  EXPECT_EQ(config.decoder.activation, Activation::kRelu);
  EXPECT_EQ(config.queries, 200);
}

TEST(ConfigJson, MissingFieldsOfATextConfigTakeTheDefaultsOfClip) {
  const Sam3Config config =
      parse_config_json({{"model_type", "sam3"}, {"text_config", json::object()}}, "config.json");
  EXPECT_EQ(config.text.hidden, 512);
  EXPECT_EQ(config.text.stack.layers, 12);
  EXPECT_EQ(config.text.context, 77);
  EXPECT_EQ(config.text.stack.activation, Activation::kQuickGelu);
}

TEST(ConfigJson, AVideoModelsDetectorIsRead) {
  const json video{{"model_type", "sam3_video"}, {"detector_config", tiny_config_json()}};
  EXPECT_EQ(parse_config_json(video, "config.json").queries, 6);
}

TEST(ConfigJson, SquareSizesMayBeLists) {
  EXPECT_EQ(parse_config_json(with("/vision_config/backbone_config/image_size", {24, 24}), "c")
                .vision.image_size,
            24);
}

TEST(ConfigJson, RopeThetaIsReadFromBothPlaces) {
  const std::string base = kBackbone;
  EXPECT_EQ(parse_config_json(with(base + "/rope_theta", 500.0), "c").vision.rope_theta, 500.0);
  EXPECT_EQ(
      parse_config_json(
          with(base + "/rope_parameters", {{"rope_theta", 300.0}, {"rope_type", "axial"}}), "c")
          .vision.rope_theta,
      300.0);
}

TEST(ConfigJson, AnUnknownModelTypeIsRefused) {
  EXPECT_THAT(config_error({{"model_type", "sam2"}}),
              HasSubstr("config.json: cannot be used:\n  model_type: expected \"sam3\" or "
                        "\"sam3_video\", found \"sam2\""));
  EXPECT_THAT(config_error(json::array()), HasSubstr("expected an object"));
}

TEST(ConfigJson, WhatCannotBeExpressedIsRefusedByItsField) {
  const std::string base = kBackbone;
  const std::vector<std::tuple<std::string, json, std::string>> cases{
      {base + "/image_size",
       {24, 48},
       "backbone_config.image_size: expected one integer or two eq"},
      {base + "/image_size", 26, "backbone_config.image_size: expected a multiple of patch_size"},
      {base + "/window_size", 4, "image_size / patch_size: expected a multiple of window_size = 4"},
      {base + "/window_size", 0, "window_size: expected 1 to"},
      {base + "/global_attn_indexes", {3}, "global_attn_indexes: expected 0 to 2, found 3"},
      {base + "/global_attn_indexes", {-1}, "global_attn_indexes: expected 0 to 2, found -1"},
      {base + "/global_attn_indexes", {1, 1}, "global_attn_indexes: 1 appears twice"},
      {base + "/num_channels", 4, "num_channels: expected 3, found 4"},
      {base + "/hidden_act", "gelu_new", "hidden_act: \"gelu_new\" is not supported"},
      {base + "/num_attention_heads", 3, "hidden_size: expected a multiple of num_attention_heads"},
      {base + "/num_attention_heads", 8, "a multiple of the rotary embedding's pairs"},
      {base + "/rope_parameters",
       {{"rope_type", "default"}},
       "rope_parameters.rope_type: \"default"},
      {base + "/head_dim", 4, "head_dim: expected hidden_size / num_attention_heads = 8, found 4"},
      {base + "/model_type", "vit", "backbone_config.model_type: \"vit\" is not supported"},
      {base + "/pretrain_image_size", 3, "pretrain_image_size: expected at least one patch"},
      {base + "/layer_norm_eps", 0, "layer_norm_eps: expected a number between 0 and 1"},
      {"/vision_config/scale_factors", {4, 2, 1}, "scale_factors: only [4, 2, 1, 0.5]"},
      {"/vision_config/fpn_hidden_size", 12,
       "detr_encoder_config.hidden_size: expected vision_con"},
      {"/geometry_encoder_config/hidden_size", 16, "geometry_encoder_config.hidden_size: expected"},
      {"/mask_decoder_config/hidden_size", 16, "mask_decoder_config.hidden_size: expected"},
      {"/mask_decoder_config/num_upsampling_stages", 1, "num_upsampling_stages: expected 2 to"},
      {"/detr_decoder_config/use_presence_token", false, "use_presence_token: false is not supp"},
      {"/detr_decoder_config/box_rpb_mode", "linear", "box_rpb_mode: \"linear\" is not supported"},
      {"/detr_decoder_config/num_queries", 0, "num_queries: expected 1 to"},
      {"/detr_encoder_config/hidden_act", "silu", "detr_encoder_config.hidden_act: \"silu\""},
      {"/text_config/model_type", "t5", "text_config.model_type: \"t5\" is not supported"},
      {"/text_config/eos_token_id", 11, "eos_token_id: expected 0 to 10, found 11"},
      {"/text_config/eos_token_id", {1, 2}, "eos_token_id: expected an integer, found [1,2]"},
      {"/text_config/max_position_embeddings", 2, "max_position_embeddings: expected 3 to"},
      {"/text_config", 3, "text_config: expected an object, found 3"},
  };
  for (const auto& [pointer, value, expected] : cases) {
    EXPECT_THAT(config_error(with(pointer, value)), HasSubstr(expected)) << pointer << " " << value;
  }
}

TEST(ConfigJson, HostileNumbersAreRefused) {
  const std::string base = kBackbone;
  for (const std::string& pointer :
       {base + "/hidden_size", base + "/intermediate_size", base + "/num_hidden_layers",
        base + "/num_attention_heads", base + "/image_size", base + "/patch_size",
        base + "/window_size", base + "/pretrain_image_size",
        std::string("/text_config/vocab_size"), std::string("/text_config/hidden_size"),
        std::string("/text_config/num_hidden_layers"),
        std::string("/vision_config/fpn_hidden_size"),
        std::string("/geometry_encoder_config/roi_size"),
        std::string("/detr_encoder_config/num_layers"),
        std::string("/detr_decoder_config/num_queries")}) {
    for (const json& value : {json(INT64_MAX), json(INT64_MIN), json(UINT64_MAX), json(-1), json(0),
                              json("x"), json(1.5), json(1e300), json(json::array())}) {
      EXPECT_THAT(config_error(with(pointer, value)), HasSubstr("cannot be used"))
          << pointer << " " << value;
    }
  }
}

TEST(ConfigJson, AllProblemsAreListed) {
  json config = with("/text_config/hidden_act", "swish");
  config["vision_config"]["scale_factors"] = {1};
  config["detr_decoder_config"]["num_queries"] = "many";
  EXPECT_THAT(config_error(config),
              AllOf(HasSubstr("text_config.hidden_act"), HasSubstr("vision_config.scale_factors"),
                    HasSubstr("detr_decoder_config.num_queries: expected an integer")));
}

TEST(ConfigJson, LayerScaleIsIgnoredAsTransformersIgnoresIt) {
  EXPECT_EQ(config_error(with(std::string(kBackbone) + "/layer_scale_init_value", 0.1)),
            "no error");
}

TEST(PreprocessJson, ReadsBothFileForms) {
  const json processor{
      {"image_mean", {0.1, 0.2, 0.3}}, {"image_std", {0.4, 0.5, 0.6}}, {"rescale_factor", 0.5}};
  for (const json& form : {processor, json{{"image_processor", processor}}}) {
    const PreprocessConfig config = parse_preprocess_json(form, "p.json");
    EXPECT_EQ(config.mean, (std::array<double, 3>{0.1, 0.2, 0.3}));
    EXPECT_EQ(config.std, (std::array<double, 3>{0.4, 0.5, 0.6}));
    EXPECT_EQ(config.rescale_factor, 0.5);
  }
}

TEST(PreprocessJson, SwitchedOffStepsAreNeutral) {
  const PreprocessConfig config =
      parse_preprocess_json({{"do_rescale", false}, {"do_normalize", false}}, "p.json");
  EXPECT_EQ(config.rescale_factor, 1.0);
  EXPECT_EQ(config.mean, (std::array<double, 3>{0, 0, 0}));
  EXPECT_EQ(config.std, (std::array<double, 3>{1, 1, 1}));
}

TEST(PreprocessJson, WrongValuesAreRefused) {
  const auto error = [](const json& value) {
    return error_of([&] { static_cast<void>(parse_preprocess_json(value, "p.json")); });
  };
  EXPECT_THAT(error({{"image_mean", {0.5}}}), HasSubstr("image_mean: expected 3 numbers, found 1"));
  EXPECT_THAT(error({{"image_std", {0.5, 0.0, 0.5}}}), HasSubstr("image_std: expected positive"));
  EXPECT_THAT(error({{"rescale_factor", 0}}), HasSubstr("rescale_factor: expected a positive"));
  EXPECT_THAT(error({{"image_mean", "half"}}), HasSubstr("image_mean: expected a list of numbers"));
}

TEST(PreprocessJson, WhatTheReferenceWritesIsAccepted) {
  const json config{{"crop_size", nullptr},
                    {"data_format", "channels_first"},
                    {"default_to_square", true},
                    {"device", nullptr},
                    {"disable_grouping", nullptr},
                    {"do_center_crop", nullptr},
                    {"do_convert_rgb", true},
                    {"do_normalize", true},
                    {"do_pad", nullptr},
                    {"do_rescale", true},
                    {"do_resize", true},
                    {"image_mean", {0.5, 0.5, 0.5}},
                    {"image_processor_type", "Sam3ImageProcessorFast"},
                    {"image_std", {0.5, 0.5, 0.5}},
                    {"input_data_format", nullptr},
                    {"mask_size", {{"height", 288}, {"width", 288}}},
                    {"pad_size", nullptr},
                    {"processor_class", "Sam3Processor"},
                    {"resample", 2},
                    {"rescale_factor", 0.00392156862745098},
                    {"return_tensors", nullptr},
                    {"size", {{"height", 1008}, {"width", 1008}}}};
  EXPECT_EQ(parse_preprocess_json(config, "p.json", 1008).mean[0], 0.5);
  EXPECT_EQ(parse_preprocess_json({{"image_mean", 0.25}, {"resample", "BILINEAR"}, {"size", 24}},
                                  "p.json", 24)
                .mean,
            (std::array<double, 3>{0.25, 0.25, 0.25}));
}

TEST(PreprocessJson, EveryStepThatIsNotReproducedIsRefusedByName) {
  const auto error = [](const json& value) {
    return error_of([&] { static_cast<void>(parse_preprocess_json(value, "p.json", 1008)); });
  };
  EXPECT_THAT(error({{"resample", 3}}),
              HasSubstr("resample: 3 (bicubic) is not supported; expected 2 (bilinear)"));
  EXPECT_THAT(error({{"resample", 0}}), HasSubstr("resample: 0 (nearest)"));
  EXPECT_THAT(error({{"resample", 9}}), HasSubstr("resample: 9 is not supported"));
  EXPECT_THAT(error({{"resample", "lanczos"}}), HasSubstr("resample: \"lanczos\""));
  EXPECT_THAT(error({{"resample", 2.5}}), HasSubstr("resample: expected an integer"));
  EXPECT_THAT(error({{"size", {{"height", 512}, {"width", 1008}}}}),
              HasSubstr("size.height: expected the model's image_size = 1008, found 512"));
  EXPECT_THAT(error({{"size", 1024}}), HasSubstr("size: expected the model's image_size"));
  EXPECT_THAT(error({{"size", {{"shortest_edge", 1008}}}}),
              HasSubstr("size.shortest_edge: is not supported"));
  EXPECT_THAT(error({{"do_resize", false}}), HasSubstr("do_resize: false is not supported"));
  EXPECT_THAT(error({{"do_convert_rgb", false}}), HasSubstr("do_convert_rgb: false"));
  EXPECT_THAT(error({{"do_center_crop", true}}),
              HasSubstr("do_center_crop: true is not supported"));
  EXPECT_THAT(error({{"do_pad", true}}), HasSubstr("do_pad: true is not supported"));
  EXPECT_THAT(error({{"do_flip_channel_order", true}}), HasSubstr("do_flip_channel_order: true"));
  EXPECT_THAT(error({{"image_processor_type", "SamImageProcessor"}}),
              HasSubstr("image_processor_type: \"SamImageProcessor\" is not supported"));
  EXPECT_THAT(error({{"data_format", "channels_last"}}), HasSubstr("data_format"));
  const std::string both = error({{"resample", 3}, {"do_resize", false}});
  EXPECT_THAT(both, HasSubstr("resample"));
  EXPECT_THAT(both, HasSubstr("do_resize"));
}

}  // namespace
}  // namespace sam3trt
