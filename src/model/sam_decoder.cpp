#include <numbers>

#include "model/graphs.hpp"
#include "model/layers.hpp"
#include "model/neck.hpp"
#include "model/position.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

const std::string kPrompt = "tracker_model.prompt_encoder.";
const std::string kDecoder = "tracker_model.mask_decoder.";
constexpr double kMapEpsilon = 1e-6;  // LayerNorm2d of Meta's model/model_misc.py

/// The prompt as tokens and as a map.
class PromptEncoder {
 public:
  explicit PromptEncoder(ModelGraph& model) : model_(model), graph_(model.graph) {}

  /// point_coords [O, A, 2] and point_labels [O, A] to tokens [O, A, D].
  Value points(const Value& coords, const Value& labels) {
    const std::string name = "/sam/points";
    const auto constant = [&](const char* part, float value) {
      return graph_.add_constant_f32(name + "/" + part, {}, {value});
    };
    // Pixels to -1..1 by way of their centres.
    const auto size = static_cast<float>(model_.config().vision.image_size);
    Value x = add_add(graph_, name + "/centre", coords, constant("half", 0.5F));
    x = add_div(graph_, name + "/unit", x, constant("size", size));
    x = add_mul(graph_, name + "/double", x, constant("two", 2.0F));
    x = add_sub(graph_, name + "/centred", x, constant("one", 1.0F));
    const Value matrix = model_.weight(kPrompt + "shared_embedding.positional_embedding");
    x = add_mul(graph_, name + "/angle", add_matmul(graph_, name + "/product", x, matrix),
                constant("turn", static_cast<float>(2.0 * std::numbers::pi)));
    const Value position =
        add_concat(graph_, name + "/position",
                   {add_sin(graph_, name + "/sin", x), add_cos(graph_, name + "/cos", x)}, 2);

    // Row 0 is padding (label -10), row 1 no point (-1), row 2 + n label n. Only labels have a
    // position.
    const Value lowest = graph_.add_constant_i64(name + "/lowest", {}, {-2});
    const Value shift = graph_.add_constant_i64(name + "/shift", {}, {2});
    const Value row =
        add_add(graph_, name + "/row", add_max(graph_, name + "/bounded", labels, lowest), shift);
    const int64_t rows = 2 + model_.config().tracker_sizes.point_embeddings;
    std::vector<float> placed(static_cast<size_t>(rows), 1.0F);
    placed[0] = placed[1] = 0.0F;
    const Value has_position =
        add_gather(graph_, name + "/has_position",
                   graph_.add_constant_f32(name + "/with_position", {rows, 1}, placed), row, 0);
    const Value embedding = add_gather(graph_, name + "/embedding", label_table(rows), row, 0);
    return add_add(graph_, name, add_mul(graph_, name + "/placed", position, has_position),
                   embedding);
  }

  /// mask_input [O, 1, 4g, 4g] where has_mask [O] is 1, else the embedding of no mask: [O, D, g,
  /// g].
  Value mask(const Value& logits, const Value& has_mask) {
    const std::string name = "/sam/mask";
    const std::string prefix = kPrompt + "mask_embed.";
    const TrackerSizes& sizes = model_.config().tracker_sizes;
    Value x = logits;
    for (const char* number : {"1", "2"}) {
      x = conv(name + "/conv" + number, x, prefix + "conv" + number, 2);
      x = add_map_norm(model_, name + "/norm" + number, x, prefix + "layer_norm" + number,
                       sizes.prompt_norm_eps);
      x = add_activation(graph_, name + "/act" + number, x, sizes.prompt_activation);
    }
    x = conv(name + "/conv3", x, prefix + "conv3", 1);
    const int64_t width = model_.config().tracker->width;
    const WeightView none = model_.checkpoint.weight(kPrompt + "no_mask_embed.weight");
    const Value no_mask = model_.derived(kPrompt + "no_mask_embed.weight", {1, width, 1, 1},
                                         [none]() { return none.to_f32(); });
    const Value gate =
        add_reshape(graph_, name + "/has_mask", has_mask, {has_mask.dim(0), 1, 1, 1});
    return add_select(graph_, name, gate, x, no_mask);
  }

 private:
  Value conv(const std::string& name, const Value& x, const std::string& prefix, int64_t stride) {
    return add_conv(graph_, name, x, model_.weight(prefix + ".weight"),
                    model_.weight(prefix + ".bias"), {.stride = stride});
  }

