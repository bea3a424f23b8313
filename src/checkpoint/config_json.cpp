#include "checkpoint/config_json.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "checkpoint/json_fields.hpp"
#include "checkpoint/json_values.hpp"
#include "checkpoint/stored_tensor.hpp"
#include "checkpoint/tracker_json.hpp"

namespace sam3trt {
namespace {

VisionConfig read_vision(const JsonFields& fields) {
  require_text(fields, "model_type", fields.text("model_type", "sam3_vit_model"), "sam3_vit_model");
  VisionConfig vision;
  vision.image_size = fields.side("image_size", 1008);
  vision.patch_size = fields.side("patch_size", 14);
  vision.hidden = fields.integer("hidden_size", 1024);
  vision.stack.layers = fields.integer("num_hidden_layers", 32);
  vision.stack.heads = fields.integer("num_attention_heads", 16);
  vision.stack.intermediate = fields.integer("intermediate_size", 4736);
  vision.stack.activation = json_activation(fields, "gelu");
  vision.window = fields.integer("window_size", 24);
  vision.global_blocks = fields.integers("global_attn_indexes", {7, 15, 23, 31});
  vision.rope_theta = json_rope_theta(fields);
  vision.layer_norm_eps = fields.number("layer_norm_eps", 1e-6);

  if (const int64_t channels = fields.integer("num_channels", 3); channels != 3) {
    fields.refuse("num_channels", "expected 3, found " + std::to_string(channels));
  }
  const int64_t pretrain = fields.side("pretrain_image_size", 336);
  if (vision.patch_size < 1 || pretrain < vision.patch_size) {
    fields.refuse("pretrain_image_size", "expected at least one patch, found " +
                                             std::to_string(pretrain) + " with patch_size " +
                                             std::to_string(vision.patch_size));
  } else {
    // As the embedding's own patch count: a remainder is cut off.
    vision.pretrain_grid = pretrain / vision.patch_size;
  }
  if (vision.stack.heads > 0 && fields.has("head_dim")) {
    const int64_t dim = fields.integer("head_dim", 0);
    if (dim != vision.hidden / vision.stack.heads) {
      fields.refuse("head_dim", "expected hidden_size / num_attention_heads = " +
                                    std::to_string(vision.hidden / vision.stack.heads) +
                                    ", found " + std::to_string(dim));
    }
  }
  return vision;
}

TextConfig read_text(const JsonFields& fields) {
  require_text(fields, "model_type", fields.text("model_type", "clip_text_model"),
               "clip_text_model");
  // Sam3Config builds a missing text_config with the full-size values; a text_config that is there
  // but leaves fields out takes CLIPTextConfig's own defaults.
  const bool present = fields.present();
  TextConfig text;
  text.vocabulary = fields.integer("vocab_size", 49408);
  text.hidden = fields.integer("hidden_size", present ? 512 : 1024);
  text.stack.layers = fields.integer("num_hidden_layers", present ? 12 : 24);
  text.stack.heads = fields.integer("num_attention_heads", present ? 8 : 16);
  text.stack.intermediate = fields.integer("intermediate_size", present ? 2048 : 4096);
  text.stack.activation = json_activation(fields, present ? "quick_gelu" : "gelu");
  text.context = fields.integer("max_position_embeddings", present ? 77 : 32);
  text.layer_norm_eps = fields.number("layer_norm_eps", 1e-5);
  text.bos_token_id = fields.integer("bos_token_id", 49406);
  text.eos_token_id = fields.integer("eos_token_id", 49407);
  text.pad_token_id = text.eos_token_id;
  return text;
}

StackConfig read_detector_stack(const JsonFields& fields, int64_t layers) {
  StackConfig stack;
  stack.layers = fields.has("num_layers") ? fields.integer("num_layers", layers)
                                          : fields.integer("num_hidden_layers", layers);
  stack.heads = fields.integer("num_attention_heads", 8);
  stack.intermediate = fields.integer("intermediate_size", 2048);
  stack.activation = json_activation(fields, "relu");
  return stack;
}

void require_width(const JsonFields& fields, const char* key, int64_t width) {
  const int64_t found = fields.integer(key, 256);
  if (found == width) return;
  fields.refuse(key, "expected vision_config.fpn_hidden_size = " + std::to_string(width) +
                         " (all detector widths must be equal), found " + std::to_string(found));
}

void read_detector(const JsonFields& fields, Sam3Config& config) {
  const JsonFields geometry = fields.child("geometry_encoder_config");
  require_width(geometry, "hidden_size", config.width);
  config.geometry = read_detector_stack(geometry, 3);
  config.roi_size = geometry.integer("roi_size", 7);

  const JsonFields encoder = fields.child("detr_encoder_config");
  require_width(encoder, "hidden_size", config.width);
  config.encoder = read_detector_stack(encoder, 6);

  const JsonFields decoder = fields.child("detr_decoder_config");
  require_width(decoder, "hidden_size", config.width);
  config.decoder = read_detector_stack(decoder, 6);
  config.queries = decoder.integer("num_queries", 200);
  // Fields of transformers 5.0's first configurations; later ones know only these values.
  if (!decoder.boolean("use_presence_token", true)) {
    decoder.refuse("use_presence_token", "false is not supported; expected true");
  }
  require_text(decoder, "box_rpb_mode", decoder.text("box_rpb_mode", "log"), "log");

  const JsonFields masks = fields.child("mask_decoder_config");
  require_width(masks, "hidden_size", config.width);
  config.mask_heads = masks.integer("num_attention_heads", 8);
  config.mask_upsampling_stages = masks.integer("num_upsampling_stages", 3);
}

void read_model(const JsonFields& fields, Sam3Config& config) {
  const JsonFields vision = fields.child("vision_config");
  config.vision = read_vision(vision.child("backbone_config"));
  config.width = vision.integer("fpn_hidden_size", 256);
  // Sam3Model drops the last level whatever its scale, so with any other list the detector would
  // see another set of levels.
  const std::vector<double> scales{4.0, 2.0, 1.0, 0.5};
  if (vision.numbers("scale_factors", scales) != scales) {
    vision.refuse("scale_factors", "only [4, 2, 1, 0.5] is supported");
  }
  config.text = read_text(fields.child("text_config"));
  read_detector(fields, config);
}

}  // namespace

Sam3Config parse_config_json(const nlohmann::json& json, const std::string& where, bool tracker) {
  std::vector<std::string> problems;
  Sam3Config config;
  config.semantics = Semantics::kHf;
  const JsonFields top(&json, "", problems);
  const std::string type = top.text("model_type", "");
  if (type == "sam3") {
    read_model(top, config);
  } else if (type == "sam3_video") {
    read_model(top.child("detector_config"), config);
    if (tracker) read_tracker(top, config);
  } else {
    top.refuse("model_type",
               "expected \"sam3\" or \"sam3_video\", found \"" + printable(type) + "\"");
    refuse_fields(where, problems);
  }
  if (problems.empty()) problems = config_problems(config);
  if (!problems.empty()) refuse_fields(where, problems);
  return config;
}

}  // namespace sam3trt
