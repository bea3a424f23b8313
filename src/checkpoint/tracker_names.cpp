#include "checkpoint/names.hpp"

namespace sam3trt {
namespace {

/// Adds tensors under both namings. Left: Hugging Face's Sam3VideoModel (transformers,
/// models/sam3_tracker_video). Right: Meta's tracker (facebookresearch/sam3,
/// model/sam3_tracker_base.py). The pairs are those of transformers' convert_sam3_video_to_hf.py.
class TrackerNames {
 public:
  TrackerNames(const Sam3Config& config, std::vector<NamedTensor>& list)
      : config_(config), sizes_(config.tracker_sizes), list_(list) {}

  void neck() {
    const std::string name = "tracker_neck.fpn_layers.";
    const std::string meta = "backbone.vision_backbone.sam2_convs.";
    const int64_t hidden = config_.vision.hidden;
    transposed(name + "0.scale_layers.0", meta + "0.dconv_2x2_0", {hidden, hidden / 2, 2, 2});
    transposed(name + "0.scale_layers.2", meta + "0.dconv_2x2_1", {hidden / 2, hidden / 4, 2, 2});
    transposed(name + "1.scale_layers.0", meta + "1.dconv_2x2", {hidden, hidden / 2, 2, 2});
    const int64_t inputs[] = {hidden / 4, hidden / 2, hidden};
    for (int64_t level = 0; level < 3; ++level) {
      const std::string number = std::to_string(level);
      pair(name + number + ".proj1", meta + number + ".conv_1x1", {width(), inputs[level], 1, 1});
      pair(name + number + ".proj2", meta + number + ".conv_3x3", {width(), width(), 3, 3});
    }
  }

  void prompt_encoder() {
    const std::string name = "tracker_model.prompt_encoder.";
    const std::string meta = "tracker.sam_prompt_encoder.";
    const std::string gaussian = meta + "pe_layer.positional_encoding_gaussian_matrix";
    bare("tracker_model.shared_image_embedding.positional_embedding", gaussian, {2, width() / 2});
    bare(name + "shared_embedding.positional_embedding", gaussian, {2, width() / 2});
    for (int64_t i = 0; i < sizes_.point_embeddings; ++i) {
      const std::string number = std::to_string(i);
      list_.push_back({name + "point_embed.weight." + number,
                       {1, width()},
                       meta + "point_embeddings." + number + ".weight",
                       {1, width()},
                       0,
                       name + "point_embed.weight",
                       {sizes_.point_embeddings, width()},
                       i * width()});
    }
    bare(name + "not_a_point_embed.weight", meta + "not_a_point_embed.weight", {1, width()});
    bare(name + "no_mask_embed.weight", meta + "no_mask_embed.weight", {1, width()});
    const int64_t channels = sizes_.mask_input_channels;
    pair(name + "mask_embed.conv1", meta + "mask_downscaling.0", {channels / 4, 1, 2, 2});
    pair(name + "mask_embed.layer_norm1", meta + "mask_downscaling.1", {channels / 4});
    pair(name + "mask_embed.conv2", meta + "mask_downscaling.3", {channels, channels / 4, 2, 2});
    pair(name + "mask_embed.layer_norm2", meta + "mask_downscaling.4", {channels});
    pair(name + "mask_embed.conv3", meta + "mask_downscaling.6", {width(), channels, 1, 1});
  }

