#include "server/own_routes.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "prompts/prompt_file.hpp"
#include "runtime/model_files.hpp"
#include "runtime/prompt.hpp"
#include "runtime/result.hpp"
#include "server/fields.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

/// What a request asks about its images.
struct Asked {
  std::vector<RequestImage> images;
  std::vector<Prompt> prompts;
  std::vector<ObjectPrompt> objects;
  DetectOptions detect;
  InteractOptions interact;
};

bool is_multipart(const HttpRequest& request) {
  return request.content_type() == "multipart/form-data";
}

[[noreturn]] void refuse_type(const std::string& expected) {
  throw HttpError(415, "unsupported_media_type", "expected " + expected, "Content-Type");
}

/// The part of that name; null where there is none.
const HttpPart* find_part(const HttpRequest& request, const std::string& name) {
  const auto found = std::ranges::find(request.parts, name, &HttpPart::name);
  return found == request.parts.end() ? nullptr : &*found;
}

double parse_share(const HttpPart& part) {
  try {
    const Json value = Json::parse(part.body);
    if (value.is_number() && value >= 0.0 && value <= 1.0) return value.get<double>();
  } catch (const Json::exception&) {  // said below
  }
  throw HttpError(422, "bad_field", part.name + ": expected a number from 0 to 1", part.name);
}

PromptBox box_of(const HttpPart& part, bool positive) {
  try {
    return {parse_box(part.body, part.name), positive};
  } catch (const Error& error) {
    throw HttpError(422, "bad_field", error.what(), part.name);
  }
}

void read_images(const Fields& fields, const ServiceLimits& limits, const RequestImages& images,
                 Asked& asked) {
  const Json* one = fields.find("image");
  const Json* several = fields.list("images", limits.max_images);
  if (one != nullptr && several != nullptr) fields.refuse("images", "image or images, not both");
  if (one != nullptr) asked.images.push_back(images.read(*one, "image"));
  for (size_t i = 0; several != nullptr && i < several->size(); ++i) {
    asked.images.push_back(images.read((*several)[i], "images[" + std::to_string(i) + "]"));
  }
}

void require_images(const Asked& asked) {
  if (!asked.images.empty()) return;
  throw HttpError(422, "missing_field", "image: expected an image", "image");
}

/// The file parts named "image".
void read_image_parts(const HttpRequest& request, const ServiceLimits& limits,
                      const RequestImages& images, Asked& asked) {
  for (const HttpPart& part : request.parts) {
    if (part.name != "image") continue;
    if (asked.images.size() == limits.max_images) {
      throw HttpError(422, "bad_field",
                      "image: expected at most " + std::to_string(limits.max_images) + " images",
                      "image");
    }
    asked.images.push_back(images.of_file(part, "image"));
  }
}

void check_part_names(const HttpRequest& request, std::initializer_list<const char*> known) {
  for (const HttpPart& part : request.parts) {
    if (std::ranges::any_of(known, [&](const char* name) { return part.name == name; })) continue;
    std::string names;
    for (const char* name : known) names += (names.empty() ? "" : ", ") + std::string(name);
    throw HttpError(422, "unknown_field",
                    "a part of the request is not known here; expected " + names, part.name);
  }
}

void read_infer_json(const Json& json, const ServiceLimits& limits, const RequestImages& images,
                     Asked& asked) {
  const Fields fields(json, "", {"image", "images", "prompts", "threshold", "mask_threshold"});
  const Json* prompts = fields.find("prompts");
  if (prompts == nullptr) {
    throw HttpError(422, "missing_field", "prompts: expected a list of prompts", "prompts");
  }
  asked.prompts = read_prompts(*prompts, limits.max_prompts);
  Thresholds& thresholds = asked.detect.thresholds;
  thresholds.score = fields.number("threshold", 0, 1).value_or(thresholds.score);
  thresholds.mask = fields.number("mask_threshold", 0, 1).value_or(thresholds.mask);
  read_images(fields, limits, images, asked);
}

