#include "server/roboflow.hpp"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "image/polygon.hpp"
#include "image/rle.hpp"
#include "runtime/rounded.hpp"
#include "server/foreign_json.hpp"
#include "server/mask_nms.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

enum class MaskFormat { kPolygon, kRle };

HttpResponse answer(const Json& json) {
  HttpResponse response;
  response.body = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return response;
}

double seconds_since(Clock::time_point begin) {
  return rounded(std::chrono::duration<double>(Clock::now() - begin).count(), 6);
}

ServedImage image_of(const RequestFields& request, const RequestImages& images) {
  const Json* image = request.find("image");
  if (image == nullptr) request.refuse("image", "{\"type\": \"base64\", \"value\": \"..\"}");
  if (image->is_array() && image->size() == 1) image = &image->front();
  const RequestFields fields(*image, "image");
  const std::string type = fields.needed_text("type");
  const std::string value = fields.needed_text("value");
  if (type == "base64") return images.of_base64(value, "image.value").served;
  if (type == "url") return images.of_url(value, {}, "image.value").served;
  fields.refuse("type", "\"base64\" or \"url\"");
}

MaskFormat format_of(const RequestFields& request) {
  const std::string format = request.text("format").value_or("polygon");
  if (format == "polygon" || format == "json") return MaskFormat::kPolygon;
  if (format == "rle") return MaskFormat::kRle;
  request.refuse("format", "\"polygon\", \"json\" (the same) or \"rle\"");
}

Json prediction(const std::vector<uint32_t>& counts, double score, const ImageResult& result,
                MaskFormat format) {
  Json json{{"confidence", rounded(score, 6)}};
  if (format == MaskFormat::kRle) {
    json["format"] = "rle";
    json["masks"] = {{"size", {result.height, result.width}}, {"counts", rle_to_string(counts)}};
    return json;
  }
  json["format"] = "polygon";
  Json rings = Json::array();
  for (const Ring& ring :
       mask_outlines(counts, result.height, result.width, OutlinePoints::kPixels)) {
    Json points = Json::array();
    for (const RingPoint point : ring) points.push_back({point.x, point.y});
    rings.push_back(std::move(points));
  }
  json["masks"] = std::move(rings);
  return json;
}

bool label_of(const RequestFields& fields, const Json& label, const std::string& name) {
  if (label.is_boolean()) return label.get<bool>();
  if (!label.is_number_integer() || (label != 0 && label != 1)) {
    fields.refuse(name, "1 or true (wanted), 0 or false (not wanted)");
  }
  return label == 1;
}

double probability(const RequestFields& fields, const std::string& name, double fallback) {
  const double value = fields.number(name).value_or(fallback);
  if (value < 0 || value > 1) fields.refuse(name, "a number from 0 to 1");
  return value;
}

/// Examples are {x0, y0, x1, y1}, or {x, y, width, height} with the upper left corner.
PixelBox example_box(const Json& json, const std::string& path) {
  const RequestFields box(json, path);
  if (box.find("x0") != nullptr) {
    return {box.needed_number("x0"), box.needed_number("y0"), box.needed_number("x1"),
            box.needed_number("y1")};
  }
  const double x = box.needed_number("x");
  const double y = box.needed_number("y");
  return {x, y, x + box.needed_number("width"), y + box.needed_number("height")};
}

/// A prompt for what is looked for, with the threshold that it has for itself.
struct Concept {
  Prompt prompt;
  std::string type;
  double threshold = 0;
};

Concept concept_of(const Json& json, const std::string& path, double threshold) {
  const RequestFields fields(json, path);
  Concept wanted{
      {fields.text("text"), {}}, {}, probability(fields, "output_prob_thresh", threshold)};
  if (wanted.prompt.text && wanted.prompt.text->empty()) wanted.prompt.text.reset();
  const Json* boxes = fields.list("boxes");
  const Json* labels = fields.list("box_labels");
  const size_t count = boxes == nullptr ? 0 : boxes->size();
  if (labels != nullptr && labels->size() != count) {
    fields.refuse("box_labels", std::to_string(count) + " labels, one for each box, found " +
                                    std::to_string(labels->size()));
  }
  for (size_t i = 0; i < count; ++i) {
    wanted.prompt.boxes.push_back(
        {example_box((*boxes)[i], fields.path("boxes[" + std::to_string(i) + "]")),
         labels == nullptr || label_of(fields, (*labels)[i], "box_labels")});
  }
  wanted.type = fields.text("type").value_or(wanted.prompt.text || count == 0 ? "text" : "visual");
  if (wanted.type == "visual" && count == 0) fields.refuse("boxes", "at least one box");
  if (!wanted.prompt.text && count == 0) fields.refuse("text", "a text, or boxes beside it");
  return wanted;
}

