#pragma once

#include <cstdint>

namespace sam3trt {

/// The numbers that following objects needs beside the graphs: those of the tracker and of the
/// video model that steers it. Names of thresholds are those of transformers' Sam3VideoConfig.
struct TrackerConfig {
  int64_t vision_width = 0;         ///< H: channels of the vision transformer.
  int64_t width = 0;                ///< C: of its neck, decoder and memory attention.
  int64_t memory_channels = 0;      ///< X: channels of a remembered frame.
  int64_t num_maskmem = 0;          ///< Rows of the temporal encoding; 0: the model has no memory.
  int64_t max_cond_frames = 0;      ///< Conditioning frames in one memory attention.
  int64_t max_object_pointers = 0;  ///< Frames whose pointers one memory attention sees.
  int64_t mask_tokens = 0;          ///< m: the single mask and those of the multimask output.
  int64_t low_res_mask_size = 0;    ///< Side of the decoder's masks, 4g.
  int64_t mask_prompt_size = 0;     ///< Side of masks to prompt with; 0: that of the image.

  bool multimask_in_sam = true;
  bool multimask_for_tracking = true;
  int64_t multimask_min_points = 0;  ///< Points, box corners counted, with several masks.
  int64_t multimask_max_points = 1;
  bool stability_fallback = true;  ///< An unstable single mask gives way to the best of the others.
  double stability_delta = 0;
  double stability_threshold = 0;
  double sigmoid_scale = 0;  ///< Of masks that are remembered.
  double sigmoid_bias = 0;

  double score_threshold_detection = 0;
  double det_nms_thresh = 0;
  double assoc_iou_thresh = 0;
  double trk_assoc_iou_thresh = 0;
  double new_det_thresh = 0;
  bool recondition_on_trk_masks = true;
  int64_t hotstart_delay = 0;
  int64_t hotstart_unmatch_thresh = 0;
  int64_t hotstart_dup_thresh = 0;
  bool suppress_unmatched_only_within_hotstart = true;
  int64_t init_trk_keep_alive = 0;
  int64_t max_trk_keep_alive = 0;
  int64_t min_trk_keep_alive = 0;
  double suppress_overlapping_based_on_recent_occlusion_threshold = 0;
  bool decrease_trk_keep_alive_for_empty_masklets = false;
  int64_t fill_hole_area = 0;
  int64_t max_num_objects = 0;
  int64_t recondition_every_nth_frame = 0;  ///< 0: never.
  double high_conf_thresh = 0;
  double high_iou_thresh = 0;
};

/// Calls `visit(name, field)` for every field, in one order; the names are those of the key
/// "tracker" in `sam3trt.config` (docs/graphs.md).
template <typename Config, typename Visit>
void for_each_field(Config& config, Visit visit) {
  visit("vision_width", config.vision_width);
  visit("width", config.width);
  visit("memory_channels", config.memory_channels);
  visit("num_maskmem", config.num_maskmem);
  visit("max_cond_frames", config.max_cond_frames);
  visit("max_object_pointers", config.max_object_pointers);
  visit("mask_tokens", config.mask_tokens);
  visit("low_res_mask_size", config.low_res_mask_size);
  visit("mask_prompt_size", config.mask_prompt_size);
  visit("multimask_in_sam", config.multimask_in_sam);
  visit("multimask_for_tracking", config.multimask_for_tracking);
  visit("multimask_min_points", config.multimask_min_points);
  visit("multimask_max_points", config.multimask_max_points);
  visit("stability_fallback", config.stability_fallback);
  visit("stability_delta", config.stability_delta);
  visit("stability_threshold", config.stability_threshold);
  visit("sigmoid_scale", config.sigmoid_scale);
  visit("sigmoid_bias", config.sigmoid_bias);
  visit("score_threshold_detection", config.score_threshold_detection);
  visit("det_nms_thresh", config.det_nms_thresh);
  visit("assoc_iou_thresh", config.assoc_iou_thresh);
  visit("trk_assoc_iou_thresh", config.trk_assoc_iou_thresh);
  visit("new_det_thresh", config.new_det_thresh);
  visit("recondition_on_trk_masks", config.recondition_on_trk_masks);
  visit("hotstart_delay", config.hotstart_delay);
  visit("hotstart_unmatch_thresh", config.hotstart_unmatch_thresh);
  visit("hotstart_dup_thresh", config.hotstart_dup_thresh);
  visit("suppress_unmatched_only_within_hotstart", config.suppress_unmatched_only_within_hotstart);
  visit("init_trk_keep_alive", config.init_trk_keep_alive);
  visit("max_trk_keep_alive", config.max_trk_keep_alive);
  visit("min_trk_keep_alive", config.min_trk_keep_alive);
  visit("suppress_overlapping_based_on_recent_occlusion_threshold",
        config.suppress_overlapping_based_on_recent_occlusion_threshold);
  visit("decrease_trk_keep_alive_for_empty_masklets",
        config.decrease_trk_keep_alive_for_empty_masklets);
  visit("fill_hole_area", config.fill_hole_area);
  visit("max_num_objects", config.max_num_objects);
  visit("recondition_every_nth_frame", config.recondition_every_nth_frame);
  visit("high_conf_thresh", config.high_conf_thresh);
  visit("high_iou_thresh", config.high_iou_thresh);
}

}  // namespace sam3trt
