#include "server/label_config.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <pugixml.hpp>
#include <string_view>

#include "base/lower.hpp"
#include "server/http.hpp"

namespace sam3trt {
namespace {

constexpr const char* kField = "label_config";

[[noreturn]] void refuse(const std::string& problem) {
  throw HttpError(422, "bad_label_config", std::string(kField) + ": " + problem, kField);
}

std::string attribute(pugi::xml_node node, const char* name) {
  return node.attribute(name).as_string();
}

std::string without_spaces(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1));
}

std::vector<std::string> comma_separated(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string part = without_spaces(text.substr(0, comma));
    if (!part.empty()) parts.push_back(std::move(part));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

std::vector<LabelTexts> labels_of(pugi::xml_node tag) {
  std::vector<LabelTexts> labels;
  for (const pugi::xpath_node found : tag.select_nodes(".//Label")) {
    LabelTexts label{attribute(found.node(), "value"), {}};
    if (label.value.empty() || label.value.starts_with('$')) continue;
    label.texts = comma_separated(attribute(found.node(), "predicted_values"));
    if (label.texts.empty()) label.texts = {label.value};
    labels.push_back(std::move(label));
  }
  return labels;
}

std::optional<double> threshold_of(pugi::xml_node tag) {
  const std::string text = attribute(tag, "model_score_threshold");
  if (text.empty()) return std::nullopt;
  double value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() ||
      !(value >= 0 && value <= 1)) {
    refuse("model_score_threshold: expected a number from 0 to 1");
  }
  return value;
}

}  // namespace

LabelTag parse_label_config(const std::string& xml) {
  pugi::xml_document document;
  const auto parsed = document.load_buffer(xml.data(), xml.size());
  if (!parsed) refuse(std::string("is not XML: ") + parsed.description());
  std::map<std::string, std::string> images;
  for (const pugi::xpath_node image : document.select_nodes("//Image")) {
    const std::string value = attribute(image.node(), "value");
    if (value.starts_with('$')) images[attribute(image.node(), "name")] = value.substr(1);
  }
  for (const std::string type : {"BrushLabels", "PolygonLabels", "RectangleLabels"}) {
    for (const pugi::xpath_node found : document.select_nodes(("//" + type).c_str())) {
      const auto image = images.find(attribute(found.node(), "toName"));
      LabelTag tag{lower(type),
                   attribute(found.node(), "name"),
                   attribute(found.node(), "toName"),
                   {},
                   labels_of(found.node())};
      if (image == images.end() || tag.labels.empty()) continue;
      tag.image_field = image->second;
      tag.threshold = threshold_of(found.node());
      return tag;
    }
  }
  refuse(
      "expected BrushLabels, PolygonLabels or RectangleLabels with at least one Label, whose "
      "toName is an Image with a value such as \"$image\"");
}

}  // namespace sam3trt
