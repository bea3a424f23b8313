#include "trt/layers.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sam3trt {

int64_t count_fused_attentions(std::string_view layers_json) {
  const auto json = nlohmann::json::parse(layers_json, nullptr, false);
  if (!json.is_object() || !json.contains("Layers") || !json["Layers"].is_array()) return 0;
  return std::ranges::count_if(json["Layers"], [](const nlohmann::json& layer) {
    // Objects at the detailed verbosity of the build, plain names below it.
    std::string name;
    if (layer.is_string()) name = layer.get<std::string>();
    if (layer.is_object() && layer.contains("Name") && layer["Name"].is_string()) {
      name = layer["Name"].get<std::string>();
    }
    return name.find("mha") != std::string::npos;
  });
}

}  // namespace sam3trt