  /// [rows, D]: zeros, no point, then the labels.
  Value label_table(int64_t rows) {
    const Checkpoint* checkpoint = &model_.checkpoint;
    const int64_t width = model_.config().tracker->width;
    return model_.derived("/sam/points/labels", {rows, width}, [checkpoint, rows, width]() {
      std::vector<float> table(static_cast<size_t>(width), 0.0F);
      const auto append = [&](const std::string& name) {
        const std::vector<float> values = checkpoint->weight(kPrompt + name).to_f32();
        table.insert(table.end(), values.begin(), values.end());
      };
      append("not_a_point_embed.weight");
      for (int64_t i = 0; i < rows - 2; ++i) append("point_embed.weight." + std::to_string(i));
      return table;
    });
  }

  ModelGraph& model_;
  Graph& graph_;
};

/// Tokens and image attend to each other in turn, post-norm.
class TwoWayTransformer {
 public:
  struct Result {
    Value tokens;
    Value image;
  };

  /// tokens [O, n, D] serve as their own position; image and its position [O or 1, N, D].
  TwoWayTransformer(ModelGraph& model, const Value& tokens, const Value& image_position)
      : model_(model), graph_(model.graph), position_(tokens), image_position_(image_position) {}

  Result build(const Value& image) {
    Result x{position_, image};
    const int64_t layers = model_.config().tracker_sizes.decoder.layers;
    for (int64_t i = 0; i < layers; ++i) layer(i, x);
    const std::string name = "/sam/final";
    const Value attended =
        attend(name + "/attn", kDecoder + "transformer.final_attn_token_to_image",
               placed(name, x.tokens), placed_image(name, x.image), x.image);
    x.tokens =
        add_norm(model_, name + "/norm", add_add(graph_, name + "/residual", x.tokens, attended),
                 kDecoder + "transformer.layer_norm_final_attn");
    return x;
  }

 private:
  void layer(int64_t index, Result& x) {
    const std::string number = std::to_string(index);
    const std::string name = "/sam/layers." + number;
    const std::string prefix = kDecoder + "transformer.layers." + number + ".";
    const auto norm = [&](const char* which, const Value& value) {
      return add_norm(model_, name + "/norm" + which, value, prefix + "layer_norm" + which);
    };
    if (index == 0) {  // Without position and without residual.
      x.tokens = attend(name + "/self", prefix + "self_attn", x.tokens, x.tokens, x.tokens);
    } else {
      const Value query = placed(name + "/self", x.tokens);
      const Value attended = attend(name + "/self", prefix + "self_attn", query, query, x.tokens);
      x.tokens = add_add(graph_, name + "/residual1", x.tokens, attended);
    }
    x.tokens = norm("1", x.tokens);

    const Value keys = placed_image(name, x.image);
    const Value seen = attend(name + "/to_image", prefix + "cross_attn_token_to_image",
                              placed(name + "/to_image", x.tokens), keys, x.image);
    x.tokens = norm("2", add_add(graph_, name + "/residual2", x.tokens, seen));

    const Value mixed = add_projection_mlp(model_, name + "/mlp", x.tokens, prefix + "mlp",
                                           model_.config().tracker_sizes.decoder_mlp_inner);
    x.tokens = norm("3", add_add(graph_, name + "/residual3", x.tokens, mixed));

    const Value told = attend(name + "/to_tokens", prefix + "cross_attn_image_to_token", keys,
                              placed(name + "/to_tokens", x.tokens), x.tokens);
    x.image = norm("4", add_add(graph_, name + "/residual4", x.image, told));
  }

  Value placed(const std::string& name, const Value& tokens) {
    return add_add(graph_, name + "/with_position", tokens, position_);
  }

  Value placed_image(const std::string& name, const Value& image) {
    return add_add(graph_, name + "/image_with_position", image, image_position_);
  }

  Value attend(const std::string& name, const std::string& prefix, const Value& query,
               const Value& key, const Value& value) {
    const AttentionSpec spec{prefix, model_.config().tracker_sizes.decoder.heads};
    const Heads heads{add_query_heads(model_, name, spec, query),
                      add_key_heads(model_, name, spec, key),
                      add_value_heads(model_, name, spec, value)};
    return add_attention(model_, name, spec, heads, Value{});
  }

