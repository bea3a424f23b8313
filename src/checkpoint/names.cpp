#include "checkpoint/names.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.hpp"

namespace sam3trt {
namespace {

/// A size of the model, so that the tables below are data.
enum class Dim {
  k1,
  k2,
  k3,
  k4,
  kPatch,   // pixels per patch side
  kGrid,    // tokens of the stored position embedding
  kVision,  // width of the vision transformer
  kVisionHalf,
  kVisionQuarter,
  kVisionMlp,
  kVocabulary,
  kContext,
  kText,
  kTextMlp,
  kD,  // detector width
  kTwiceD,
  kDPlus2,
  kRoi,
  kGeometryMlp,
  kEncoderMlp,
  kDecoderMlp,
  kQueries,
  kDecoderHeads,
};

/// Which stack a row repeats over; its "#" is the layer's number.
enum class Repeat { kOnce, kVision, kText, kGeometry, kEncoder, kDecoder, kMaskStages };

/// How a row expands into tensors.
enum class Kind {
  kBare,          // the name itself
  kWeight,        // .weight [dims]
  kWeightBias,    // .weight [dims], .bias [dims[0]]
  kTransposed,    // .weight [dims], .bias [dims[1]]: a transposed convolution
  kPackedVision,  // q_proj, k_proj, v_proj [C,C] + bias; Meta: rows of one .qkv
  kPacked,        // the same; Meta: rows of in_proj_weight and in_proj_bias
  kPosition,      // the name itself [1,n,C]; Meta: [1,n+1,C] with a CLS row first
};

struct Row {
  Repeat repeat;
  Kind kind;
  const char* name;
  const char* meta;
  std::array<Dim, 4> dims;
  size_t rank;
};

template <typename... Dims>
constexpr Row row(Repeat repeat, Kind kind, const char* name, const char* meta, Dims... dims) {
  return {repeat, kind, name, meta, {dims...}, sizeof...(dims)};
}

using enum Dim;
using enum Kind;

// Left: Hugging Face's Sam3Model (transformers, models/sam3/modeling_sam3.py). Right: Meta's
// Sam3Image (facebookresearch/sam3, model_builder.py). The pairs are those of transformers'
// convert_sam3_to_hf.py. Attention rows name the module; kPacked adds the projections.
// clang-format off
constexpr auto kRows = std::to_array<Row>({
    // Vision transformer.
    row(Repeat::kOnce, kPosition, "vision_encoder.backbone.embeddings.position_embeddings",
        "backbone.vision_backbone.trunk.pos_embed", k1, kGrid, kVision),
    row(Repeat::kOnce, kWeight, "vision_encoder.backbone.embeddings.patch_embeddings.projection",
        "backbone.vision_backbone.trunk.patch_embed.proj", kVision, k3, kPatch, kPatch),
    row(Repeat::kOnce, kWeightBias, "vision_encoder.backbone.layer_norm",
        "backbone.vision_backbone.trunk.ln_pre", kVision),
    row(Repeat::kVision, kWeightBias, "vision_encoder.backbone.layers.#.layer_norm1",
        "backbone.vision_backbone.trunk.blocks.#.norm1", kVision),
    row(Repeat::kVision, kPackedVision, "vision_encoder.backbone.layers.#.attention",
        "backbone.vision_backbone.trunk.blocks.#.attn", kVision),
    row(Repeat::kVision, kWeightBias, "vision_encoder.backbone.layers.#.attention.o_proj",
        "backbone.vision_backbone.trunk.blocks.#.attn.proj", kVision, kVision),
    row(Repeat::kVision, kWeightBias, "vision_encoder.backbone.layers.#.layer_norm2",
        "backbone.vision_backbone.trunk.blocks.#.norm2", kVision),
    row(Repeat::kVision, kWeightBias, "vision_encoder.backbone.layers.#.mlp.fc1",
        "backbone.vision_backbone.trunk.blocks.#.mlp.fc1", kVisionMlp, kVision),
    row(Repeat::kVision, kWeightBias, "vision_encoder.backbone.layers.#.mlp.fc2",
        "backbone.vision_backbone.trunk.blocks.#.mlp.fc2", kVision, kVisionMlp),

    // Neck: three levels, the fourth is unused.
    row(Repeat::kOnce, kTransposed, "vision_encoder.neck.fpn_layers.0.scale_layers.0",
        "backbone.vision_backbone.convs.0.dconv_2x2_0", kVision, kVisionHalf, k2, k2),
    row(Repeat::kOnce, kTransposed, "vision_encoder.neck.fpn_layers.0.scale_layers.2",
        "backbone.vision_backbone.convs.0.dconv_2x2_1", kVisionHalf, kVisionQuarter, k2, k2),
    row(Repeat::kOnce, kWeightBias, "vision_encoder.neck.fpn_layers.0.proj1",
        "backbone.vision_backbone.convs.0.conv_1x1", kD, kVisionQuarter, k1, k1),
    row(Repeat::kOnce, kWeightBias, "vision_encoder.neck.fpn_layers.0.proj2",
        "backbone.vision_backbone.convs.0.conv_3x3", kD, kD, k3, k3),
    row(Repeat::kOnce, kTransposed, "vision_encoder.neck.fpn_layers.1.scale_layers.0",
        "backbone.vision_backbone.convs.1.dconv_2x2", kVision, kVisionHalf, k2, k2),
    row(Repeat::kOnce, kWeightBias, "vision_encoder.neck.fpn_layers.1.proj1",
        "backbone.vision_backbone.convs.1.conv_1x1", kD, kVisionHalf, k1, k1),
    row(Repeat::kOnce, kWeightBias, "vision_encoder.neck.fpn_layers.1.proj2",
        "backbone.vision_backbone.convs.1.conv_3x3", kD, kD, k3, k3),
    row(Repeat::kOnce, kWeightBias, "vision_encoder.neck.fpn_layers.2.proj1",
        "backbone.vision_backbone.convs.2.conv_1x1", kD, kVision, k1, k1),
    row(Repeat::kOnce, kWeightBias, "vision_encoder.neck.fpn_layers.2.proj2",
        "backbone.vision_backbone.convs.2.conv_3x3", kD, kD, k3, k3),

    // Text tower.
    row(Repeat::kOnce, kWeight, "text_encoder.text_model.embeddings.token_embedding",
        "backbone.language_backbone.encoder.token_embedding", kVocabulary, kText),
    row(Repeat::kOnce, kBare, "text_encoder.text_model.embeddings.position_embedding.weight",
        "backbone.language_backbone.encoder.positional_embedding", kContext, kText),
    row(Repeat::kText, kPacked, "text_encoder.text_model.encoder.layers.#.self_attn",
        "backbone.language_backbone.encoder.transformer.resblocks.#.attn", kText),
    row(Repeat::kText, kWeightBias, "text_encoder.text_model.encoder.layers.#.self_attn.out_proj",
        "backbone.language_backbone.encoder.transformer.resblocks.#.attn.out_proj", kText, kText),
    row(Repeat::kText, kWeightBias, "text_encoder.text_model.encoder.layers.#.layer_norm1",
        "backbone.language_backbone.encoder.transformer.resblocks.#.ln_1", kText),
    row(Repeat::kText, kWeightBias, "text_encoder.text_model.encoder.layers.#.mlp.fc1",
        "backbone.language_backbone.encoder.transformer.resblocks.#.mlp.c_fc", kTextMlp, kText),
    row(Repeat::kText, kWeightBias, "text_encoder.text_model.encoder.layers.#.mlp.fc2",
        "backbone.language_backbone.encoder.transformer.resblocks.#.mlp.c_proj", kText, kTextMlp),
    row(Repeat::kText, kWeightBias, "text_encoder.text_model.encoder.layers.#.layer_norm2",
        "backbone.language_backbone.encoder.transformer.resblocks.#.ln_2", kText),
    row(Repeat::kOnce, kWeightBias, "text_encoder.text_model.final_layer_norm",
        "backbone.language_backbone.encoder.ln_final", kText),
    row(Repeat::kOnce, kWeightBias, "text_projection", "backbone.language_backbone.resizer", kD,
        kText),

    // Geometry encoder.
    row(Repeat::kOnce, kWeight, "geometry_encoder.label_embed", "geometry_encoder.label_embed", k2,
        kD),
    row(Repeat::kOnce, kWeight, "geometry_encoder.cls_embed", "geometry_encoder.cls_embed", k1, kD),
    row(Repeat::kOnce, kWeightBias, "geometry_encoder.boxes_direct_project",
        "geometry_encoder.boxes_direct_project", kD, k4),
    row(Repeat::kOnce, kWeightBias, "geometry_encoder.boxes_pool_project",
        "geometry_encoder.boxes_pool_project", kD, kD, kRoi, kRoi),
    row(Repeat::kOnce, kWeightBias, "geometry_encoder.boxes_pos_enc_project",
        "geometry_encoder.boxes_pos_enc_project", kD, kDPlus2),
    row(Repeat::kOnce, kWeightBias, "geometry_encoder.vision_layer_norm",
        "geometry_encoder.img_pre_norm", kD),
    row(Repeat::kOnce, kWeightBias, "geometry_encoder.final_proj", "geometry_encoder.final_proj",
        kD, kD),
    row(Repeat::kOnce, kWeightBias, "geometry_encoder.prompt_layer_norm", "geometry_encoder.norm",
        kD),
    row(Repeat::kGeometry, kWeightBias, "geometry_encoder.layers.#.layer_norm1",
        "geometry_encoder.encode.#.norm1", kD),
    row(Repeat::kGeometry, kPacked, "geometry_encoder.layers.#.self_attn",
        "geometry_encoder.encode.#.self_attn", kD),
    row(Repeat::kGeometry, kWeightBias, "geometry_encoder.layers.#.self_attn.o_proj",
        "geometry_encoder.encode.#.self_attn.out_proj", kD, kD),
    row(Repeat::kGeometry, kPacked, "geometry_encoder.layers.#.cross_attn",
        "geometry_encoder.encode.#.cross_attn_image", kD),
    row(Repeat::kGeometry, kWeightBias, "geometry_encoder.layers.#.cross_attn.o_proj",
        "geometry_encoder.encode.#.cross_attn_image.out_proj", kD, kD),
    row(Repeat::kGeometry, kWeightBias, "geometry_encoder.layers.#.layer_norm2",
        "geometry_encoder.encode.#.norm2", kD),
    row(Repeat::kGeometry, kWeightBias, "geometry_encoder.layers.#.mlp.fc1",
        "geometry_encoder.encode.#.linear1", kGeometryMlp, kD),
    row(Repeat::kGeometry, kWeightBias, "geometry_encoder.layers.#.mlp.fc2",
        "geometry_encoder.encode.#.linear2", kD, kGeometryMlp),
    row(Repeat::kGeometry, kWeightBias, "geometry_encoder.layers.#.layer_norm3",
        "geometry_encoder.encode.#.norm3", kD),
    row(Repeat::kOnce, kWeightBias, "geometry_encoder.output_layer_norm",
        "geometry_encoder.encode_norm", kD),

    // Fusion encoder. Its cross attention is called "image" by Meta though it reads the prompt.
    row(Repeat::kEncoder, kWeightBias, "detr_encoder.layers.#.layer_norm1",
        "transformer.encoder.layers.#.norm1", kD),
    row(Repeat::kEncoder, kPacked, "detr_encoder.layers.#.self_attn",
        "transformer.encoder.layers.#.self_attn", kD),
    row(Repeat::kEncoder, kWeightBias, "detr_encoder.layers.#.self_attn.o_proj",
        "transformer.encoder.layers.#.self_attn.out_proj", kD, kD),
    row(Repeat::kEncoder, kPacked, "detr_encoder.layers.#.cross_attn",
        "transformer.encoder.layers.#.cross_attn_image", kD),
    row(Repeat::kEncoder, kWeightBias, "detr_encoder.layers.#.cross_attn.o_proj",
        "transformer.encoder.layers.#.cross_attn_image.out_proj", kD, kD),
    row(Repeat::kEncoder, kWeightBias, "detr_encoder.layers.#.layer_norm2",
        "transformer.encoder.layers.#.norm2", kD),
    row(Repeat::kEncoder, kWeightBias, "detr_encoder.layers.#.mlp.fc1",
        "transformer.encoder.layers.#.linear1", kEncoderMlp, kD),
    row(Repeat::kEncoder, kWeightBias, "detr_encoder.layers.#.mlp.fc2",
        "transformer.encoder.layers.#.linear2", kD, kEncoderMlp),
    row(Repeat::kEncoder, kWeightBias, "detr_encoder.layers.#.layer_norm3",
        "transformer.encoder.layers.#.norm3", kD),

    // Decoder.
    row(Repeat::kDecoder, kPacked, "detr_decoder.layers.#.self_attn",
        "transformer.decoder.layers.#.self_attn", kD),
    row(Repeat::kDecoder, kWeightBias, "detr_decoder.layers.#.self_attn.o_proj",
        "transformer.decoder.layers.#.self_attn.out_proj", kD, kD),
    row(Repeat::kDecoder, kWeightBias, "detr_decoder.layers.#.self_attn_layer_norm",
        "transformer.decoder.layers.#.norm2", kD),
    row(Repeat::kDecoder, kPacked, "detr_decoder.layers.#.text_cross_attn",
        "transformer.decoder.layers.#.ca_text", kD),
    row(Repeat::kDecoder, kWeightBias, "detr_decoder.layers.#.text_cross_attn.o_proj",
        "transformer.decoder.layers.#.ca_text.out_proj", kD, kD),
    row(Repeat::kDecoder, kWeightBias, "detr_decoder.layers.#.text_cross_attn_layer_norm",
        "transformer.decoder.layers.#.catext_norm", kD),
    row(Repeat::kDecoder, kPacked, "detr_decoder.layers.#.vision_cross_attn",
        "transformer.decoder.layers.#.cross_attn", kD),
    row(Repeat::kDecoder, kWeightBias, "detr_decoder.layers.#.vision_cross_attn.o_proj",
        "transformer.decoder.layers.#.cross_attn.out_proj", kD, kD),
    row(Repeat::kDecoder, kWeightBias, "detr_decoder.layers.#.vision_cross_attn_layer_norm",
        "transformer.decoder.layers.#.norm1", kD),
    row(Repeat::kDecoder, kWeightBias, "detr_decoder.layers.#.mlp.fc1",
        "transformer.decoder.layers.#.linear1", kDecoderMlp, kD),
    row(Repeat::kDecoder, kWeightBias, "detr_decoder.layers.#.mlp.fc2",
        "transformer.decoder.layers.#.linear2", kD, kDecoderMlp),
    row(Repeat::kDecoder, kWeightBias, "detr_decoder.layers.#.mlp_layer_norm",
        "transformer.decoder.layers.#.norm3", kD),
    row(Repeat::kOnce, kWeightBias, "detr_decoder.output_layer_norm", "transformer.decoder.norm",
        kD),
    row(Repeat::kOnce, kWeightBias, "detr_decoder.box_head.layer1",
        "transformer.decoder.bbox_embed.layers.0", kD, kD),
    row(Repeat::kOnce, kWeightBias, "detr_decoder.box_head.layer2",
        "transformer.decoder.bbox_embed.layers.1", kD, kD),
    row(Repeat::kOnce, kWeightBias, "detr_decoder.box_head.layer3",
        "transformer.decoder.bbox_embed.layers.2", k4, kD),
    row(Repeat::kOnce, kWeight, "detr_decoder.query_embed", "transformer.decoder.query_embed",
        kQueries, kD),
    row(Repeat::kOnce, kWeight, "detr_decoder.reference_points",
        "transformer.decoder.reference_points", kQueries, k4),
    row(Repeat::kOnce, kWeight, "detr_decoder.presence_token", "transformer.decoder.presence_token",
        k1, kD),
    row(Repeat::kOnce, kWeightBias, "detr_decoder.presence_head.layer1",
        "transformer.decoder.presence_token_head.layers.0", kD, kD),
    row(Repeat::kOnce, kWeightBias, "detr_decoder.presence_head.layer2",
        "transformer.decoder.presence_token_head.layers.1", kD, kD),
    row(Repeat::kOnce, kWeightBias, "detr_decoder.presence_head.layer3",
        "transformer.decoder.presence_token_head.layers.2", k1, kD),
    row(Repeat::kOnce, kWeightBias, "detr_decoder.presence_layer_norm",
        "transformer.decoder.presence_token_out_norm", kD),
    row(Repeat::kOnce, kWeightBias, "detr_decoder.ref_point_head.layer1",
        "transformer.decoder.ref_point_head.layers.0", kD, kTwiceD),
    row(Repeat::kOnce, kWeightBias, "detr_decoder.ref_point_head.layer2",
        "transformer.decoder.ref_point_head.layers.1", kD, kD),
    row(Repeat::kOnce, kWeightBias, "detr_decoder.box_rpb_embed_x.layer1",
        "transformer.decoder.boxRPB_embed_x.layers.0", kD, k2),
    row(Repeat::kOnce, kWeightBias, "detr_decoder.box_rpb_embed_x.layer2",
        "transformer.decoder.boxRPB_embed_x.layers.1", kDecoderHeads, kD),
    row(Repeat::kOnce, kWeightBias, "detr_decoder.box_rpb_embed_y.layer1",
        "transformer.decoder.boxRPB_embed_y.layers.0", kD, k2),
    row(Repeat::kOnce, kWeightBias, "detr_decoder.box_rpb_embed_y.layer2",
        "transformer.decoder.boxRPB_embed_y.layers.1", kDecoderHeads, kD),

    // Scoring.
    row(Repeat::kOnce, kWeightBias, "dot_product_scoring.text_mlp.layer1",
        "dot_prod_scoring.prompt_mlp.layers.0", kDecoderMlp, kD),
    row(Repeat::kOnce, kWeightBias, "dot_product_scoring.text_mlp.layer2",
        "dot_prod_scoring.prompt_mlp.layers.1", kD, kDecoderMlp),
    row(Repeat::kOnce, kWeightBias, "dot_product_scoring.text_mlp_out_norm",
        "dot_prod_scoring.prompt_mlp.out_norm", kD),
    row(Repeat::kOnce, kWeightBias, "dot_product_scoring.text_proj", "dot_prod_scoring.prompt_proj",
        kD, kD),
    row(Repeat::kOnce, kWeightBias, "dot_product_scoring.query_proj", "dot_prod_scoring.hs_proj",
        kD, kD),

    // Mask head.
    row(Repeat::kMaskStages, kWeightBias, "mask_decoder.pixel_decoder.conv_layers.#",
        "segmentation_head.pixel_decoder.conv_layers.#", kD, kD, k3, k3),
    row(Repeat::kMaskStages, kWeightBias, "mask_decoder.pixel_decoder.norms.#",
        "segmentation_head.pixel_decoder.norms.#", kD),
    row(Repeat::kOnce, kWeightBias, "mask_decoder.mask_embedder.layers.0",
        "segmentation_head.mask_predictor.mask_embed.layers.0", kD, kD),
    row(Repeat::kOnce, kWeightBias, "mask_decoder.mask_embedder.layers.1",
        "segmentation_head.mask_predictor.mask_embed.layers.1", kD, kD),
    row(Repeat::kOnce, kWeightBias, "mask_decoder.mask_embedder.layers.2",
        "segmentation_head.mask_predictor.mask_embed.layers.2", kD, kD),
    row(Repeat::kOnce, kWeightBias, "mask_decoder.instance_projection",
        "segmentation_head.instance_seg_head", kD, kD, k1, k1),
    row(Repeat::kOnce, kWeightBias, "mask_decoder.semantic_projection",
        "segmentation_head.semantic_seg_head", k1, kD, k1, k1),
    row(Repeat::kOnce, kPacked, "mask_decoder.prompt_cross_attn",
        "segmentation_head.cross_attend_prompt", kD),
    row(Repeat::kOnce, kWeightBias, "mask_decoder.prompt_cross_attn.o_proj",
        "segmentation_head.cross_attend_prompt.out_proj", kD, kD),
    row(Repeat::kOnce, kWeightBias, "mask_decoder.prompt_cross_attn_norm",
        "segmentation_head.cross_attn_norm", kD),
});
// clang-format on

// Three feature levels are joined in two steps.
constexpr int64_t kUsedMaskStages = 2;

int64_t dim_of(Dim dim, const Sam3Config& config) {
  switch (dim) {
    case k1:
      return 1;
    case k2:
      return 2;
    case k3:
      return 3;
    case k4:
      return 4;
    case kPatch:
      return config.vision.patch_size;
    case kGrid:
      return config.vision.pretrain_grid * config.vision.pretrain_grid;
    case kVision:
      return config.vision.hidden;
    case kVisionHalf:
      return config.vision.hidden / 2;
    case kVisionQuarter:
      return config.vision.hidden / 4;
    case kVisionMlp:
      return config.vision.stack.intermediate;
    case kVocabulary:
      return config.text.vocabulary;
    case kContext:
      return config.text.context;
    case kText:
      return config.text.hidden;
    case kTextMlp:
      return config.text.stack.intermediate;
    case kD:
      return config.width;
    case kTwiceD:
      return 2 * config.width;
    case kDPlus2:
      return config.width + 2;
    case kRoi:
      return config.roi_size;
    case kGeometryMlp:
      return config.geometry.intermediate;
    case kEncoderMlp:
      return config.encoder.intermediate;
    case kDecoderMlp:
      return config.decoder.intermediate;
    case kQueries:
      return config.queries;
    case kDecoderHeads:
      return config.decoder.heads;
  }
  throw Error(ErrorCode::kInternal, "unknown size in the table of tensor names");
}

int64_t repeats(Repeat repeat, const Sam3Config& config) {
  switch (repeat) {
    case Repeat::kOnce:
      return 1;
    case Repeat::kVision:
      return config.vision.stack.layers;
    case Repeat::kText:
      return config.text.stack.layers;
    case Repeat::kGeometry:
      return config.geometry.layers;
    case Repeat::kEncoder:
      return config.encoder.layers;
    case Repeat::kDecoder:
      return config.decoder.layers;
    case Repeat::kMaskStages:
      return kUsedMaskStages;
  }
  throw Error(ErrorCode::kInternal, "unknown stack in the table of tensor names");
}

std::string with_layer(std::string_view name, int64_t layer) {
  const size_t mark = name.find('#');
  if (mark == std::string_view::npos) return std::string(name);
  return std::string(name.substr(0, mark)) + std::to_string(layer) +
         std::string(name.substr(mark + 1));
}

/// Three projections [width, width] with bias that Meta packs row by row.
void add_packed(const std::string& name, const std::string& meta_weight,
                const std::string& meta_bias, int64_t width, std::vector<NamedTensor>& list) {
  int64_t part = 0;
  for (const char* projection : {".q_proj", ".k_proj", ".v_proj"}) {
    list.push_back({name + projection + ".weight",
                    {width, width},
                    meta_weight,
                    {3 * width, width},
                    part * width * width});
    list.push_back({name + projection + ".bias", {width}, meta_bias, {3 * width}, part * width});
    ++part;
  }
}

void add_row(const Row& row, int64_t layer, const Sam3Config& config,
             std::vector<NamedTensor>& list) {
  const std::string name = with_layer(row.name, layer);
  const std::string meta = with_layer(row.meta, layer);
  Shape shape;
  for (size_t i = 0; i < row.rank; ++i) shape.push_back(dim_of(row.dims.at(i), config));
  const auto add = [&](const char* suffix, const Shape& dims) {
    list.push_back({name + suffix, dims, meta + suffix, dims, 0});
  };
  switch (row.kind) {
    case kBare:
      add("", shape);
      return;
    case kWeight:
      add(".weight", shape);
      return;
    case kWeightBias:
      add(".weight", shape);
      add(".bias", {shape.at(0)});
      return;
    case kTransposed:
      add(".weight", shape);
      add(".bias", {shape.at(1)});
      return;
    case kPackedVision:
      add_packed(name, meta + ".qkv.weight", meta + ".qkv.bias", shape.at(0), list);
      return;
    case kPacked:
      add_packed(name, meta + ".in_proj_weight", meta + ".in_proj_bias", shape.at(0), list);
      return;
    case kPosition:
      list.push_back({name, shape, meta, {shape.at(0), shape.at(1) + 1, shape.at(2)}, shape.at(2)});
      return;
  }
}

/// Tensors that may be in a checkpoint and are not read; '*' stands for any characters.
struct UnusedRow {
  std::string_view pattern;
  std::string_view reason;
};

constexpr std::string_view kComputed = "buffer that is computed";
constexpr std::string_view kTracker = "interactive path and video";
constexpr std::string_view kMultiplex = "SAM 3.1's tracker, which is not supported yet";
constexpr std::string_view kTraining = "only training uses it";

// Where the model is used without a tracker.
constexpr auto kWithoutTracker = std::to_array<UnusedRow>({
    {"tracker_model.*", kTracker},
    {"tracker_neck.*", "neck of the tracker"},
    {"tracker.*", kTracker},
    {"backbone.vision_backbone.sam2_convs.*", "neck of the tracker"},
});

// Where the tracker is used.
constexpr auto kOfTracker = std::to_array<UnusedRow>({
    {"tracker_model.no_memory_positional_encoding", "no graph has it: nor has the reference"},
    {"tracker_neck.fpn_layers.3.*", "the level that the model drops"},
    {"tracker_model.*rotary_emb.*", kComputed},
    {"tracker.no_mem_pos_enc", "no graph has it: nor has the reference"},
    {"backbone.vision_backbone.sam2_convs.3.*", "the level that scalp=1 drops"},
    {"tracker.*freqs_cis*", kComputed},
});

constexpr auto kUnusedHuggingFace = std::to_array<UnusedRow>({
    {"text_encoder.text_projection.weight", "CLIP's pooled output"},
    {"vision_encoder.neck.fpn_layers.3.*", "the level that the model drops"},
    {"mask_decoder.pixel_decoder.conv_layers.*", "stages after the second"},
    {"mask_decoder.pixel_decoder.norms.*", "stages after the second"},
    {"vision_encoder.*rotary_emb.*", kComputed},
    {"*.position_encoding.*", kComputed},
});

constexpr auto kUnusedMeta = std::to_array<UnusedRow>({
    {"tracker.model.*", kMultiplex},
    {"backbone.vision_backbone.propagation_convs.*", kMultiplex},
    {"backbone.vision_backbone.convs.3.*", "the level that scalp=1 drops"},
    {"backbone.vision_backbone.position_encoding.*", kComputed},
    {"backbone.vision_backbone.trunk.blocks.*.attn.freqs_cis", kComputed},
    {"backbone.vision_backbone.trunk.blocks.*.attn.freqs_cis_real", kComputed},
    {"backbone.vision_backbone.trunk.blocks.*.attn.freqs_cis_imag", kComputed},
    {"backbone.language_backbone.encoder.text_projection", "CLIP's pooled output"},
    {"backbone.language_backbone.encoder.attn_mask", kComputed},
    {"geometry_encoder.points_*", "point exemplars are not exposed"},
    {"segmentation_head.pixel_decoder.conv_layers.*", "stages after the second"},
    {"segmentation_head.pixel_decoder.norms.*", "stages after the second"},
});

// In both namings.
constexpr auto kUnusedAnywhere = std::to_array<UnusedRow>({
    {"*.position_ids", kComputed},
    {"*.num_batches_tracked", kTraining},
    {"n_averaged", kTraining},  // torch.optim.swa_utils.AveragedModel
    {"criterion.*", kTraining},
    {"loss.*", kTraining},
    {"loss_fn.*", kTraining},
    {"matcher.*", kTraining},
    {"metrics.*", kTraining},
    {"train_metrics.*", kTraining},
    {"val_metrics.*", kTraining},
    {"pixel_mean", "the preprocessing's numbers, which the configuration gives"},
    {"pixel_std", "the preprocessing's numbers, which the configuration gives"},
});

/// Whether `text` fits a pattern with at most a few '*'.
bool matches(std::string_view pattern, std::string_view text) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  const std::string_view head = pattern.substr(0, star);
  if (!text.starts_with(head)) return false;
  const std::string_view rest = pattern.substr(star + 1);
  for (size_t skip = head.size(); skip <= text.size(); ++skip) {
    if (matches(rest, text.substr(skip))) return true;
  }
  return false;
}

}  // namespace

