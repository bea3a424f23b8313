#include "checkpoint/config_shapes.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "checkpoint/config_json.hpp"
#include "checkpoint/name_list.hpp"
#include "checkpoint/plan.hpp"
#include "checkpoint/shape_table.hpp"
#include "checkpoint/tracker_shapes.hpp"
#include "checkpoint/wrapped_names.hpp"

namespace sam3trt {
namespace {

constexpr int64_t kHeadDim = 64;        // of Meta's vision and text transformers
constexpr int64_t kPublishedTiles = 3;  // 1008 pixels of the detector over 336 of the pretraining
constexpr int64_t kPublishedGlobalBlocks = 4;  // 7, 15, 23, 31 of 32

const std::string kTrunk = "backbone.vision_backbone.trunk.";
const std::string kText = "backbone.language_backbone.encoder.";
const std::string kDecoder = "transformer.decoder.";

/// The name under which the blocks keep their rotation tables: complex numbers, or, where the model
/// was built for real ones, their two parts of the same shape.
std::string rotation_table(const ShapeTable& shapes) {
  for (const char* name : {"attn.freqs_cis", "attn.freqs_cis_real"}) {
    if (shapes.find(kTrunk + "blocks.0." + name) != nullptr) return name;
  }
  return "";
}

/// Head size, window, grid and global blocks from the rotation tables [rows, head dim / 2] that
/// every block carries: a windowed block has one row per token of a window, a global one per token
/// of the image.
void read_rotations(ShapeTable& shapes, const std::string& table, VisionConfig& vision,
                    int64_t& head_dim, int64_t& grid) {
  std::vector<int64_t> sides;
  for (int64_t block = 0; block < vision.stack.layers; ++block) {
    const std::string name = kTrunk + "blocks." + std::to_string(block) + "." + table;
    const auto side = square_side(shapes.dim(name, 2, 0));
    if (!side) shapes.problems.push_back(name + ": its row count is not a square");
    sides.push_back(side.value_or(1));
    if (block == 0) head_dim = 2 * shapes.dim(name, 2, 1);
  }
  vision.window = *std::ranges::min_element(sides);
  grid = *std::ranges::max_element(sides);
  for (size_t block = 0; block < sides.size(); ++block) {
    // With one size only, a window is the whole image and every block is global.
    if (sides[block] == grid) {
      vision.global_blocks.push_back(static_cast<int64_t>(block));
    } else if (sides[block] != vision.window) {
      shapes.problems.push_back(kTrunk + "blocks." + std::to_string(block) + "." + table +
                                ": a third table size beside window and image");
    }
  }
}

/// Without rotation tables (a file stripped of buffers) shapes say nothing about window, image and
/// global blocks; then the published proportions hold: the window is the pretraining grid, the
/// image three of them, and four blocks, the last of each quarter, are global.
void assume_published(ShapeTable& shapes, VisionConfig& vision, int64_t& head_dim, int64_t& grid) {
  head_dim = kHeadDim;
  vision.window = vision.pretrain_grid;
  grid = kPublishedTiles * vision.pretrain_grid;
  if (vision.stack.layers % kPublishedGlobalBlocks != 0) {
    shapes.problems.push_back(kTrunk + "blocks.0.attn.freqs_cis is missing, and " +
                              std::to_string(vision.stack.layers) +
                              " blocks have no published pattern of global blocks");
    return;
  }
  const int64_t quarter = vision.stack.layers / kPublishedGlobalBlocks;
  for (int64_t i = 1; i <= kPublishedGlobalBlocks; ++i) {
    vision.global_blocks.push_back(i * quarter - 1);
  }
}

VisionConfig infer_vision(ShapeTable& shapes) {
  VisionConfig vision;
  vision.hidden = shapes.dim(kTrunk + "patch_embed.proj.weight", 4, 0);
  vision.patch_size = shapes.dim(kTrunk + "patch_embed.proj.weight", 4, 2);
  vision.stack.layers = shapes.layers(kTrunk + "blocks.");
  vision.stack.intermediate = shapes.dim(kTrunk + "blocks.0.mlp.fc1.weight", 2, 0);
  vision.stack.activation = Activation::kGelu;
  vision.layer_norm_eps = 1e-5;
  // One row per patch of the pretraining image, and the CLS row.
  const auto pretrain = square_side(shapes.dim(kTrunk + "pos_embed", 3, 1) - 1);
  if (!pretrain) {
    shapes.problems.push_back(kTrunk + "pos_embed: its rows without the first are no square");
  }
  vision.pretrain_grid = pretrain.value_or(1);

  int64_t head_dim = kHeadDim;
  int64_t grid = 1;
  const std::string table = rotation_table(shapes);
  if (vision.stack.layers > 0 && !table.empty()) {
    read_rotations(shapes, table, vision, head_dim, grid);
  } else {
    assume_published(shapes, vision, head_dim, grid);
  }
  if (shapes.problems.empty() && vision.hidden % head_dim != 0) {
    shapes.problems.push_back(kTrunk + "patch_embed.proj.weight: width " +
                              std::to_string(vision.hidden) +
                              " is not a multiple of the head size " + std::to_string(head_dim));
  }
  vision.stack.heads = vision.hidden / head_dim;
  vision.image_size = vision.patch_size <= (1 << 15) ? grid * vision.patch_size : 0;
  return vision;
}

TextConfig infer_text(ShapeTable& shapes) {
  TextConfig text;
  text.vocabulary = shapes.dim(kText + "token_embedding.weight", 2, 0);
  text.hidden = shapes.dim(kText + "token_embedding.weight", 2, 1);
  text.context = shapes.dim(kText + "positional_embedding", 2, 0);
  text.stack.layers = shapes.layers(kText + "transformer.resblocks.");
  text.stack.intermediate = shapes.dim(kText + "transformer.resblocks.0.mlp.c_fc.weight", 2, 0);
  text.stack.activation = Activation::kGelu;
  if (shapes.problems.empty() && text.hidden % kHeadDim != 0) {
    shapes.problems.push_back(kText + "token_embedding.weight: width " +
                              std::to_string(text.hidden) +
                              " is not a multiple of the head size 64");
  }
  text.stack.heads = text.hidden / kHeadDim;
  text.bos_token_id = text.vocabulary - 2;
  text.eos_token_id = text.vocabulary - 1;
  text.pad_token_id = 0;
  return text;
}

StackConfig infer_stack(ShapeTable& shapes, const std::string& prefix, int64_t heads) {
  StackConfig stack;
  stack.layers = shapes.layers(prefix);
  stack.heads = heads;
  stack.intermediate = shapes.dim(prefix + "0.linear1.weight", 2, 0);
  stack.activation = Activation::kRelu;
  return stack;
}

}  // namespace

Sam3Config infer_meta_config(std::span<const StoredTensor> tensors, const std::string& where) {
  const ModelNames model = unwrap_names(tensors, Naming::kMeta);
  refuse_without_mask_head(model.names, Naming::kMeta, where);
  ShapeTable shapes(tensors, model);
  Sam3Config config;
  config.semantics = Semantics::kMeta;
  config.vision = infer_vision(shapes);
  config.text = infer_text(shapes);
  config.queries = shapes.dim(kDecoder + "query_embed.weight", 2, 0);
  config.width = shapes.dim(kDecoder + "query_embed.weight", 2, 1);
  // The position bias has one output per head of the decoder; Meta builds every other attention of
  // the detector with the same number.
  const int64_t heads = shapes.dim(kDecoder + "boxRPB_embed_x.layers.1.weight", 2, 0);
  config.geometry = infer_stack(shapes, "geometry_encoder.encode.", heads);
  config.encoder = infer_stack(shapes, "transformer.encoder.layers.", heads);
  config.decoder = infer_stack(shapes, kDecoder + "layers.", heads);
  config.roi_size = shapes.dim("geometry_encoder.boxes_pool_project.weight", 4, 2);
  config.mask_heads = heads;
  config.mask_upsampling_stages = shapes.layers("segmentation_head.pixel_decoder.conv_layers.");
  if (has_tracker(model.names, Naming::kMeta)) {
    infer_tracker(shapes, config, !is_multiplex(model.names));
  }
  std::vector<std::string> problems = shapes.problems;
  if (problems.empty()) problems = config_problems(config);
  if (!problems.empty()) {
    std::string message =
        where + ": the sizes of the model cannot be taken from its tensor shapes:";
    throw_bad_input(message + first_lines(problems));
  }
  return config;
}

}  // namespace sam3trt
