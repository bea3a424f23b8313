#include <algorithm>
#include <string>
#include <vector>

#include "checkpoint/config_json.hpp"

namespace sam3trt {
namespace {

// Upper limits, each more than ten times what the published model uses. They keep products of two
// or three sizes far inside 64 bits and stop absurd allocations early.
constexpr int64_t kMaxImage = 1 << 14;
constexpr int64_t kMaxWidth = 1 << 15;
constexpr int64_t kMaxIntermediate = 1 << 18;
constexpr int64_t kMaxLayers = 512;
constexpr int64_t kMaxVocabulary = 1 << 22;
constexpr int64_t kMaxContext = 1 << 12;
constexpr int64_t kMaxQueries = 1 << 14;
constexpr int64_t kMaxRoi = 64;
constexpr int64_t kMaxStages = 64;

const std::string kBackbone = "vision_config.backbone_config.";
const std::string kText = "text_config.";

/// Collects problems of fields.
class Checker {
 public:
  bool range(const std::string& field, int64_t value, int64_t low, int64_t high) {
    if (value >= low && value <= high) return true;
    problems.push_back(field + ": expected " + std::to_string(low) + " to " + std::to_string(high) +
                       ", found " + std::to_string(value));
    return false;
  }

  void multiple(const std::string& field, int64_t value, const std::string& of, int64_t divisor) {
    if (divisor < 1 || value % divisor == 0) return;
    problems.push_back(field + ": expected a multiple of " + of + " = " + std::to_string(divisor) +
                       ", found " + std::to_string(value));
  }

  /// Whether the layer count is one.
  bool stack(const std::string& prefix, const StackConfig& stack, int64_t width) {
    const bool transformer = prefix == kBackbone || prefix == kText;
    const bool layers = range(prefix + (transformer ? "num_hidden_layers" : "num_layers"),
                              stack.layers, 1, kMaxLayers);
    range(prefix + "intermediate_size", stack.intermediate, 1, kMaxIntermediate);
    heads(prefix, stack.heads, width);
    return layers;
  }

  void heads(const std::string& prefix, int64_t heads, int64_t width) {
    if (!range(prefix + "num_attention_heads", heads, 1, kMaxWidth)) return;
    multiple(prefix + "hidden_size", width, "num_attention_heads", heads);
  }

  void epsilon(const std::string& field, double value) {
    if (value > 0.0 && value < 1.0) return;
    problems.push_back(field + ": expected a number between 0 and 1, found " +
                       std::to_string(value));
  }

  std::vector<std::string> problems;
};

void check_global_blocks(const VisionConfig& vision, Checker& check) {
  std::vector<int64_t> seen;
  for (const int64_t block : vision.global_blocks) {
    check.range(kBackbone + "global_attn_indexes", block, 0, vision.stack.layers - 1);
    if (std::ranges::find(seen, block) != seen.end()) {
      check.problems.push_back(kBackbone + "global_attn_indexes: " + std::to_string(block) +
                               " appears twice");
    }
    seen.push_back(block);
  }
}

void check_vision(const VisionConfig& vision, Checker& check) {
  const bool image = check.range(kBackbone + "image_size", vision.image_size, 1, kMaxImage);
  const bool patch = check.range(kBackbone + "patch_size", vision.patch_size, 1, kMaxImage);
  const bool window = check.range(kBackbone + "window_size", vision.window, 1, kMaxImage);
  check.range(kBackbone + "pretrain_image_size / patch_size", vision.pretrain_grid, 1, kMaxImage);
  if (image && patch) {
    check.multiple(kBackbone + "image_size", vision.image_size, "patch_size", vision.patch_size);
    if (window) {
      check.multiple(kBackbone + "image_size / patch_size", vision.grid(), "window_size",
                     vision.window);
      check.range(kBackbone + "image_size / patch_size", vision.grid(), 1, kMaxImage);
    }
  }
  // The neck halves the width twice.
  if (check.range(kBackbone + "hidden_size", vision.hidden, 4, kMaxWidth)) {
    check.multiple(kBackbone + "hidden_size", vision.hidden, "the neck's two halvings", 4);
  }
  if (check.stack(kBackbone, vision.stack, vision.hidden)) check_global_blocks(vision, check);
  if (vision.stack.heads > 0 && vision.hidden % vision.stack.heads == 0) {
    // Two axes, each rotated in pairs of channels.
    check.multiple(kBackbone + "hidden_size / num_attention_heads",
                   vision.hidden / vision.stack.heads, "the rotary embedding's pairs", 4);
  }
  check.epsilon(kBackbone + "layer_norm_eps", vision.layer_norm_eps);
  if (!(vision.rope_theta >= 1.0 && vision.rope_theta <= 1e12)) {
    check.problems.push_back(kBackbone + "rope_parameters.rope_theta: expected 1 to 1e12, found " +
                             std::to_string(vision.rope_theta));
  }
}

void check_text(const TextConfig& text, Checker& check) {
  check.range(kText + "hidden_size", text.hidden, 1, kMaxWidth);
  check.range(kText + "max_position_embeddings", text.context, 3, kMaxContext);
  check.stack(kText, text.stack, text.hidden);
  check.epsilon(kText + "layer_norm_eps", text.layer_norm_eps);
  if (check.range(kText + "vocab_size", text.vocabulary, 3, kMaxVocabulary)) {
    check.range(kText + "bos_token_id", text.bos_token_id, 0, text.vocabulary - 1);
    check.range(kText + "eos_token_id", text.eos_token_id, 0, text.vocabulary - 1);
    check.range("the tokenizer's padding token", text.pad_token_id, 0, text.vocabulary - 1);
  }
}

}  // namespace

std::vector<std::string> config_problems(const Sam3Config& config) {
  Checker check;
  check_vision(config.vision, check);
  check_text(config.text, check);
  // Eight groups in the mask head's GroupNorm; sine and cosine of two coordinates elsewhere.
  if (check.range("vision_config.fpn_hidden_size", config.width, 8, kMaxWidth)) {
    check.multiple("vision_config.fpn_hidden_size", config.width, "the mask head's group count", 8);
  }
  check.stack("geometry_encoder_config.", config.geometry, config.width);
  check.range("geometry_encoder_config.roi_size", config.roi_size, 1, kMaxRoi);
  check.stack("detr_encoder_config.", config.encoder, config.width);
  check.stack("detr_decoder_config.", config.decoder, config.width);
  check.range("detr_decoder_config.num_queries", config.queries, 1, kMaxQueries);
  check.heads("mask_decoder_config.", config.mask_heads, config.width);
  // Three feature levels need two stages; further ones are stored but never used.
  check.range("mask_decoder_config.num_upsampling_stages", config.mask_upsampling_stages, 2,
              kMaxStages);
  if (config.tracker && check.problems.empty()) return tracker_problems(config);
  return std::move(check.problems);
}

}  // namespace sam3trt
