#include "checkpoint/other_models.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.hpp"
#include "checkpoint/wrapped_names.hpp"

namespace sam3trt {
namespace {

using Tensors = std::span<const StoredTensor>;

bool has_component(std::string_view name, std::string_view component) {
  for (size_t at = name.find(component); at != std::string_view::npos;
       at = name.find(component, at + 1)) {
    const size_t end = at + component.size();
    if ((at == 0 || name[at - 1] == '.') && (end == name.size() || name[end] == '.')) return true;
  }
  return false;
}

/// Whether `part`, which may span components ("image_encoder.blocks."), stands in a name at the
/// start of a component.
bool has_part(std::string_view name, std::string_view part) {
  for (size_t at = name.find(part); at != std::string_view::npos; at = name.find(part, at + 1)) {
    if (at == 0 || name[at - 1] == '.') return true;
  }
  return false;
}

bool any_has(Tensors tensors, std::string_view part) {
  return std::ranges::any_of(tensors,
                             [&](const StoredTensor& t) { return has_part(t.name, part); });
}

// --- Adapters --------------------------------------------------------------------------------

// Components of adapters' tensors: huggingface/peft, src/peft/tuners, and LyCORIS.
constexpr auto kAdapterParts = std::to_array<std::string_view>({
    "lora_A",
    "lora_B",
    "lora_down",
    "lora_up",
    "lora_embedding_A",
    "lora_embedding_B",
    "lora_magnitude_vector",
    "lora_a",
    "lora_b",
    "vera_lambda_b",
    "vera_lambda_d",
    "hada_w1_a",
    "hada_w1_b",
    "lokr_w1",
    "lokr_w2",
    "ia3_l",
    "oft_r",
    "oft_blocks",
    "boft_R",
    "adalora_E",
    "prompt_embeddings",
    "modules_to_save",

    "lora_E",
    "ranknum",
});

bool is_adapter(const StoredTensor& tensor) {
  return std::ranges::any_of(
      kAdapterParts, [&](std::string_view part) { return has_component(tensor.name, part); });
}

[[noreturn]] void refuse_adapter(const std::string& where, size_t count, size_t all,
                                 const std::string& example) {
  const bool alone = 2 * count > all;
  throw_bad_input(
      where + ": " +
      (alone
           ? "is a LoRA or another PEFT adapter, which holds only changes to a model"
           : "holds a model with LoRA or other PEFT layers that are not merged into its weights") +
      " (" + std::to_string(count) + " of " + std::to_string(all) + " tensors, such as " + example +
      "); merge it into the model it was trained on with peft's merge_and_unload(), save that "
      "with save_pretrained() and export the result");
}

// --- Quantised weights -----------------------------------------------------------------------

// Components that only quantised weights have: GPTQ and AWQ, bitsandbytes, compressed-tensors,
// optimum-quanto and torch.ao.
constexpr auto kQuantisedParts = std::to_array<std::string_view>({
    "qweight",
    "qzeros",
    "g_idx",
    "SCB",
    "weight_format",
    "absmax",
    "quant_map",
    "quant_state",
    "weight_scale",
    "weight_scale_inv",
    "weight_packed",
    "weight_zero_point",
    "input_scale",
    "_packed_params",
    "_data",
    "_scale",
    "nested_absmax",
    "scale_weight",
    "activation_post_process",
});

bool is_quantised(const StoredTensor& tensor) {
  return std::ranges::any_of(
      kQuantisedParts, [&](std::string_view part) { return has_component(tensor.name, part); });
}

bool has_quantised_type(const StoredTensor& tensor) {
  const std::string_view type = tensor.dtype_name;
  return type.starts_with("F8_") || type.starts_with("F4") || type.starts_with("F6_") ||
         type.starts_with("Float8") || type.starts_with("QInt") || type.starts_with("QUInt");
}

// --- Models ----------------------------------------------------------------------------------

struct Model {
  std::array<std::string_view, 2> parts;  ///< All of them stand in some name; may be empty.
  std::string_view absent;                ///< Stands in none; may be empty.
  std::string_view what;
};

constexpr std::string_view kOtherSam =
    "; this program exports SAM 3 (facebook/sam3): fetch it with 'sam3trt download'";

// Models that share parts of their names with SAM 3's: facebookresearch/segment-anything, /sam2 and
// /sam3, transformers' Sam*Model.
constexpr auto kRelatives = std::to_array<Model>({
    {{"interactive_sam_mask_decoder.", ""},
     "vision_backbone.",
     "the tracker of SAM 3.1 without the image model"},
    {{"vision_encoder.backbone.layers.", "prompt_encoder."},
     "detr_decoder.",
     "the part of SAM 3 for clicks and video (Sam3TrackerModel), without the detector"},
    {{"vision_encoder.backbone.blocks.", ""}, "", "SAM 2"},
    {{"image_encoder.trunk.", ""}, "", "SAM 2"},
    {{"image_encoder.", "mask_decoder."}, "", "SAM 1, or a model made from it"},
    {{"vision_encoder.layers.", "prompt_encoder."}, "", "SAM 1"},
    {{"sam_mask_decoder.", ""},
     "vision_backbone.",
     "a tracker of SAM 2 or SAM 3 without the image model"},
    {{"tracker_model.mask_decoder.", ""},
     "vision_encoder.",
     "the tracker of SAM 3 without the detector"},
});

constexpr auto kStrangers = std::to_array<Model>({
    {{"bert.", "bbox_embed."}, "", "Grounding DINO"},
    {{"vision_model.encoder.", "text_model.encoder."}, "", "CLIP or SigLIP"},
    {{"visual.", "transformer.resblocks."}, "", "CLIP"},
    {{"pixel_level_module.", ""}, "", "Mask2Former or OneFormer"},
    {{"sem_seg_head.", ""}, "", "Mask2Former or Mask DINO"},
    {{"class_embed.", "bbox_embed."}, "", "DETR, or a model made from it"},
    {{"class_labels_classifier.", ""}, "", "DETR"},
    {{"class_labels_classifier.", "bbox_predictor."}, "", "DETR"},
    {{"decoder.dec_score_head.", ""}, "", "RT-DETR"},
    {{"model.0.conv.weight", ""}, "", "a YOLO model"},
    {{"bert.", ""}, "", "a BERT text model"},
    {{"lm_head.", ""}, "", "a language model"},
    {{"embed_tokens.", ""}, "", "a language model"},
    {{"down_blocks.", ""}, "", "a diffusion model"},
    {{"roi_heads.", ""}, "", "a Mask R-CNN"},
    {{"layer1.0.conv1.", ""}, "", "a ResNet"},
    {{"cls_token", "blocks.0.attn."}, "", "a vision transformer such as DINOv2"},
    {{"embeddings.cls_token", ""}, "", "a vision transformer such as DINOv2 or DINOv3"},
});

template <size_t Count>
std::string_view find_model(Tensors tensors, const std::array<Model, Count>& models) {
  for (const Model& model : models) {
    const bool all = std::ranges::all_of(
        model.parts, [&](std::string_view part) { return part.empty() || any_has(tensors, part); });
    if (all && (model.absent.empty() || !any_has(tensors, model.absent))) return model.what;
  }
  return "";
}

/// Whether every tensor is an optimizer's.
bool is_optimizer_alone(Tensors tensors) {
  return !tensors.empty() && std::ranges::all_of(tensors, [](const StoredTensor& tensor) {
    return is_optimizer_state(tensor.name) || has_component(tensor.name, "step");
  });
}

}  // namespace

void refuse_other_models(Tensors tensors, const std::string& where) {
  const auto adapters = static_cast<size_t>(std::ranges::count_if(tensors, is_adapter));
  if (adapters > 0) {
    refuse_adapter(where, adapters, tensors.size(),
                   std::ranges::find_if(tensors, is_adapter)->name);
  }
  if (is_optimizer_alone(tensors)) {
    throw_bad_input(where +
                    ": holds the state of an optimizer and no model; name the file with the "
                    "model's weights, which training saves beside it or under another key");
  }
  for (const auto& test : {is_quantised, has_quantised_type}) {
    const auto found = std::ranges::find_if(tensors, test);
    if (found == tensors.end()) continue;
    throw_bad_input(where + ": holds quantised weights (" +
                    std::to_string(std::ranges::count_if(tensors, test)) + " tensors, such as " +
                    found->name + " of type " + found->dtype_name +
                    "), which cannot be turned back exactly; export the checkpoint as it was "
                    "before it was quantised: 'sam3trt build --fp8' makes 8-bit engines of it");
  }
  const std::string_view relative = find_model(tensors, kRelatives);
  if (relative.empty()) return;
  throw_bad_input(where + ": seems to be " + std::string(relative) + std::string(kOtherSam));
}

std::string guess_model(Tensors tensors) {
  const std::string_view stranger = find_model(tensors, kStrangers);
  return stranger.empty() ? "" : "; it seems to be " + std::string(stranger);
}

}  // namespace sam3trt