HttpResponse concept_segment(const HttpRequest& http, Service& service,
                             const RequestImages& images) {
  const auto begin = Clock::now();
  const Json body = json_body(http.body);
  const RequestFields request(body, "");
  const MaskFormat format = format_of(request);
  const double common = probability(request, "output_prob_thresh", 0.5);
  const Json* list = request.list("prompts");
  if (list == nullptr || list->empty()) request.refuse("prompts", "a list of at least one prompt");
  std::vector<Concept> concepts;
  std::vector<Prompt> prompts;
  DetectOptions options;
  options.thresholds.score = 1;
  for (const Json& json : *list) {
    const std::string path = "prompts[" + std::to_string(concepts.size()) + "]";
    concepts.push_back(concept_of(json, path, common));
    prompts.push_back(concepts.back().prompt);
    options.thresholds.score = std::min(options.thresholds.score, concepts.back().threshold);
  }
  std::optional<double> nms;
  if (request.find("nms_iou_threshold") != nullptr) {
    nms = probability(request, "nms_iou_threshold", 1);
  }
  ImageResult result = service.detect(image_of(request, images), prompts, options, http);
  throw_if_failed(result);
  for (size_t i = 0; i < concepts.size(); ++i) {
    std::erase_if(result.prompts[i].instances, [&](const Instance& instance) {
      return static_cast<double>(instance.score) < concepts[i].threshold;
    });
  }
  if (nms) suppress_overlaps(result, *nms);
  Json results = Json::array();
  for (size_t i = 0; i < concepts.size(); ++i) {
    Json predictions = Json::array();
    for (const Instance& instance : result.prompts[i].instances) {
      predictions.push_back(prediction(instance.counts, instance.score, result, format));
    }
    const Prompt& prompt = concepts[i].prompt;
    results.push_back({{"prompt_index", i},
                       {"echo",
                        {{"prompt_index", i},
                         {"type", concepts[i].type},
                         {"text", prompt.text ? Json(*prompt.text) : Json()},
                         {"num_boxes", prompt.boxes.size()}}},
                       {"predictions", std::move(predictions)}});
  }
  return answer({{"prompt_results", std::move(results)}, {"time", seconds_since(begin)}});
}

/// Objects have boxes with their middle {x, y, width, height}, or {x0, y0, x1, y1}, {x1, y1, x2,
/// y2} and [x0, y0, x1, y1].
PixelBox object_box(const RequestFields& owner, const Json& json, const std::string& name) {
  if (json.is_array()) {
    const bool good = json.size() == 4 && std::ranges::all_of(json, [](const Json& value) {
                        return value.is_number();
                      });
    if (!good) owner.refuse(name, "[x0, y0, x1, y1]");
    return {json[0].get<double>(), json[1].get<double>(), json[2].get<double>(),
            json[3].get<double>()};
  }
  const RequestFields box(json, owner.path(name));
  if (box.find("width") == nullptr) {
    const bool from_zero = box.find("x0") != nullptr;
    const std::string first = from_zero ? "0" : "1";
    const std::string second = from_zero ? "1" : "2";
    return {box.needed_number("x" + first), box.needed_number("y" + first),
            box.needed_number("x" + second), box.needed_number("y" + second)};
  }
  const double x = box.needed_number("x");
  const double y = box.needed_number("y");
  const double half_width = box.needed_number("width") / 2;
  const double half_height = box.needed_number("height") / 2;
  return {x - half_width, y - half_height, x + half_width, y + half_height};
}

