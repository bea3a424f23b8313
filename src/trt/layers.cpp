#include "trt/layers.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

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

/// "[profile 1"; TensorRT may leave it out for layers of the first profile.
std::string profile_of(const std::string& name) {
  const size_t begin = name.find("[profile ");
  return begin == std::string::npos ? "" : name.substr(begin, name.find(']', begin) - begin);
}

}  // namespace

int64_t count_fused_attentions(std::string_view layers_json) {
  const auto json = nlohmann::json::parse(layers_json, nullptr, false);
  if (!json.is_object() || !json.contains("Layers") || !json["Layers"].is_array()) return 0;
  std::map<std::string, int64_t> counts;
  for (const nlohmann::json& layer : json["Layers"]) {
    const std::string name = name_of(layer);
    counts[profile_of(name)] += name.find("mha") == std::string::npos ? 0 : 1;
  }
  // Where the layers of the first profile are marked too, those without a mark belong to none.
  if (counts.contains("[profile 0")) counts.erase("");
  const auto fewest =
      std::ranges::min_element(counts, {}, [](const auto& entry) { return entry.second; });
  return fewest == counts.end() ? 0 : fewest->second;
}

}  // namespace sam3trt