  ModelGraph& model_;
  Graph& graph_;
  Value position_;
  Value image_position_;
};

/// [O, D, g, g] upscaled with the image's finer levels to [O, D / 8, 4g, 4g].
Value add_upscaling(ModelGraph& model, const Value& map, const Value& fine, const Value& middle) {
  Graph& graph = model.graph;
  const std::string name = "/sam/upscale";
  const auto up = [&](const char* number, const Value& x) {
    const std::string prefix = kDecoder + "upscale_conv" + number;
    return add_conv_transpose(graph, name + "/conv" + number, x, model.weight(prefix + ".weight"),
                              model.weight(prefix + ".bias"));
  };
  Value x = add_add(graph, name + "/with_middle", up("1", map), middle);
  x = add_map_norm(model, name + "/norm", x, kDecoder + "upscale_layer_norm", kMapEpsilon);
  x = add_gelu(graph, name + "/gelu1", x);
  x = add_add(graph, name + "/with_fine", up("2", x), fine);
  return add_gelu(graph, name + "/gelu2", x);
}

/// Mask logits [O, m, 4g, 4g]: each mask token's own MLP makes the weights of the channels.
Value add_sam_masks(ModelGraph& model, const Value& mask_tokens, const Value& upscaled) {
  Graph& graph = model.graph;
  const int64_t masks = model.config().tracker->mask_tokens;
  std::vector<Value> weights;
  for (int64_t i = 0; i < masks; ++i) {
    const std::string number = std::to_string(i);
    const std::string name = "/sam/hyper." + number;
    weights.push_back(
        add_projection_mlp(model, name, add_slice(graph, name + "/token", mask_tokens, 1, i, i + 1),
                           kDecoder + "output_hypernetworks_mlps." + number, 1));
  }
  const int64_t side = upscaled.dim(2).value();
  const Value flat = add_reshape(graph, "/sam/masks/flat", upscaled,
                                 {upscaled.dim(0), upscaled.dim(1), side * side});
  const Value product =
      add_matmul(graph, "/sam/masks/product", add_concat(graph, "/sam/hyper", weights, 1), flat);
  return add_reshape(graph, "/sam/masks", product, {product.dim(0), masks, side, side});
}

struct DecoderInputs {
  Value features;
  Value feature_index;
  Value fine;
  Value middle;
  Value image_index;
  Value coords;
  Value labels;
  Value mask;
  Value has_mask;
};

DecoderInputs add_inputs(ModelGraph& model) {
  Graph& graph = model.graph;
  const int64_t grid = model.config().vision.grid();
  const int64_t width = model.config().tracker->width;
  const auto input = [&](const char* name, const SymbolicShape& shape) {
    return graph.add_input(name, DType::kF32, shape);
  };
  DecoderInputs inputs;
  inputs.features = input("object_features", {"E", width, grid, grid});
  inputs.feature_index = graph.add_input("feature_index", DType::kI64, {"O"});
  inputs.fine = input("tracker_feat_0", {"B", width / 8, 4 * grid, 4 * grid});
  inputs.middle = input("tracker_feat_1", {"B", width / 4, 2 * grid, 2 * grid});
  inputs.image_index = graph.add_input("image_index", DType::kI64, {"O"});
  inputs.coords = input("point_coords", {"O", "A", 2});
  inputs.labels = graph.add_input("point_labels", DType::kI64, {"O", "A"});
  inputs.mask = input("mask_input", {"O", 1, 4 * grid, 4 * grid});
  inputs.has_mask = input("has_mask", {"O"});
  return inputs;
}

/// The tokens whose results are read: object score, IoU, masks. [2 + m, D]
Value add_output_tokens(ModelGraph& model) {
  const Checkpoint* checkpoint = &model.checkpoint;
  const int64_t rows = 2 + model.config().tracker->mask_tokens;
  return model.derived("/sam/output_tokens", {rows, model.config().tracker->width}, [checkpoint]() {
    std::vector<float> rows_of_all;
    for (const char* token : {"obj_score_token", "iou_token", "mask_tokens"}) {
      const std::vector<float> values = checkpoint->weight(kDecoder + token + ".weight").to_f32();
      rows_of_all.insert(rows_of_all.end(), values.begin(), values.end());
    }
    return rows_of_all;
  });
}