ObjectPrompt object_of(const Json& json, const std::string& path) {
  const RequestFields fields(json, path);
  ObjectPrompt object;
  if (const Json* box = fields.find("box")) object.box = object_box(fields, *box, "box");
  if (const Json* points = fields.list("points")) {
    for (const Json& point : *points) {
      const std::string name = "points[" + std::to_string(object.points.size()) + "]";
      const RequestFields at(point, fields.path(name));
      object.points.push_back(
          {at.needed_number("x"), at.needed_number("y"), at.boolean("positive").value_or(true)});
    }
  }
  if (!object.box && object.points.empty()) fields.refuse("points", "points, or a box");
  return object;
}

/// "prompts": {"prompts": [..]}, a list, or one prompt; and "boxes".
std::vector<ObjectPrompt> objects_of(const RequestFields& request) {
  std::vector<ObjectPrompt> objects;
  const auto add_all = [&](const Json& list) {
    for (size_t i = 0; i < list.size(); ++i) {
      objects.push_back(object_of(list[i], "prompts[" + std::to_string(i) + "]"));
    }
  };
  if (const Json* prompts = request.find("prompts")) {
    if (prompts->is_array()) {
      add_all(*prompts);
    } else {
      const RequestFields fields(*prompts, "prompts");
      if (const Json* list = fields.list("prompts")) {
        add_all(*list);
      } else if (!prompts->contains("prompts")) {
        objects.push_back(object_of(*prompts, "prompts"));
      }
    }
  }
  if (const Json* boxes = request.list("boxes")) {
    for (size_t i = 0; i < boxes->size(); ++i) {
      ObjectPrompt object;
      object.box = object_box(request, (*boxes)[i], "boxes[" + std::to_string(i) + "]");
      objects.push_back(std::move(object));
    }
  }
  if (objects.empty()) request.refuse("prompts", "at least one prompt with points or a box");
  int64_t id = 0;
  for (ObjectPrompt& object : objects) object.id = ++id;
  return objects;
}

HttpResponse visual_segment(const HttpRequest& http, Service& service,
                            const RequestImages& images) {
  const auto begin = Clock::now();
  const Json body = json_body(http.body);
  const RequestFields request(body, "");
  const MaskFormat format = format_of(request);
  const std::vector<ObjectPrompt> objects = objects_of(request);
  InteractOptions options;
  options.multimask = request.boolean("multimask_output").value_or(true);
  const ImageResult result = service.interact(image_of(request, images), objects, options, http);
  throw_if_failed(result);
  Json predictions = Json::array();
  for (const ObjectResult& object : result.objects) {
    predictions.push_back(prediction(object.counts, object.score, result, format));
  }
  return answer({{"predictions", std::move(predictions)}, {"time", seconds_since(begin)}});
}

HttpResponse embed_image(const HttpRequest& http, Service& service, const RequestImages& images) {
  const auto begin = Clock::now();
  const Json body = json_body(http.body);
  const RequestFields request(body, "");
  const ServedImage image = image_of(request, images);
  service.encode(image, http);
  return answer({{"image_id", request.text("image_id").value_or(image.digest)},
                 {"time", seconds_since(begin)}});
}

/// The usual form, and "message", which these clients show.
std::string error_with_message(HttpProblem& problem) {
  Json body = Json::parse(to_response(problem).body);
  body["message"] = problem.message;
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// `api_key` of the body, where these clients have it.
std::string key_of(const HttpRequest& request) {
  try {
    const Json body = json_body(request.body);
    return RequestFields(body, "").text("api_key").value_or("");
  } catch (const HttpError&) {
    return {};
  }
}

}  // namespace

void add_roboflow_routes(Routes& routes, Service& service, const RequestImages& images) {
  using Route = HttpResponse (*)(const HttpRequest&, Service&, const RequestImages&);
  const auto add = [&](const std::string& path, Route route) {
    routes.add("POST", path,
               [&service, &images, route](const HttpRequest& request) {
                 return route(request, service, images);
               },
               {.token = key_of, .errors = error_with_message});
  };
  add("/sam3/concept_segment", concept_segment);
  add("/sam3/visual_segment", visual_segment);
  add("/sam3/embed_image", embed_image);
}

}  // namespace sam3trt