void read_infer_parts(const HttpRequest& request, const ServiceLimits& limits,
                      const RequestImages& images, Asked& asked) {
  check_part_names(
      request, {"image", "text", "box", "negative_box", "threshold", "mask_threshold", "request"});
  if (const HttpPart* part = find_part(request, "request")) {
    read_infer_json(parse_request_json(part->body), limits, images, asked);
  }
  std::vector<PromptBox> boxes;
  std::vector<std::string> texts;
  for (const HttpPart& part : request.parts) {
    if (part.name == "text") texts.push_back(part.body);
    if (part.name == "box") boxes.push_back(box_of(part, true));
    if (part.name == "negative_box") boxes.push_back(box_of(part, false));
    if (part.name == "threshold") asked.detect.thresholds.score = parse_share(part);
    if (part.name == "mask_threshold") asked.detect.thresholds.mask = parse_share(part);
  }
  for (std::string& text : texts) asked.prompts.push_back({std::move(text), boxes});
  if (texts.empty() && !boxes.empty()) asked.prompts.push_back({std::nullopt, boxes});
  if (asked.prompts.empty() || asked.prompts.size() > limits.max_prompts) {
    throw HttpError(
        422, "missing_field",
        "text: expected 1 to " + std::to_string(limits.max_prompts) + " texts, or boxes", "text");
  }
  read_image_parts(request, limits, images, asked);
}

Asked read_infer(const HttpRequest& request, const ServiceLimits& limits,
                 const RequestImages& images) {
  Asked asked;
  if (is_multipart(request)) {
    read_infer_parts(request, limits, images, asked);
  } else if (request.content_type() == "application/json") {
    read_infer_json(parse_request_json(request.body), limits, images, asked);
  } else {
    refuse_type("application/json or multipart/form-data");
  }
  require_images(asked);
  return asked;
}

std::vector<ObjectPrompt> read_objects(const Json& list) {
  std::vector<ObjectPrompt> objects;
  try {
    const std::string text = Json{{"objects", list}}.dump();
    PromptFile file =
        parse_prompt_file(std::as_bytes(std::span(text)), "the request", std::nullopt);
    for (PlacedObject& object : file.objects) {
      if (object.image || object.frame) {
        throw_bad_input(
            "the request: an object names an image or a frame; expected objects of "
            "the one image");
      }
      objects.push_back(std::move(object.prompt));
    }
  } catch (const Error& error) {
    throw HttpError(422, "bad_field", error.what(), "objects");
  }
  return objects;
}

void read_objects_json(const Json& json, const ServiceLimits& limits, const RequestImages& images,
                       Asked& asked) {
  const Fields fields(json, "", {"image", "objects", "multimask"});
  const Json* objects = fields.list("objects", limits.max_prompts);
  if (objects == nullptr || objects->empty()) {
    throw HttpError(422, "missing_field", "objects: expected a list of objects", "objects");
  }
  asked.objects = read_objects(*objects);
  asked.interact.multimask = fields.flag("multimask").value_or(false);
  if (const Json* image = fields.find("image")) {
    asked.images.push_back(images.read(*image, "image"));
  }
}

Asked read_object_request(const HttpRequest& request, const ServiceLimits& limits,
                          const RequestImages& images) {
  Asked asked;
  if (is_multipart(request)) {
    check_part_names(request, {"image", "request"});
    const HttpPart* part = find_part(request, "request");
    if (part == nullptr) {
      throw HttpError(422, "missing_field", "request: expected a part with JSON", "request");
    }
    read_objects_json(parse_request_json(part->body), limits, images, asked);
    read_image_parts(request, limits, images, asked);
  } else if (request.content_type() == "application/json") {
    read_objects_json(parse_request_json(request.body), limits, images, asked);
  } else {
    refuse_type("application/json or multipart/form-data");
  }
  require_images(asked);
  if (asked.images.size() > 1) {
    throw HttpError(422, "bad_field", "image: expected one image", "image");
  }
  return asked;
}

RequestImage read_one_image(const HttpRequest& request, const RequestImages& images) {
  if (is_multipart(request)) {
    check_part_names(request, {"image"});
    const HttpPart* part = find_part(request, "image");
    if (part != nullptr && request.parts.size() == 1) return images.of_file(*part, "image");
    throw HttpError(422, "missing_field", "image: expected one part with an image", "image");
  }
  const std::string type = request.content_type();
  if (type.starts_with("image/")) return images.of_bytes(request.body, "image");
  if (type != "application/json") {
    refuse_type("application/json, multipart/form-data or an image");
  }
  const Json json = parse_request_json(request.body);
  const Fields fields(json, "", {"image"});
  const Json* image = fields.find("image");
  if (image == nullptr) {
    throw HttpError(422, "missing_field", "image: expected an image", "image");
  }
  return images.read(*image, "image");
}

