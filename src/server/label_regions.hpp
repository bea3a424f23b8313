#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "sam3trt/object_prompt.hpp"
#include "sam3trt/prompt.hpp"
#include "server/label_config.hpp"

namespace sam3trt {

/// What was drawn in Label Studio's editor, in pixels.
struct DrawnContext {
  std::vector<ObjectPoint> points;
  std::vector<PixelBox> boxes;
  std::vector<std::string> texts;
  std::string label;  ///< Of the last region that has one; empty where none has.
};

/// The regions of a context, {"result": [..]}, on an image of that size. Throws HttpError 422 for
/// other regions than clicks (KeyPointLabels), rectangles and texts (TextArea).
[[nodiscard]] DrawnContext read_context(const nlohmann::json& context, int64_t width,
                                        int64_t height);

/// A mask to be written as a region.
struct LabelledMask {
  std::span<const uint32_t> counts;
  double score = 0;
  std::string label;
};

/// Regions of the tag for the mask: one; of polygons, one for each of its parts. None for an empty
/// mask.
[[nodiscard]] nlohmann::json regions_of(const LabelTag& tag, const LabelledMask& mask,
                                        int64_t width, int64_t height);

}  // namespace sam3trt