  void mask_decoder() {
    const std::string name = "tracker_model.mask_decoder.";
    const std::string meta = "tracker.sam_mask_decoder.";
    const int64_t masks = config_.tracker->mask_tokens;
    const int64_t w = width();
    bare(name + "obj_score_token.weight", meta + "obj_score_token.weight", {1, w});
    bare(name + "iou_token.weight", meta + "iou_token.weight", {1, w});
    bare(name + "mask_tokens.weight", meta + "mask_tokens.weight", {masks, w});
    for (int64_t i = 0; i < sizes_.decoder.layers; ++i) {
      const std::string layer = "transformer.layers." + std::to_string(i) + ".";
      two_way_layer(name + layer, meta + layer);
    }
    attention(name + "transformer.final_attn_token_to_image",
              meta + "transformer.final_attn_token_to_image", cross_width(), w);
    pair(name + "transformer.layer_norm_final_attn", meta + "transformer.norm_final_attn", {w});
    transposed(name + "upscale_conv1", meta + "output_upscaling.0", {w, w / 4, 2, 2});
    pair(name + "upscale_layer_norm", meta + "output_upscaling.1", {w / 4});
    transposed(name + "upscale_conv2", meta + "output_upscaling.3", {w / 4, w / 8, 2, 2});
    pair(name + "conv_s0", meta + "conv_s0", {w / 8, w, 1, 1});
    pair(name + "conv_s1", meta + "conv_s1", {w / 4, w, 1, 1});
    for (int64_t i = 0; i < masks; ++i) {
      const std::string number = std::to_string(i);
      mlp(name + "output_hypernetworks_mlps." + number,
          meta + "output_hypernetworks_mlps." + number, w, w / 8, 3);
    }
    mlp(name + "iou_prediction_head", meta + "iou_prediction_head", sizes_.iou_hidden, masks,
        sizes_.iou_depth);
    mlp(name + "pred_obj_score_head", meta + "pred_obj_score_head", w, 1, 3);
  }

  void pointers() {
    bare("tracker_model.no_memory_embedding", "tracker.no_mem_embed", {1, 1, width()});
    mlp("tracker_model.object_pointer_proj", "tracker.obj_ptr_proj", width(), width(), 3);
    pair("tracker_model.mask_downsample", "tracker.mask_downsample", {1, 1, 4, 4});
  }

  void memory_attention() {
    const int64_t memory = config_.tracker->memory_channels;
    const int64_t w = width();
    bare("tracker_model.no_object_pointer", "tracker.no_obj_ptr", {1, w});
    bare("tracker_model.memory_temporal_positional_encoding", "tracker.maskmem_tpos_enc",
         {config_.tracker->num_maskmem, 1, 1, memory});
    if (sizes_.pointer_time_encoding) {
      pair("tracker_model.temporal_positional_encoding_projection_layer",
           "tracker.obj_ptr_tpos_proj", {memory, w});
    }
    const int64_t inner = w / sizes_.attention_downsample;
    for (int64_t i = 0; i < sizes_.attention.layers; ++i) {
      const std::string name = "tracker_model.memory_attention.layers." + std::to_string(i) + ".";
      const std::string meta = "tracker.transformer.encoder.layers." + std::to_string(i) + ".";
      attention(name + "self_attn", meta + "self_attn", inner, w);
      attention(name + "cross_attn_image", meta + "cross_attn_image", inner, memory);
      pair(name + "linear1", meta + "linear1", {sizes_.attention.intermediate, w});
      pair(name + "linear2", meta + "linear2", {w, sizes_.attention.intermediate});
      for (const char* number : {"1", "2", "3"}) {
        pair(name + "layer_norm" + number, meta + "norm" + number, {w});
      }
    }
    pair("tracker_model.memory_attention.layer_norm", "tracker.transformer.encoder.norm", {w});
  }

  void memory_encoder() {
    const std::string name = "tracker_model.memory_encoder.";
    const std::string meta = "tracker.maskmem_backbone.";
    const int64_t memory = config_.tracker->memory_channels;
    int64_t channels = 1;
    for (int64_t i = 0; i < sizes_.mask_layers; ++i) {
      const std::string layer = name + "mask_downsampler.layers." + std::to_string(i);
      const std::string encoder = meta + "mask_downsampler.encoder.";
      const int64_t more = channels * sizes_.mask_stride * sizes_.mask_stride;
      pair(layer + ".conv", encoder + std::to_string(3 * i),
           {more, channels, sizes_.mask_kernel, sizes_.mask_kernel});
      pair(layer + ".layer_norm", encoder + std::to_string(3 * i + 1), {more});
      channels = more;
    }
    pair(name + "mask_downsampler.final_conv",
         meta + "mask_downsampler.encoder." + std::to_string(3 * sizes_.mask_layers),
         {width(), channels, 1, 1});
    pair(name + "feature_projection", meta + "pix_feat_proj", {width(), width(), 1, 1});
    for (int64_t i = 0; i < sizes_.fuser_layers; ++i) {
      const std::string layer = name + "memory_fuser.layers." + std::to_string(i) + ".";
      const std::string other = meta + "fuser.layers." + std::to_string(i) + ".";
      bare(layer + "scale", other + "gamma", {width()});
      pair(layer + "depthwise_conv", other + "dwconv",
           {width(), 1, sizes_.fuser_kernel, sizes_.fuser_kernel});
      pair(layer + "layer_norm", other + "norm", {width()});
      pair(layer + "pointwise_conv1", other + "pwconv1", {sizes_.fuser_intermediate, width()});
      pair(layer + "pointwise_conv2", other + "pwconv2", {width(), sizes_.fuser_intermediate});
    }
    pair(name + "projection", meta + "out_proj", {memory, width(), 1, 1});
    if (sizes_.occlusion_embedding) {
      bare("tracker_model.occlusion_spatial_embedding_parameter", "tracker.no_obj_embed_spatial",
           {1, memory});
    }
  }