/// Position of the image's tokens: [1, N, D].
Value add_image_position(ModelGraph& model) {
  const WeightView matrix =
      model.checkpoint.weight("tracker_model.shared_image_embedding.positional_embedding");
  const int64_t grid = model.config().vision.grid();
  return model.derived("/sam/image_position", {1, grid * grid, model.config().tracker->width},
                       [matrix, grid]() { return random_position_tokens(grid, matrix.to_f32()); });
}

/// Pointers [O, m, D] of the mask tokens; that of no object where `score` [O, 1] is not positive.
Value add_pointers(ModelGraph& model, const Value& mask_tokens, const Value& score) {
  Graph& graph = model.graph;
  const std::string name = "/sam/pointers";
  Value projected = add_projection_mlp(model, name + "/project", mask_tokens,
                                       "tracker_model.object_pointer_proj", 1);
  // Without a memory nobody needs the pointer of an object that is not there.
  if (!model.checkpoint.has("tracker_model.no_object_pointer")) return projected;
  const Value gate =
      add_unsqueeze(graph, name + "/appears", add_is_positive(graph, name + "/gate", score), 2);
  return add_select(graph, name, gate, projected, model.weight("tracker_model.no_object_pointer"));
}

/// The pointer of no object for each object [O, D], whatever its score; zeros in a model without
/// one.
Value add_absent_pointers(ModelGraph& model, const Value& score) {
  Graph& graph = model.graph;
  const int64_t width = model.config().tracker->width;
  const Value none =
      model.checkpoint.has("tracker_model.no_object_pointer")
          ? model.weight("tracker_model.no_object_pointer")
          : graph.add_constant_f32("/sam/absent/zeros", {1, width},
                                   std::vector<float>(static_cast<size_t>(width), 0.0F));
  const Value nothing = graph.add_constant_f32("/sam/absent/nothing", {}, {0.0F});
  return add_add(graph, "/sam/absent", add_mul(graph, "/sam/absent/rows", score, nothing), none);
}

}  // namespace

void build_sam_decoder(ModelGraph& model) {
  Graph& graph = model.graph;
  const Sam3Config& config = model.config();
  const DecoderInputs inputs = add_inputs(model);
  PromptEncoder prompt(model);
  const Value points = prompt.points(inputs.coords, inputs.labels);
  const Value dense = prompt.mask(inputs.mask, inputs.has_mask);

  const Value zero_index = add_zero_index(graph, "/sam/zero_index", inputs.feature_index);
  const Value own = add_per_prompt(graph, "/sam/own", add_output_tokens(model), zero_index);
  const Value tokens = add_concat(graph, "/sam/tokens", {own, points}, 1);
  const Value features =
      add_gather(graph, "/sam/features", inputs.features, inputs.feature_index, 0);
  const Value image =
      add_tokens(graph, "/sam/image", add_add(graph, "/sam/prompted", features, dense));
  const auto attended = TwoWayTransformer(model, tokens, add_image_position(model)).build(image);
  const Value& seen = attended.tokens;
  const Value& map = attended.image;

  const int64_t masks = config.tracker->mask_tokens;
  const auto token = [&](const char* name, int64_t row) {
    return add_squeeze(graph, name,
                       add_slice(graph, std::string(name) + "/row", seen, 1, row, row + 1), 1);
  };
  const Value mask_tokens = add_slice(graph, "/sam/mask_tokens", seen, 1, 2, 2 + masks);
  const Value upscaled =
      add_upscaling(model, add_map(graph, "/sam/map", map, config.vision.grid()),
                    add_gather(graph, "/sam/fine", inputs.fine, inputs.image_index, 0),
                    add_gather(graph, "/sam/middle", inputs.middle, inputs.image_index, 0));
  const Value score = add_projection_mlp(model, "/sam/score", token("/sam/score_token", 0),
                                         kDecoder + "pred_obj_score_head", 1);
  const Value iou =
      add_projection_mlp(model, "/sam/iou", token("/sam/iou_token", 1),
                         kDecoder + "iou_prediction_head", config.tracker_sizes.iou_depth - 2);
  graph.add_output("sam_masks", add_sam_masks(model, mask_tokens, upscaled));
  graph.add_output("iou_scores", add_sigmoid(graph, "/sam/iou_scores", iou));
  graph.add_output("object_score", score);
  graph.add_output("object_pointers", add_pointers(model, mask_tokens, score));
  graph.add_output("absent_pointers", add_absent_pointers(model, score));
}

}  // namespace sam3trt
