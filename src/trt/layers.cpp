#include "trt/layers.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sam3trt {
namespace {

/// Objects at the detailed verbosity of the build, plain names below it.
std::string name_of(const nlohmann::json& layer) {
  if (layer.is_string()) return layer.get<std::string>();
  if (layer.is_object() && layer.contains("Name") && layer["Name"].is_string()) {
    return layer["Name"].get<std::string>();
  }
  return {};
}

/// The profile that a layer's name is marked with, "[profile 1]"; the first one's have no mark.
int64_t profile_of(const std::string& name) {
  constexpr std::string_view kMark = "[profile ";
  const size_t begin = name.find(kMark);
  if (begin == std::string::npos) return 0;
  const char digit = name[std::min(begin + kMark.size(), name.size() - 1)];
  return digit >= '0' && digit <= '9' ? digit - '0' : 0;
}

}  // namespace

int64_t count_fused_attentions(std::string_view layers_json) {
  const auto json = nlohmann::json::parse(layers_json, nullptr, false);
  if (!json.is_object() || !json.contains("Layers") || !json["Layers"].is_array()) return 0;
  std::vector<int64_t> counts = {0};
  int64_t unmarked = 0;
  for (const nlohmann::json& layer : json["Layers"]) {
    const std::string name = name_of(layer);
    const auto profile = static_cast<size_t>(profile_of(name));
    if (profile >= counts.size()) counts.resize(profile + 1);
    if (name.find("mha") == std::string::npos) continue;
    // Names that the library makes itself, such as _gemm_mha_v2_myl0_13, have no mark in any
    // profile.
    ++(name.front() == '_' ? unmarked : counts[profile]);
  }
  return *std::ranges::min_element(counts) + unmarked / static_cast<int64_t>(counts.size());
}

}  // namespace sam3trt
