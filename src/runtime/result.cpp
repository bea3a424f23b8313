#include "runtime/result.hpp"

#include <nlohmann/json.hpp>

#include "image/rle.hpp"
#include "runtime/model_files.hpp"
#include "runtime/rounded.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::ordered_json;

Json box_json(const std::array<float, 4>& box) {
  Json values = Json::array();
  for (const float value : box) values.push_back(rounded(value, 3));
  return values;
}

Json mask_json(const std::vector<uint32_t>& counts, const ImageResult& image) {
  return {{"size", {image.height, image.width}}, {"counts", rle_to_string(counts)}};
}

Json instance_json(const Instance& instance, const ImageResult& image) {
  return {{"score", rounded(instance.score, 6)},
          {"box", box_json(instance.box)},
          {"area", instance.area},
          {"mask", mask_json(instance.counts, image)}};
}

Json prompt_json(const PromptResult& result, const ImageResult& image) {
  Json boxes = Json::array();
  Json labels = Json::array();
  for (const PromptBox& entry : result.prompt.boxes) {
    boxes.push_back(entry.box);
    labels.push_back(entry.positive ? 1 : 0);
  }
  Json instances = Json::array();
  for (const Instance& instance : result.instances) {
    instances.push_back(instance_json(instance, image));
  }
  return {{"text", result.prompt.text ? Json(*result.prompt.text) : Json()},
          {"boxes", std::move(boxes)},
          {"box_labels", std::move(labels)},
          {"presence", rounded(result.presence, 6)},
          {"instances", std::move(instances)}};
}

Json object_json(const ObjectResult& object, const ImageResult& image) {
  Json json = {{"id", object.id},
               {"score", rounded(object.score, 6)},
               {"object_score", rounded(object.object_score, 6)},
               {"box", box_json(object.box)},
               {"area", object.area},
               {"mask", mask_json(object.counts, image)}};
  if (object.candidates.empty()) return json;
  Json candidates = Json::array();
  for (const MaskCandidate& candidate : object.candidates) {
    candidates.push_back({{"score", rounded(candidate.score, 6)},
                          {"area", candidate.area},
                          {"mask", mask_json(candidate.counts, image)}});
  }
  json["candidates"] = std::move(candidates);
  return json;
}

Json image_json(const ImageResult& image) {
  if (image.error && image.prompts.empty() && image.objects.empty()) {
    return {{"path", image.path}, {"error", *image.error}};
  }
  Json prompts = Json::array();
  for (const PromptResult& prompt : image.prompts) prompts.push_back(prompt_json(prompt, image));
  const Timings& timings = image.timings_ms;
  Json json = {{"path", image.path},
               {"width", image.width},
               {"height", image.height},
               {"prompts", std::move(prompts)},
               {"timings_ms",
                {{"decode", rounded(timings.decode, 3)},
                 {"preprocess", rounded(timings.preprocess, 3)},
                 {"vision_encoder", rounded(timings.vision_encoder, 3)},
                 {"detector", rounded(timings.detector, 3)},
                 {"postprocess", rounded(timings.postprocess, 3)}}}};
  if (!image.objects.empty()) {
    Json objects = Json::array();
    for (const ObjectResult& object : image.objects) objects.push_back(object_json(object, image));
    json["objects"] = std::move(objects);
  }
  if (image.error) json["error"] = *image.error;
  return json;
}

Json header_json(const RunHeader& header) {
  Json json = {
      {"version", 1}, {"backend", header.backend}, {"semantics", semantics_name(header.semantics)}};
  if (!header.unverified.empty()) {
    json["verified"] = false;
    json["unverified"] = header.unverified;
  }
  return json;
}

}  // namespace

void throw_if_failed(const ImageResult& result) {
  if (result.error) throw Error(result.error_code, *result.error);
}

void set_error(ImageResult& result, const Error& error) {
  if (result.error) return;
  result.error = error.what();
  result.error_code = error.code();
}

std::string to_json(const RunHeader& header) { return header_json(header).dump(); }

std::string to_json(const ImageResult& image) {
  return image_json(image).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_json_line(const RunHeader& header, const ImageResult& image,
                         const std::optional<FileStamp>& stamp) {
  Json line = header_json(header);
  line.update(image_json(image));
  if (stamp) {
    line["bytes"] = stamp->bytes;
    line["modified"] = stamp->modified;
  }
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace sam3trt
