#pragma once

#include <optional>
#include <string>
#include <vector>

namespace sam3trt {

/// A label and the texts that are looked for to find it: those of its attribute predicted_values,
/// separated by commas, else its value.
struct LabelTexts {
  std::string value;
  std::vector<std::string> texts;
};

/// The tag of a labeling configuration that regions are written for.
struct LabelTag {
  std::string type;  ///< "brushlabels", "polygonlabels" or "rectanglelabels".
  std::string name;
  std::string to_name;
  std::string image_field;  ///< Of a task's data: "image" for value="$image".
  std::vector<LabelTexts> labels;
  std::optional<double> threshold{};  ///< Attribute model_score_threshold.
};

/// The tag of a Label Studio labeling configuration that takes masks best: BrushLabels, or
/// PolygonLabels, or RectangleLabels. Throws HttpError 422 for what is not XML or has no such tag
/// for an Image with a value "$field".
[[nodiscard]] LabelTag parse_label_config(const std::string& xml);

}  // namespace sam3trt