 private:
  [[nodiscard]] int64_t width() const { return config_.tracker->width; }
  [[nodiscard]] int64_t cross_width() const { return width() / sizes_.decoder_downsample; }

  void bare(const std::string& name, const std::string& meta, const Shape& shape) {
    list_.push_back({name, shape, meta, shape, 0});
  }

  /// Weight and bias; the bias has the weight's first size.
  void pair(const std::string& name, const std::string& meta, const Shape& shape) {
    bare(name + ".weight", meta + ".weight", shape);
    bare(name + ".bias", meta + ".bias", {shape.at(0)});
  }

  /// Of a transposed convolution: the bias has the weight's second size.
  void transposed(const std::string& name, const std::string& meta, const Shape& shape) {
    bare(name + ".weight", meta + ".weight", shape);
    bare(name + ".bias", meta + ".bias", {shape.at(1)});
  }

  /// Queries of the model's width, keys and values of `source` channels.
  void attention(const std::string& name, const std::string& meta, int64_t inner, int64_t source) {
    pair(name + ".q_proj", meta + ".q_proj", {inner, width()});
    pair(name + ".k_proj", meta + ".k_proj", {inner, source});
    pair(name + ".v_proj", meta + ".v_proj", {inner, source});
    pair(name + ".o_proj", meta + ".out_proj", {width(), inner});
  }

  /// `depth` linear layers from the model's width to `out`.
  void mlp(const std::string& name, const std::string& meta, int64_t hidden, int64_t out,
           int64_t depth) {
    pair(name + ".proj_in", meta + ".layers.0", {hidden, width()});
    for (int64_t i = 0; i < depth - 2; ++i) {
      pair(name + ".layers." + std::to_string(i), meta + ".layers." + std::to_string(i + 1),
           {hidden, hidden});
    }
    pair(name + ".proj_out", meta + ".layers." + std::to_string(depth - 1), {out, hidden});
  }

  void two_way_layer(const std::string& name, const std::string& meta) {
    attention(name + "self_attn", meta + "self_attn", width(), width());
    for (const char* part : {"cross_attn_token_to_image", "cross_attn_image_to_token"}) {
      attention(name + part, meta + part, cross_width(), width());
    }
    const int64_t hidden = sizes_.decoder.intermediate;
    pair(name + "mlp.proj_in", meta + "mlp.lin1", {hidden, width()});
    for (int64_t i = 0; i < sizes_.decoder_mlp_inner; ++i) {
      const std::string layer = "mlp.layers." + std::to_string(i);
      pair(name + layer, meta + layer, {hidden, hidden});
    }
    pair(name + "mlp.proj_out", meta + "mlp.lin2", {width(), hidden});
    for (const char* number : {"1", "2", "3", "4"}) {
      pair(name + "layer_norm" + number, meta + "norm" + number, {width()});
    }
  }

  const Sam3Config& config_;
  const TrackerSizes& sizes_;
  std::vector<NamedTensor>& list_;
};

}  // namespace

void add_tracker_tensors(const Sam3Config& config, std::vector<NamedTensor>& list) {
  TrackerNames names(config, list);
  names.neck();
  names.prompt_encoder();
  names.mask_decoder();
  names.pointers();
  if (config.tracker->num_maskmem == 0) return;
  names.memory_attention();
  names.memory_encoder();
}

}  // namespace sam3trt