std::vector<NamedTensor> needed_tensors(const Sam3Config& config) {
  std::vector<NamedTensor> list;
  for (const Row& row : kRows) {
    const int64_t count = repeats(row.repeat, config);
    for (int64_t layer = 0; layer < count; ++layer) add_row(row, layer, config, list);
  }
  if (config.tracker) add_tracker_tensors(config, list);
  return list;
}

bool has_tracker(std::span<const std::string> names, Naming naming) {
  const bool meta = naming == Naming::kMeta;
  const std::string_view weights = meta ? "tracker." : "tracker_model.";
  const std::string_view neck = meta ? "backbone.vision_backbone.sam2_convs." : "tracker_neck.";
  const auto any = [&](std::string_view start) {
    return std::ranges::any_of(names, [&](const auto& name) { return name.starts_with(start); });
  };
  return any(weights) && any(neck);
}

bool is_multiplex(std::span<const std::string> names) {
  return std::ranges::any_of(names, [](const std::string& name) {
    return name.starts_with("backbone.vision_backbone.propagation_convs.");
  });
}

std::string_view unused_reason(Naming naming, std::string_view name, bool tracker) {
  const auto find = [&](const auto& rows) -> std::string_view {
    for (const UnusedRow& row : rows) {
      if (matches(row.pattern, name)) return row.reason;
    }
    return "";
  };
  const std::string_view of_tracker = tracker ? find(kOfTracker) : find(kWithoutTracker);
  if (!of_tracker.empty()) return of_tracker;
  const std::string_view own =
      naming == Naming::kMeta ? find(kUnusedMeta) : find(kUnusedHuggingFace);
  return own.empty() ? find(kUnusedAnywhere) : own;
}

bool is_unused_tensor(Naming naming, std::string_view name, bool tracker) {
  return !unused_reason(naming, name, tracker).empty();
}

}  // namespace sam3trt
