#include "checkpoint/tracker_json.hpp"

#include <cmath>
#include <string>

#include "checkpoint/json_values.hpp"

namespace sam3trt {
namespace {

/// A number that must be what another field says.
void require_same(const JsonFields& fields, const char* key, int64_t found, const char* what,
                  int64_t expected) {
  if (found == expected) return;
  fields.refuse(key, "expected " + std::string(what) + " = " + std::to_string(expected) +
                         ", found " + std::to_string(found));
}

void require_width(const JsonFields& fields, const char* key, int64_t width) {
  require_same(fields, key, fields.integer(key, 256),
               "tracker_config.vision_config.fpn_hidden_size", width);
}

/// One image size and patch size for everything: the tracker sees the tokens of the detector's
/// vision transformer. Its neck has a width of its own.
void read_image(const JsonFields& tracker, Sam3Config& config) {
  const JsonFields prompt = tracker.child("prompt_encoder_config");
  const JsonFields vision = tracker.child("vision_config");
  const JsonFields backbone = vision.child("backbone_config");
  const VisionConfig& expected = config.vision;
  const char* size = "the detector's image_size";
  for (const JsonFields& fields : {tracker, prompt, backbone}) {
    require_same(fields, "image_size", fields.side("image_size", expected.image_size), size,
                 expected.image_size);
  }
  for (const JsonFields& fields : {prompt, backbone}) {
    require_same(fields, "patch_size", fields.side("patch_size", expected.patch_size),
                 "the detector's patch_size", expected.patch_size);
  }
  config.tracker->width = vision.integer("fpn_hidden_size", 256);
  require_width(prompt, "hidden_size", config.tracker->width);
}

void read_decoder(const JsonFields& tracker, Sam3Config& config) {
  TrackerSizes& sizes = config.tracker_sizes;
  const JsonFields prompt = tracker.child("prompt_encoder_config");
  sizes.point_embeddings = prompt.integer("num_point_embeddings", 4);
  sizes.mask_input_channels = prompt.integer("mask_input_channels", 16);
  sizes.prompt_activation = json_activation(prompt, "gelu");
  sizes.prompt_norm_eps = prompt.number("layer_norm_eps", 1e-6);

  const JsonFields decoder = tracker.child("mask_decoder_config");
  require_width(decoder, "hidden_size", config.tracker->width);
  sizes.decoder.layers = decoder.integer("num_hidden_layers", 2);
  sizes.decoder.heads = decoder.integer("num_attention_heads", 8);
  sizes.decoder.intermediate = decoder.integer("mlp_dim", 2048);
  sizes.decoder_downsample = decoder.integer("attention_downsample_rate", 2);
  // Sam3TrackerVideoTwoWayAttentionBlock gives its MLP as many layers as there are blocks.
  sizes.decoder_mlp_inner = sizes.decoder.layers > 2 ? sizes.decoder.layers - 2 : 0;
  sizes.iou_depth = decoder.integer("iou_head_depth", 3);
  sizes.iou_hidden = decoder.integer("iou_head_hidden_dim", 256);
  TrackerConfig& numbers = *config.tracker;
  numbers.mask_tokens = decoder.integer("num_multimask_outputs", 3) + 1;
  numbers.stability_fallback = decoder.boolean("dynamic_multimask_via_stability", true);
  numbers.stability_delta = decoder.number("dynamic_multimask_stability_delta", 0.05);
  numbers.stability_threshold = decoder.number("dynamic_multimask_stability_thresh", 0.98);
}

void read_memory(const JsonFields& tracker, Sam3Config& config) {
  TrackerSizes& sizes = config.tracker_sizes;
  require_width(tracker, "memory_attention_hidden_size", config.tracker->width);
  sizes.attention.layers = tracker.integer("memory_attention_num_layers", 4);
  sizes.attention.heads = tracker.integer("memory_attention_num_attention_heads", 1);
  sizes.attention.intermediate = tracker.integer("memory_attention_feed_forward_hidden_size", 2048);
  sizes.attention.activation =
      json_activation(tracker, "relu", "memory_attention_feed_forward_hidden_act");
  sizes.attention_downsample = tracker.integer("memory_attention_downsample_rate", 1);
  sizes.rope_theta = json_rope_theta(tracker);
  sizes.pointer_time_encoding =
      tracker.boolean("enable_temporal_pos_encoding_for_object_pointers", true);

  require_width(tracker, "memory_encoder_hidden_size", config.tracker->width);
  require_width(tracker, "mask_downsampler_embed_dim", config.tracker->width);
  require_width(tracker, "memory_fuser_embed_dim", config.tracker->width);
  sizes.mask_kernel = tracker.integer("mask_downsampler_kernel_size", 3);
  sizes.mask_stride = tracker.integer("mask_downsampler_stride", 2);
  sizes.mask_padding = tracker.integer("mask_downsampler_padding", 1);
  const int64_t total = tracker.integer("mask_downsampler_total_stride", 16);
  if (sizes.mask_stride > 1) {
    for (int64_t left = total; left >= sizes.mask_stride; left /= sizes.mask_stride) {
      ++sizes.mask_layers;
    }
  }
  sizes.mask_activation = json_activation(tracker, "gelu", "mask_downsampler_hidden_act");
  sizes.fuser_layers = tracker.integer("memory_fuser_num_layers", 2);
  sizes.fuser_kernel = tracker.integer("memory_fuser_kernel_size", 7);
  sizes.fuser_intermediate = tracker.integer("memory_fuser_intermediate_dim", 1024);
  sizes.fuser_activation = json_activation(tracker, "gelu", "memory_fuser_hidden_act");
  if (const int64_t padding = tracker.integer("memory_fuser_padding", 3);
      2 * padding != sizes.fuser_kernel - 1) {
    tracker.refuse("memory_fuser_padding",
                   "expected (memory_fuser_kernel_size - 1) / 2, which keeps the size, found " +
                       std::to_string(padding));
  }
  sizes.occlusion_embedding = tracker.boolean("enable_occlusion_spatial_embedding", true);
}

void read_tracking(const JsonFields& tracker, TrackerConfig& numbers) {
  numbers.memory_channels = tracker.integer("memory_encoder_output_channels", 64);
  numbers.num_maskmem = tracker.integer("num_maskmem", 7);
  if (numbers.num_maskmem == 0) tracker.refuse("num_maskmem", "expected at least 1, found 0");
  numbers.max_cond_frames = tracker.integer("max_cond_frame_num", 4);
  numbers.max_object_pointers = tracker.integer("max_object_pointers_in_encoder", 16);
  numbers.multimask_in_sam = tracker.boolean("multimask_output_in_sam", true);
  numbers.multimask_for_tracking = tracker.boolean("multimask_output_for_tracking", true);
  numbers.multimask_min_points = tracker.integer("multimask_min_pt_num", 0);
  numbers.multimask_max_points = tracker.integer("multimask_max_pt_num", 1);
  numbers.sigmoid_scale = tracker.number("sigmoid_scale_for_mem_enc", 20.0);
  numbers.sigmoid_bias = tracker.number("sigmoid_bias_for_mem_enc", -10.0);
}

void read_video(const JsonFields& video, TrackerConfig& numbers) {
  const TrackerConfig fallback = published_tracker();
  numbers.low_res_mask_size = video.integer("low_res_mask_size", numbers.low_res_mask_size);
  numbers.score_threshold_detection =
      video.number("score_threshold_detection", fallback.score_threshold_detection);
  numbers.det_nms_thresh = video.number("det_nms_thresh", fallback.det_nms_thresh);
  numbers.assoc_iou_thresh = video.number("assoc_iou_thresh", fallback.assoc_iou_thresh);
  numbers.trk_assoc_iou_thresh =
      video.number("trk_assoc_iou_thresh", fallback.trk_assoc_iou_thresh);
  numbers.new_det_thresh = video.number("new_det_thresh", fallback.new_det_thresh);
  numbers.recondition_on_trk_masks = video.boolean("recondition_on_trk_masks", true);
  numbers.hotstart_delay = video.integer("hotstart_delay", fallback.hotstart_delay);
  numbers.hotstart_unmatch_thresh =
      video.integer("hotstart_unmatch_thresh", fallback.hotstart_unmatch_thresh);
  numbers.hotstart_dup_thresh = video.integer("hotstart_dup_thresh", fallback.hotstart_dup_thresh);
  numbers.suppress_unmatched_only_within_hotstart = video.boolean(
      "suppress_unmatched_only_within_hotstart", fallback.suppress_unmatched_only_within_hotstart);
  numbers.init_trk_keep_alive = video.integer("init_trk_keep_alive", fallback.init_trk_keep_alive);
  numbers.max_trk_keep_alive = video.integer("max_trk_keep_alive", fallback.max_trk_keep_alive);
  numbers.min_trk_keep_alive = video.integer("min_trk_keep_alive", fallback.min_trk_keep_alive);
  numbers.suppress_overlapping_based_on_recent_occlusion_threshold =
      video.number("suppress_overlapping_based_on_recent_occlusion_threshold",
                   fallback.suppress_overlapping_based_on_recent_occlusion_threshold);
  numbers.decrease_trk_keep_alive_for_empty_masklets =
      video.boolean("decrease_trk_keep_alive_for_empty_masklets",
                    fallback.decrease_trk_keep_alive_for_empty_masklets);
  numbers.fill_hole_area = video.integer("fill_hole_area", fallback.fill_hole_area);
  numbers.max_num_objects = video.integer("max_num_objects", fallback.max_num_objects);
  numbers.recondition_every_nth_frame =
      video.integer("recondition_every_nth_frame", fallback.recondition_every_nth_frame);
  numbers.high_conf_thresh = video.number("high_conf_thresh", fallback.high_conf_thresh);
  numbers.high_iou_thresh = video.number("high_iou_thresh", fallback.high_iou_thresh);
}

}  // namespace

void read_tracker(const JsonFields& video, Sam3Config& config) {
  const JsonFields tracker = video.child("tracker_config");
  require_text(tracker, "model_type", tracker.text("model_type", "sam3_tracker_video"),
               "sam3_tracker_video");
  config.tracker = TrackerConfig{};
  const VisionConfig& vision = config.vision;
  config.tracker->low_res_mask_size = vision.patch_size > 0 ? 4 * vision.grid() : 0;
  config.tracker->vision_width = vision.hidden;
  read_image(tracker, config);
  read_decoder(tracker, config);
  read_memory(tracker, config);
  read_tracking(tracker, *config.tracker);
  read_video(video, *config.tracker);
}

}  // namespace sam3trt
