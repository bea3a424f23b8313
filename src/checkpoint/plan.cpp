#include "checkpoint/plan.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr size_t kMaxListed = 40;

/// A heading and its lines, cut after kMaxListed.
void append_list(std::string& message, const std::string& heading,
                 const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  message += "\n" + std::to_string(lines.size()) + " " + heading + ":";
  for (size_t i = 0; i < std::min(lines.size(), kMaxListed); ++i) message += "\n  " + lines[i];
  if (lines.size() > kMaxListed) {
    message += "\n  ... and " + std::to_string(lines.size() - kMaxListed) + " more";
  }
}

bool is_weight_type(const std::optional<DType>& dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

struct Problems {
  std::vector<std::string> missing;
  std::vector<std::string> unknown;
  std::vector<std::string> wrong_shape;
  std::vector<std::string> wrong_type;

  void throw_if_any(const std::string& where) const {
    if (missing.empty() && unknown.empty() && wrong_shape.empty() && wrong_type.empty()) return;
    std::string message = where + ": its tensors are not those of the SAM 3 model it describes";
    append_list(message, "missing", missing);
    append_list(message, "unknown", unknown);
    append_list(message, "with a wrong shape", wrong_shape);
    append_list(message, "with a type that is not F32, F16 or BF16", wrong_type);
    throw_bad_input(message + "\nUse the checkpoint's own, unmodified files.");
  }
};

}  // namespace

Naming detect_naming(std::span<const StoredTensor> tensors, const std::string& where) {
  for (const StoredTensor& tensor : tensors) {
    if (tensor.name.find("vision_backbone.trunk.") != std::string::npos) return Naming::kMeta;
    if (tensor.name.find("vision_encoder.backbone.") != std::string::npos) {
      return Naming::kHuggingFace;
    }
  }
  const std::string first = tensors.empty() ? "none" : "\"" + tensors.front().name + "\" first";
  throw_bad_input(where +
                  ": holds no SAM 3 model: expected tensors named like "
                  "vision_encoder.backbone... (Hugging Face) or "
                  "detector.backbone.vision_backbone.trunk... (Meta), found " +
                  std::to_string(tensors.size()) + " tensors, " + first);
}

std::string_view detector_prefix(std::span<const StoredTensor> tensors, Naming naming) {
  const std::string_view prefix = naming == Naming::kMeta ? "detector." : "detector_model.";
  const bool used = std::ranges::any_of(
      tensors, [&](const StoredTensor& tensor) { return tensor.name.starts_with(prefix); });
  return used ? prefix : "";
}

std::vector<std::string> detector_names(std::span<const StoredTensor> tensors, Naming naming) {
  const std::string_view prefix = detector_prefix(tensors, naming);
  std::vector<std::string> names;
  names.reserve(tensors.size());
  for (const StoredTensor& tensor : tensors) {
    names.push_back(tensor.name.starts_with(prefix) ? tensor.name.substr(prefix.size())
                                                    : tensor.name);
  }
  return names;
}

TensorPlan plan_tensors(std::span<const StoredTensor> tensors, Naming naming,
                        const Sam3Config& config, const std::string& where) {
  const std::string prefix(detector_prefix(tensors, naming));
  const std::vector<std::string> names = detector_names(tensors, naming);
  std::unordered_map<std::string_view, size_t> by_name;
  std::vector<char> used(tensors.size(), 0);
  Problems problems;
  for (size_t i = 0; i < names.size(); ++i) {
    if (by_name.emplace(names[i], i).second) continue;
    problems.unknown.push_back(tensors[i].name + " (there with and without its prefix)");
    used[i] = 1;
  }
  TensorPlan plan;
  std::unordered_set<std::string_view> missing;
  const std::vector<NamedTensor> list = needed_tensors(config);
  for (const NamedTensor& needed : list) {
    const bool meta = naming == Naming::kMeta;
    const std::string& name = meta ? needed.meta_name : needed.name;
    const Shape& shape = meta ? needed.meta_shape : needed.shape;
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
      problems.wrong_type.push_back(source.name + ": " + source.dtype_name);
    }
    plan.tensors.push_back(
        {needed.name, needed.shape, found->second, meta ? needed.meta_offset : 0});
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (used[i] != 0) continue;
    if (is_unused_tensor(naming, names[i])) {
      plan.unused.push_back(i);
    } else {
      problems.unknown.push_back(tensors[i].name + " " + to_string(tensors[i].shape));
    }
  }
  problems.throw_if_any(where);
  return plan;
}

}  // namespace sam3trt
