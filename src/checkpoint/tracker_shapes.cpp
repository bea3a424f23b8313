#include "checkpoint/tracker_shapes.hpp"

#include <string>

namespace sam3trt {
namespace {

// build_tracker of Meta's model_builder.py.
constexpr int64_t kAttentionHeads = 1;

const std::string kDecoder = "tracker.sam_mask_decoder.";
const std::string kPrompt = "tracker.sam_prompt_encoder.";
const std::string kMemory = "tracker.maskmem_backbone.";
const std::string kAttention = "tracker.transformer.encoder.layers.";

/// By how much an attention narrows the width.
int64_t downsample(ShapeTable& shapes, const std::string& attention, int64_t width) {
  const std::string name = attention + "q_proj.weight";
  const int64_t rows = shapes.dim(name, 2, 0);
  if (rows > 0 && width % rows == 0) return width / rows;
  shapes.problems.push_back(name + ": the model's width " + std::to_string(width) +
                            " is not a multiple of its rows");
  return 1;
}

void infer_decoder(ShapeTable& shapes, Sam3Config& config) {
  TrackerSizes& sizes = config.tracker_sizes;
  sizes.point_embeddings = shapes.layers(kPrompt + "point_embeddings.");
  sizes.mask_input_channels = shapes.dim(kPrompt + "mask_downscaling.3.weight", 4, 0);
  sizes.decoder.layers = shapes.layers(kDecoder + "transformer.layers.");
  // Shapes do not tell heads here; in the published model those of both decoders are as wide.
  const int64_t head = config.decoder.heads > 0 ? config.width / config.decoder.heads : 0;
  sizes.decoder.heads = head > 0 ? config.tracker->width / head : config.decoder.heads;
  const std::string first = kDecoder + "transformer.layers.0.";
  sizes.decoder.intermediate = shapes.dim(first + "mlp.lin1.weight", 2, 0);
  sizes.decoder_downsample =
      downsample(shapes, first + "cross_attn_token_to_image.", config.tracker->width);
  sizes.iou_depth = shapes.layers(kDecoder + "iou_prediction_head.layers.");
  sizes.iou_hidden = shapes.dim(kDecoder + "iou_prediction_head.layers.0.weight", 2, 0);
  config.tracker->mask_tokens = shapes.dim(kDecoder + "mask_tokens.weight", 2, 0);
}

void infer_memory(ShapeTable& shapes, Sam3Config& config) {
  TrackerSizes& sizes = config.tracker_sizes;
  config.tracker->num_maskmem = shapes.dim("tracker.maskmem_tpos_enc", 4, 0);
  config.tracker->memory_channels = shapes.dim("tracker.maskmem_tpos_enc", 4, 3);
  sizes.attention.layers = shapes.layers(kAttention);
  sizes.attention.heads = kAttentionHeads;
  sizes.attention.intermediate = shapes.dim(kAttention + "0.linear1.weight", 2, 0);
  sizes.attention_downsample =
      downsample(shapes, kAttention + "0.self_attn.", config.tracker->width);
  sizes.pointer_time_encoding = shapes.find("tracker.obj_ptr_tpos_proj.weight") != nullptr;

  // Convolution, norm and activation per layer, then one convolution.
  const std::string masks = kMemory + "mask_downsampler.encoder.";
  sizes.mask_layers = (shapes.layers(masks) - 1) / 3;
  sizes.mask_kernel = shapes.dim(masks + "0.weight", 4, 2);
  sizes.mask_padding = sizes.mask_kernel / 2;
  // Each layer has stride^2 times the channels of the one before, the first of 1.
  const auto stride = square_side(shapes.dim(masks + "0.weight", 4, 0));
  if (!stride) shapes.problems.push_back(masks + "0.weight: its row count is not a square");
  sizes.mask_stride = stride.value_or(2);
  sizes.fuser_layers = shapes.layers(kMemory + "fuser.layers.");
  sizes.fuser_kernel = shapes.dim(kMemory + "fuser.layers.0.dwconv.weight", 4, 2);
  sizes.fuser_intermediate = shapes.dim(kMemory + "fuser.layers.0.pwconv1.weight", 2, 0);
  sizes.occlusion_embedding = shapes.find("tracker.no_obj_embed_spatial") != nullptr;
}

}  // namespace

TrackerConfig published_tracker() {
  TrackerConfig config;
  config.max_cond_frames = 4;
  config.max_object_pointers = 16;
  config.stability_delta = 0.05;
  config.stability_threshold = 0.98;
  config.sigmoid_scale = 20.0;
  config.sigmoid_bias = -10.0;
  config.score_threshold_detection = 0.5;
  config.det_nms_thresh = 0.1;
  config.assoc_iou_thresh = 0.1;
  config.trk_assoc_iou_thresh = 0.5;
  config.new_det_thresh = 0.7;
  config.hotstart_delay = 15;
  config.hotstart_unmatch_thresh = 8;
  config.hotstart_dup_thresh = 8;
  config.init_trk_keep_alive = 30;
  config.max_trk_keep_alive = 30;
  config.min_trk_keep_alive = -1;
  config.suppress_overlapping_based_on_recent_occlusion_threshold = 0.7;
  config.fill_hole_area = 16;
  config.max_num_objects = 10000;
  config.recondition_every_nth_frame = 16;
  config.high_conf_thresh = 0.8;
  config.high_iou_thresh = 0.8;
  return config;
}

void infer_tracker(ShapeTable& shapes, Sam3Config& config, bool memory) {
  config.tracker = published_tracker();
  config.tracker->recondition_on_trk_masks = false;  // Meta's code knows the detection's masks only
  config.tracker->vision_width = config.vision.hidden;
  config.tracker->low_res_mask_size = 4 * config.vision.grid();
  config.tracker->width = shapes.dim(kDecoder + "mask_tokens.weight", 2, 1);
  infer_decoder(shapes, config);
  if (memory) infer_memory(shapes, config);
}

}  // namespace sam3trt
