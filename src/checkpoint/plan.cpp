#include "checkpoint/plan.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/error.hpp"
#include "checkpoint/name_list.hpp"
#include "checkpoint/other_models.hpp"
#include "checkpoint/wrapped_names.hpp"

namespace sam3trt {
namespace {

bool is_weight_type(const std::optional<DType>& dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 ||
         dtype == DType::kF64;
}

/// Whether the end of a name, from one of its dots on, is a name of the model itself.
bool has_suffix_in(const std::unordered_map<std::string_view, size_t>& names,
                   std::string_view name) {
  for (size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
    if (names.contains(name.substr(dot + 1))) return true;
  }
  return false;
}

struct Problems {
  std::vector<std::string> missing;
  std::vector<std::string> unknown;
  std::vector<std::string> wrong_shape;
  std::map<std::string, std::vector<std::string>> wrong_type;  ///< By type.
  size_t needed = 0;

  void throw_if_any(Naming naming, const std::string& where) const {
    if (missing.empty() && unknown.empty() && wrong_shape.empty() && wrong_type.empty()) return;
    std::string message = where + ": its tensors are not those of the SAM 3 model it describes (" +
                          std::to_string(needed) + " are needed)";
    const size_t lists = static_cast<size_t>(!missing.empty()) +
                         static_cast<size_t>(!unknown.empty()) +
                         static_cast<size_t>(!wrong_shape.empty()) + wrong_type.size();
    const size_t most = lists <= 2 ? 10 : 5;
    message += listed_names("missing", missing, most);
    message += listed_names("unknown", unknown, most);
    message += listed_names("with a wrong shape", wrong_shape, most);
    for (const auto& [type, names] : wrong_type) {
      message += listed_names("of type " + type + ", expected F32, F16, BF16 or F64", names, most);
    }
    throw_bad_input(message + "\n" + next_step(naming));
  }

 private:
  [[nodiscard]] std::string next_step(Naming naming) const {
    if (!missing.empty() && !unknown.empty() && missing.size() < needed) {
      return "Names that are missing and names that are unknown may be the same tensors renamed: "
             "save the state dict of the model under the names of its own code.";
    }
    if (!wrong_shape.empty() && naming == Naming::kHuggingFace) {
      return "The config.json beside the weights must be the one they were saved with.";
    }
    if (!missing.empty()) return "Save the state dict of the whole model: model.state_dict().";
    if (!unknown.empty()) {
      return "Layers that were added to the model cannot be exported; leave their tensors out only "
             "if it works without them.";
    }
    return "Save the state dict in a floating-point type: model.float().state_dict().";
  }
};

}  // namespace

Naming detect_naming(std::span<const StoredTensor> tensors, const std::string& where) {
  refuse_other_models(tensors, where);
  for (const StoredTensor& tensor : tensors) {
    if (const auto naming = naming_of(tensor.name)) return *naming;
  }
  const std::string first = tensors.empty() ? "none" : "\"" + tensors.front().name + "\" first";
  throw_bad_input(where +
                  ": holds no SAM 3 model: expected tensors named like "
                  "vision_encoder.backbone... (Hugging Face) or "
                  "detector.backbone.vision_backbone.trunk... (Meta), found " +
                  std::to_string(tensors.size()) + " tensors, " + first + guess_model(tensors));
}

void refuse_without_mask_head(std::span<const std::string> names, Naming naming,
                              const std::string& where) {
  const std::string head = naming == Naming::kMeta ? "segmentation_head." : "mask_decoder.";
  const auto in_head = [&](const std::string& name) { return name.starts_with(head); };
  if (std::ranges::any_of(names, in_head)) return;
  throw_bad_input(where + ": has no mask head (" + head +
                  "*): the model was saved without one, as Meta's recipes for fine-tuning on boxes "
                  "do, which set enable_segmentation: False; set it to True and save the model "
                  "again, or add the " +
                  head + "* tensors of the checkpoint that the training began with");
}

TensorPlan plan_tensors(std::span<const StoredTensor> tensors, Naming naming,
                        const Sam3Config& config, const std::string& where) {
  const ModelNames model = unwrap_names(tensors, naming);
  const std::string& prefix = model.prefix;
  const std::vector<std::string>& names = model.names;
  std::unordered_map<std::string_view, size_t> by_name;
  std::vector<char> used(tensors.size(), 0);
  Problems problems;
  TensorPlan plan;
  for (size_t i = 0; i < names.size(); ++i) {
    if (model.other_copy[i]) {
      plan.unused.push_back(i);
      used[i] = 1;
      continue;
    }
    if (by_name.emplace(names[i], i).second) continue;
    problems.unknown.push_back(tensors[i].name + " (there with and without its prefix)");
    used[i] = 1;
  }
  std::unordered_set<std::string_view> missing;
  const std::vector<NamedTensor> list = needed_tensors(config);
  problems.needed = list.size();
  for (const NamedTensor& needed : list) {
    const bool meta = naming == Naming::kMeta;
    const bool part = !meta && !needed.hf_name.empty();
    const std::string& name = meta ? needed.meta_name : part ? needed.hf_name : needed.name;
    const Shape& shape = meta ? needed.meta_shape : part ? needed.hf_shape : needed.shape;
    const auto found = by_name.find(name);
    if (found == by_name.end()) {
      // A packed tensor is asked for once per part.
      if (missing.insert(name).second) {
        problems.missing.push_back(prefix + name + " " + to_string(shape));
      }
      continue;
    }
    const StoredTensor& source = tensors[found->second];
    const bool first_use = used[found->second] == 0;
    used[found->second] = 1;
    if (first_use && source.shape != shape) {
      problems.wrong_shape.push_back(source.name + ": expected " + to_string(shape) + ", found " +
                                     to_string(source.shape));
    } else if (first_use && !is_weight_type(source.dtype)) {
      problems.wrong_type[source.dtype_name].push_back(source.name);
    }
    plan.tensors.push_back(
        {needed.name, needed.shape, found->second, meta ? needed.meta_offset : needed.hf_offset});
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (used[i] != 0) continue;
    if (is_unused_tensor(naming, names[i], config.tracker.has_value())) {
      plan.unused.push_back(i);
    } else {
      problems.unknown.push_back(
          tensors[i].name + " " + to_string(tensors[i].shape) +
          (has_suffix_in(by_name, names[i]) ? " (there with and without its prefix)" : ""));
    }
  }
  problems.throw_if_any(naming, where);
  return plan;
}

}  // namespace sam3trt