/// The document of `infer`; each image has its "features" besides.
HttpResponse document(const RunHeader& header, const std::vector<ImageResult>& results,
                      const std::vector<RequestImage>& images) {
  HttpResponse response;
  response.body = to_json(header);
  response.body.pop_back();
  response.body += ",\"images\":[";
  for (size_t i = 0; i < results.size(); ++i) {
    if (i > 0) response.body += ",";
    response.body += to_json(results[i]);
    response.body.pop_back();
    response.body += ",\"features\":\"" + images[i].served.digest + "\"}";
  }
  response.body += "]}\n";
  return response;
}

HttpResponse infer(Service& service, const RequestImages& images, const HttpRequest& request) {
  const Asked asked = read_infer(request, service.info().limits, images);
  std::vector<ServedImage> served;
  for (const RequestImage& image : asked.images) served.push_back(image.served);
  std::vector<ImageResult> results = service.detect(served, asked.prompts, asked.detect, request);
  for (size_t i = 0; i < results.size(); ++i) results[i].path = asked.images[i].name;
  return document(service.info().header, results, asked.images);
}

HttpResponse objects(Service& service, const RequestImages& images, const HttpRequest& request) {
  const Asked asked = read_object_request(request, service.info().limits, images);
  std::vector<ImageResult> results;
  results.push_back(
      service.interact(asked.images.front().served, asked.objects, asked.interact, request));
  results.back().path = asked.images.front().name;
  return document(service.info().header, results, asked.images);
}

HttpResponse features(Service& service, const RequestImages& images, const HttpRequest& request) {
  const ServedImage image = read_one_image(request, images).served;
  service.encode(image, request);
  HttpResponse response;
  response.body = OrderedJson{{"features", image.digest},
                              {"width", image.image->width},
                              {"height", image.image->height}}
                      .dump() +
                  "\n";
  return response;
}

HttpResponse model(const Service& service) {
  const ModelInfo& info = service.info();
  OrderedJson tasks = OrderedJson::array({"detect"});
  if (info.clicks) tasks.push_back("interact");
  if (info.video) tasks.push_back("track");
  const ServiceLimits& limits = info.limits;
  HttpResponse response;
  response.body = OrderedJson{{"name", info.name},
                              {"backend", info.header.backend},
                              {"semantics", semantics_name(info.header.semantics)},
                              {"verified", info.header.unverified.empty()},
                              {"image_size", info.image_size},
                              {"tasks", std::move(tasks)},
                              {"limits",
                               {{"images", limits.max_images},
                                {"prompts", limits.max_prompts},
                                {"boxes", info.max_boxes},
                                {"image_bytes", limits.max_file_bytes},
                                {"pixels", limits.max_pixels},
                                {"queue", limits.queue},
                                {"timeout_ms", limits.timeout.count()}}},
                              {"version", info.version}}
                      .dump(-1, ' ', false, OrderedJson::error_handler_t::replace) +
                  "\n";
  return response;
}

}  // namespace

void add_own_routes(Routes& routes, Service& service, const RequestImages& images) {
  routes.add("POST", "/v1/infer",
             [&](const HttpRequest& request) { return infer(service, images, request); });
  routes.add("POST", "/v1/objects",
             [&](const HttpRequest& request) { return objects(service, images, request); });
  routes.add("POST", "/v1/features",
             [&](const HttpRequest& request) { return features(service, images, request); });
  routes.add("GET", "/v1/model", [&](const HttpRequest&) { return model(service); });
}

void add_health_routes(Routes& routes, const Service& service) {
  const RouteOptions open{.access = Access::kOpen};
  routes.add(
      "GET", "/healthz",
      [](const HttpRequest&) {
        HttpResponse response;
        response.body = "{\"status\":\"ok\"}\n";
        return response;
      },
      open);
  routes.add(
      "GET", "/readyz",
      [&service](const HttpRequest&) {
        if (!service.ready()) throw HttpError(503, "not_ready", "the server is not ready", {}, 1);
        HttpResponse response;
        response.body = "{\"status\":\"ready\"}\n";
        return response;
      },
      open);
}

}  // namespace sam3trt
