#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/semantics.hpp"
#include "base/tracker_config.hpp"

namespace sam3trt {

enum class Activation { kGelu, kQuickGelu, kRelu };

/// Sizes of one transformer stack.
struct StackConfig {
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t intermediate = 0;  ///< Width of the MLP's hidden layer.
  Activation activation = Activation::kRelu;
};

/// Vision transformer and neck.
struct VisionConfig {
  int64_t image_size = 0;  ///< Pixels; images are square.
  int64_t patch_size = 0;
  int64_t hidden = 0;
  StackConfig stack;
  int64_t window = 0;         ///< Tokens per side of a window; divides grid().
  int64_t pretrain_grid = 0;  ///< Tokens per side of the stored position embedding.
  std::vector<int64_t> global_blocks;
  double rope_theta = 10000.0;
  double layer_norm_eps = 1e-6;

  /// Tokens per side.
  [[nodiscard]] int64_t grid() const { return image_size / patch_size; }
};

/// CLIP-like text tower.
struct TextConfig {
  int64_t vocabulary = 0;
  int64_t hidden = 0;
  StackConfig stack;
  int64_t context = 0;  ///< Tokens, start and end marks included.
  double layer_norm_eps = 1e-5;
  int64_t bos_token_id = 0;
  int64_t eos_token_id = 0;
  int64_t pad_token_id = 0;
};

/// How an image becomes `pixel_values`: (value * rescale_factor - mean) / std per channel.
struct PreprocessConfig {
  double rescale_factor = 1.0 / 255.0;
  std::array<double, 3> mean = {0.5, 0.5, 0.5};
  std::array<double, 3> std = {0.5, 0.5, 0.5};
};

/// Sizes of the graphs for clicks and tracking. Their width is that of the TrackerConfig.
struct TrackerSizes {
  int64_t point_embeddings = 0;  ///< Labels with an embedding: 0 to 3 and unused ones.
  int64_t mask_input_channels = 0;
  Activation prompt_activation = Activation::kGelu;
  double prompt_norm_eps = 1e-6;

  StackConfig decoder;             ///< The two-way transformer.
  int64_t decoder_downsample = 1;  ///< Width of its cross attention: C / this.
  int64_t decoder_mlp_inner = 0;   ///< Layers between the first and the last of its MLP.
  int64_t iou_depth = 0;           ///< Layers of the head that predicts IoU.
  int64_t iou_hidden = 0;

  StackConfig attention;  ///< Memory attention.
  int64_t attention_downsample = 1;
  double rope_theta = 10000.0;
  bool pointer_time_encoding = true;

  int64_t mask_layers = 0;  ///< Convolutions that bring a mask from 16g to g.
  int64_t mask_kernel = 0;
  int64_t mask_stride = 0;
  int64_t mask_padding = 0;
  Activation mask_activation = Activation::kGelu;
  int64_t fuser_layers = 0;
  int64_t fuser_kernel = 0;
  int64_t fuser_intermediate = 0;
  Activation fuser_activation = Activation::kGelu;
  bool occlusion_embedding = true;
};

/// The numbers that the published models have and their checkpoints do not say: those that Meta's
/// code fixes (model_builder.py) and that transformers' configurations have as defaults. Sizes stay
/// 0.
[[nodiscard]] TrackerConfig published_tracker();

/// Every size of a SAM 3 model. Nothing in it has a default from the published weights.
struct Sam3Config {
  Semantics semantics = Semantics::kHf;
  VisionConfig vision;
  TextConfig text;
  PreprocessConfig preprocess;
  int64_t width = 0;  ///< Detector width D, shared by its neck, encoder, decoder and mask head.
  StackConfig geometry;
  int64_t roi_size = 0;
  StackConfig encoder;
  StackConfig decoder;
  int64_t queries = 0;
  int64_t mask_heads = 0;
  int64_t mask_upsampling_stages = 0;
  std::optional<TrackerConfig> tracker;  ///< None: the checkpoint has the detector alone.
  TrackerSizes tracker_sizes;            ///< Where there is a tracker.
};

}  // namespace sam3trt
