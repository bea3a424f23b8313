#include "tracks/track_lines.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.hpp"
#include "image/rle.hpp"
#include "runtime/rounded.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::ordered_json;

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json optional_json(const std::optional<double>& value, int digits) {
  return value ? Json(rounded(*value, digits)) : Json();
}

Json object_json(const TrackedObject& object, const FrameResult& frame) {
  Json box = Json::array();
  for (const float value : object.box) box.push_back(rounded(value, 3));
  Json json = {
      {"id", object.id},
      {"prompt", object.prompt ? Json(*object.prompt) : Json()},
      {"score", rounded(object.score, 6)},
      {"object_score", rounded(object.object_score, 6)},
      {"box", std::move(box)},
      {"area", object.area},
      {"mask", {{"size", {frame.height, frame.width}}, {"counts", rle_to_string(object.counts)}}}};
  if (!object.confirmed) json["confirmed"] = false;
  return json;
}

LineObject parse_object(const Json& json) {
  LineObject object;
  object.id = json.at("id").get<int64_t>();
  if (json.at("prompt").is_string()) object.prompt = json.at("prompt").get<std::string>();
  object.score = json.at("score").get<double>();
  object.object_score = json.at("object_score").get<double>();
  object.box = json.at("box").get<std::array<double, 4>>();
  object.area = json.at("area").get<int64_t>();
  object.height = json.at("mask").at("size").at(0).get<int64_t>();
  object.width = json.at("mask").at("size").at(1).get<int64_t>();
  object.counts = json.at("mask").at("counts").get<std::string>();
  return object;
}

}  // namespace

std::string to_header_line(const RunHeader& header, const VideoInfo& video) {
  Json json = Json::parse(to_json(header));
  json["video"] = {{"path", video.path},
                   {"width", video.width},
                   {"height", video.height},
                   {"frames", video.frames ? Json(*video.frames) : Json()},
                   {"fps", optional_json(video.fps, 6)}};
  return line_of(json);
}

std::string to_frame_line(const FrameResult& result, std::optional<double> time) {
  Json objects = Json::array();
  for (const TrackedObject& object : result.objects) {
    objects.push_back(object_json(object, result));
  }
  return line_of(
      {{"frame", result.frame}, {"time", optional_json(time, 6)}, {"objects", std::move(objects)}});
}

std::string to_error_line(int64_t frame, std::optional<double> time, const std::string& error) {
  return line_of({{"frame", frame}, {"time", optional_json(time, 6)}, {"error", error}});
}

TrackLine parse_track_line(std::string_view line) {
  try {
    const Json json = Json::parse(line);
    TrackLine parsed;
    if (json.contains("video")) return parsed;
    parsed.frame = json.at("frame").get<int64_t>();
    if (json.contains("error")) return parsed;
    for (const Json& object : json.at("objects")) parsed.objects.push_back(parse_object(object));
    return parsed;
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::kInternal,
                std::string("a line of results was changed while it was used: ") + error.what());
  }
}

std::array<double, 4> left_top_width_height(const std::array<double, 4>& box) {
  return {box[0], box[1], box[2] - box[0] + 1, box[3] - box[1] + 1};
}

}  // namespace sam3trt
