#include "checkpoint/wrapped_names.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

namespace sam3trt {
namespace {

// Components that wrap one module and may stand anywhere in a name: torch.compile
// (torch/_dynamo/eval_frame.py), FullyShardedDataParallel, the checkpoint wrapper
// (torch/distributed), and DataParallel, DistributedDataParallel or DeepSpeed.
constexpr std::array<std::string_view, 4> kModuleWrappers = {
    "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "module"};

constexpr std::array<std::string_view, 6> kAverages = {"ema",     "averaged", "avg",
                                                       "average", "teacher",  "swa"};
constexpr std::array<std::string_view, 9> kOptimizers = {
    "optimizer", "optimizers",      "optim",        "exp_avg",       "exp_avg_sq",
    "momentum",  "momentum_buffer", "param_groups", "max_exp_avg_sq"};

constexpr std::string_view kMetaTrunk = "backbone.vision_backbone.trunk.";
constexpr std::string_view kHuggingFaceTrunk = "vision_encoder.backbone.";

/// Calls `visit` with each dotted component.
template <typename Visit>
void for_each_component(std::string_view name, Visit visit) {
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size());
    visit(name.substr(begin, end - begin));
    begin = end + 1;
  }
}

std::string without_module_wrappers(std::string_view name) {
  std::string result;
  for_each_component(name, [&](std::string_view component) {
    if (std::ranges::find(kModuleWrappers, component) != kModuleWrappers.end()) return;
    if (!result.empty()) result += '.';
    result += component;
  });
  return result;
}

/// Where `part` begins in a name, at the start of a component.
size_t find_part(std::string_view name, std::string_view part) {
  for (size_t at = name.find(part); at != std::string_view::npos; at = name.find(part, at + 1)) {
    if (at == 0 || name[at - 1] == '.') return at;
  }
  return std::string_view::npos;
}

// What Meta's code calls the tracker elsewhere than in `sam3.pt`: the image model with clicks
// (model_builder.py, build_sam3_image_model) and training.
constexpr std::array<std::string_view, 3> kOtherTrackers = {
    "inst_interactive_predictor.model.", "sam2_predictor.model.", "sam2_predictor."};

// As transformers 5.24 saves a Sam3VideoModel.
constexpr std::string_view kDoubled = "tracker_model.tracker_model.";

// SAM 3.1's parts for clicks, which are those of SAM 3 (sam3, model/video_tracking_multiplex.py and
// model/necks.py).
constexpr std::array<std::array<std::string_view, 2>, 6> kInteractive = {{
    {"backbone.vision_backbone.interactive_convs.", "backbone.vision_backbone.sam2_convs."},
    {"tracker.model.interactive_sam_mask_decoder.", "tracker.sam_mask_decoder."},
    {"tracker.model.interactive_sam_prompt_encoder.", "tracker.sam_prompt_encoder."},
    {"tracker.model.interactive_obj_ptr_proj.", "tracker.obj_ptr_proj."},
    {"tracker.model.interactive_mask_downsample.", "tracker.mask_downsample."},
    {"tracker.model.interactivity_no_mem_embed", "tracker.no_mem_embed"},
}};

/// The tracker under the name that it has in the published files of SAM 3.
std::string with_tracker_name(std::string name, Naming naming) {
  if (naming == Naming::kHuggingFace) {
    if (!name.starts_with(kDoubled)) return name;
    return name.substr(kDoubled.size() / 2);
  }
  for (const auto& [theirs, ours] : kInteractive) {
    if (name.starts_with(theirs)) return std::string(ours) + name.substr(theirs.size());
  }
  for (const std::string_view other : kOtherTrackers) {
    if (name.starts_with(other)) return "tracker." + name.substr(other.size());
  }
  return name;
}

std::string_view trunk_of(Naming naming) {
  return naming == Naming::kMeta ? kMetaTrunk : kHuggingFaceTrunk;
}

/// Cuts `prefix` off, else the longest of its own beginnings: a file that keeps the model under
/// "model.detector." keeps its tracker under "model.tracker.".
std::string without_prefix(const std::string& name, std::string_view prefix) {
  while (!prefix.empty()) {
    if (name.starts_with(prefix)) return name.substr(prefix.size());
    const size_t dot = prefix.substr(0, prefix.size() - 1).rfind('.');
    prefix = dot == std::string_view::npos ? "" : prefix.substr(0, dot + 1);
  }
  return name;
}

template <size_t Count>
bool has_word(std::string_view words, const std::array<std::string_view, Count>& list) {
  bool found = false;
  for_each_component(words, [&](std::string_view component) {
    found = found || std::ranges::find(list, component) != list.end();
    for (size_t begin = 0; begin <= component.size();) {
      const size_t end = std::min(component.find('_', begin), component.size());
      found = found || std::ranges::find(list, component.substr(begin, end - begin)) != list.end();
      begin = end + 1;
    }
  });
  return found;
}

}  // namespace

std::optional<Naming> naming_of(std::string_view name) {
  const std::string clean = without_module_wrappers(name);
  if (find_part(clean, kMetaTrunk) != std::string_view::npos) return Naming::kMeta;
  if (find_part(clean, kHuggingFaceTrunk) != std::string_view::npos) return Naming::kHuggingFace;
  return std::nullopt;
}

bool is_averaged_copy(std::string_view words) {
  // "exp_avg" is an optimizer's, though it has the word.
  return !is_optimizer_state(words) && has_word(words, kAverages);
}

bool is_optimizer_state(std::string_view words) { return has_word(words, kOptimizers); }

ModelNames unwrap_names(std::span<const StoredTensor> tensors, Naming naming) {
  ModelNames result;
  std::set<std::string, std::less<>> prefixes;
  for (const StoredTensor& tensor : tensors) {
    result.names.push_back(without_module_wrappers(tensor.name));
    const size_t at = find_part(result.names.back(), trunk_of(naming));
    if (at != std::string::npos) prefixes.insert(result.names.back().substr(0, at));
  }
  const auto order = [](const std::string& prefix) {
    return std::tuple(is_optimizer_state(prefix), is_averaged_copy(prefix), prefix.size());
  };
  const auto chosen = std::ranges::min_element(prefixes, {}, order);
  if (chosen != prefixes.end()) {
    result.prefix = *chosen;
    prefixes.erase(chosen);
  }
  result.other_copy.resize(tensors.size(), false);
  for (size_t i = 0; i < tensors.size(); ++i) {
    std::string& name = result.names[i];
    if (!name.starts_with(result.prefix) || result.prefix.empty()) {
      result.other_copy[i] = std::ranges::any_of(
          prefixes, [&](const std::string& other) { return name.starts_with(other); });
    }
    if (!result.other_copy[i]) name = without_prefix(name, result.prefix);
    name = with_tracker_name(std::move(name), naming);
  }
  result.other_prefixes.assign(prefixes.begin(), prefixes.end());
  return result;
}

}  // namespace sam3trt
