#include "server/label_regions.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <random>

#include "image/polygon.hpp"
#include "image/rle.hpp"
#include "runtime/rounded.hpp"
#include "server/brush_rle.hpp"
#include "server/foreign_json.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

/// Regions are told apart by these in the editor.
std::string new_id() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::uniform_int_distribution<size_t> choose(0, kLetters.size() - 1);
  std::string id;
  for (int i = 0; i < 10; ++i) id.push_back(kLetters[choose(random)]);
  return id;
}

/// Of a side of the image.
double percent(double pixels, int64_t side) {
  return rounded(100 * pixels / static_cast<double>(side), 6);
}

/// A rectangle that is turned about its upper left corner: the box around it.
PixelBox box_of(const RequestFields& value, int64_t width, int64_t height) {
  const double unit_x = static_cast<double>(width) / 100;
  const double unit_y = static_cast<double>(height) / 100;
  const double x = value.needed_number("x") * unit_x;
  const double y = value.needed_number("y") * unit_y;
  const double right = value.needed_number("width") * unit_x;
  const double down = value.needed_number("height") * unit_y;
  const double angle = value.number("rotation").value_or(0) * std::numbers::pi / 180;
  const double xs[] = {0, right * std::cos(angle), -down * std::sin(angle),
                       right * std::cos(angle) - down * std::sin(angle)};
  const double ys[] = {0, right * std::sin(angle), down * std::cos(angle),
                       right * std::sin(angle) + down * std::cos(angle)};
  const auto clamp_x = [&](double at) { return std::clamp(at, 0.0, static_cast<double>(width)); };
  const auto clamp_y = [&](double at) { return std::clamp(at, 0.0, static_cast<double>(height)); };
  return {clamp_x(x + std::ranges::min(xs)), clamp_y(y + std::ranges::min(ys)),
          clamp_x(x + std::ranges::max(xs)), clamp_y(y + std::ranges::max(ys))};
}

void read_region(const Json& json, const std::string& path, int64_t width, int64_t height,
                 DrawnContext& context) {
  const RequestFields region(json, path);
  const std::string type = region.needed_text("type");
  const Json* fields = region.object("value");
  if (fields == nullptr) region.refuse("value", "a JSON object");
  const RequestFields value(*fields, region.path("value"));
  const Json* labels = value.list(type);
  if (labels != nullptr && !labels->empty() && labels->front().is_string()) {
    context.label = labels->front().get<std::string>();
  }
  if (type == "keypointlabels" || type == "keypoint") {
    const bool positive =
        region.boolean("is_positive").value_or(value.boolean("is_positive").value_or(true));
    const auto at = [&](const char* name, int64_t side) {
      return std::clamp(value.needed_number(name) * static_cast<double>(side) / 100, 0.0,
                        std::nextafter(static_cast<double>(side), 0.0));
    };
    context.points.push_back({at("x", width), at("y", height), positive});
  } else if (type == "rectanglelabels" || type == "rectangle") {
    context.boxes.push_back(box_of(value, width, height));
  } else if (type == "textarea") {
    const Json* texts = value.list("text");
    if (texts == nullptr) value.refuse("text", "a list of texts");
    for (const Json& text : *texts) {
      if (!text.is_string()) value.refuse("text", "a list of texts");
      context.texts.push_back(text.get<std::string>());
    }
  } else {
    region.refuse("type",
                  "\"keypointlabels\", \"rectanglelabels\" or \"textarea\"; other regions "
                  "do not point at objects");
  }
}

Json polygons_of(const LabelledMask& mask, int64_t width, int64_t height) {
  Json values = Json::array();
  for (const Ring& ring : mask_outlines(mask.counts, height, width, OutlinePoints::kPixelCorners)) {
    Json points = Json::array();
    for (const RingPoint point : ring) {
      points.push_back({percent(point.x, width), percent(point.y, height)});
    }
    values.push_back({{"points", std::move(points)}, {"closed", true}});
  }
  return values;
}

Json rectangle_of(const LabelledMask& mask, int64_t width, int64_t height) {
  // First and last pixels; the last one ends a pixel later.
  const auto box = rle_box(mask.counts, height);
  return {{"x", percent(box[0], width)},
          {"y", percent(box[1], height)},
          {"width", percent(box[2] + 1 - box[0], width)},
          {"height", percent(box[3] + 1 - box[1], height)},
          {"rotation", 0}};
}

}  // namespace

DrawnContext read_context(const Json& context, int64_t width, int64_t height) {
  const RequestFields fields(context, "params.context");
  const Json* regions = fields.list("result");
  if (regions == nullptr) fields.refuse("result", "a list of regions");
  DrawnContext drawn;
  for (size_t i = 0; i < regions->size(); ++i) {
    read_region((*regions)[i], fields.path("result[" + std::to_string(i) + "]"), width, height,
                drawn);
  }
  return drawn;
}

Json regions_of(const LabelTag& tag, const LabelledMask& mask, int64_t width, int64_t height) {
  if (rle_area(mask.counts) == 0) return Json::array();
  Json values = Json::array();
  if (tag.type == "brushlabels") {
    values.push_back({{"format", "rle"}, {"rle", brush_rle(mask.counts, height, width)}});
  } else if (tag.type == "polygonlabels") {
    values = polygons_of(mask, width, height);
  } else {
    values.push_back(rectangle_of(mask, width, height));
  }
  Json regions = Json::array();
  for (Json& value : values) {
    value[tag.type] = Json::array({mask.label});
    regions.push_back({{"id", new_id()},
                       {"from_name", tag.name},
                       {"to_name", tag.to_name},
                       {"type", tag.type},
                       {"original_width", width},
                       {"original_height", height},
                       {"image_rotation", 0},
                       {"score", rounded(mask.score, 6)},
                       {"value", std::move(value)}});
  }
  return regions;
}

}  // namespace sam3trt
