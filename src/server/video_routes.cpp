#include "server/video_routes.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "prompts/prompt_file.hpp"
#include "runtime/prompt.hpp"
#include "segmenter/shared_model.hpp"
#include "server/fields.hpp"
#include "tracks/session_tracker.hpp"
#include "tracks/track_lines.hpp"
#include "tracks/track_loop.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

constexpr size_t kTsPacket = 188;

/// What a request asks of its video.
struct VideoRequest {
  const HttpPart* video = nullptr;
  TrackPlan plan;
  TrackOptions options;
};

void read_concepts(const Fields& fields, size_t most, TrackPlan& plan) {
  const Json* texts = fields.list("texts", most);
  for (size_t i = 0; texts != nullptr && i < texts->size(); ++i) {
    const Json& text = (*texts)[i];
    if (!text.is_string() || text.get_ref<const std::string&>().empty()) {
      fields.refuse("texts[" + std::to_string(i) + "]", "a text");
    }
    plan.concepts.push_back({{text.get<std::string>(), {}}, std::nullopt, std::nullopt});
  }
}

void read_placed(const Fields& fields, size_t most, TrackPlan& plan) {
  const Json* prompts = fields.find("prompts");
  if (prompts == nullptr) return;
  try {
    const std::string text = prompts->dump();
    PromptFile file = parse_prompt_file(std::as_bytes(std::span(text)), "prompts", std::nullopt);
    plan.objects = std::move(file.objects);
    for (PlacedConcept& wanted : file.concepts) plan.concepts.push_back(std::move(wanted));
  } catch (const Error& error) {
    throw HttpError(422, "bad_field", error.what(), "prompts");
  }
  const auto names_image = [](const auto& placed) { return placed.image.has_value(); };
  if (std::ranges::any_of(plan.objects, names_image) ||
      std::ranges::any_of(plan.concepts, names_image)) {
    fields.refuse("prompts", "a \"frame\" of the video in place of an \"image\"");
  }
  if (plan.objects.size() + plan.concepts.size() > most) {
    fields.refuse("prompts", "at most " + std::to_string(most) + " objects and concepts");
  }
}

TrackDirection read_direction(const Fields& fields) {
  const auto text = fields.text("direction");
  if (!text || *text == "forward") return TrackDirection::kForward;
  if (*text == "backward") return TrackDirection::kBackward;
  if (*text == "both") return TrackDirection::kBoth;
  fields.refuse("direction", "forward, backward or both");
}

void read_settings(const std::string& text, size_t most, VideoRequest& asked) {
  const Json json = parse_request_json(text);
  const Fields fields(json, "",
                      {"texts", "prompts", "direction", "hot_start", "live", "det_nms",
                       "fill_holes", "max_objects"});
  read_concepts(fields, most, asked.plan);
  read_placed(fields, most, asked.plan);
  asked.plan.direction = read_direction(fields);
  TrackOptions& options = asked.options;
  options.hot_start = fields.integer("hot_start", 0, 1000);
  options.live = fields.flag("live").value_or(false);
  options.det_nms = fields.number("det_nms", 0, 1);
  options.fill_holes = fields.integer("fill_holes", 0, 1'000'000'000);
  if (const auto count = fields.integer("max_objects", 1, 1'000'000)) {
    options.max_objects = static_cast<size_t>(*count);
  }
  if (asked.plan.objects.empty() && asked.plan.concepts.empty()) {
    throw HttpError(422, "missing_field", "texts: expected texts or prompts to follow", "texts");
  }
}

void check_container(const HttpPart& video) {
  std::array<char, 2 * kTsPacket> begin{};
  std::ifstream file(video.file, std::ios::binary);
  file.read(begin.data(), begin.size());
  if (is_video_container({begin.data(), static_cast<size_t>(file.gcount())})) return;
  throw HttpError(415, "not_a_video",
                  "video: expected MP4, QuickTime, Matroska, WebM, AVI, Ogg, FLV or MPEG", "video");
}

VideoRequest read_request(const HttpRequest& request, size_t most) {
  if (request.content_type() != "multipart/form-data") {
    throw HttpError(415, "unsupported_media_type", "expected multipart/form-data", "Content-Type");
  }
  VideoRequest asked;
  const HttpPart* settings = nullptr;
  for (const HttpPart& part : request.parts) {
    const HttpPart** place = part.name == "video"     ? &asked.video
                             : part.name == "request" ? &settings
                                                      : nullptr;
    if (place == nullptr || *place != nullptr) {
      throw HttpError(422, "unknown_field", "expected one part named video and one named request",
                      part.name);
    }
    *place = &part;
  }
  if (asked.video == nullptr || asked.video->file.empty()) {
    throw HttpError(422, "missing_field", "video: expected a part with a file", "video");
  }
  if (settings == nullptr || !settings->file.empty()) {
    throw HttpError(422, "missing_field", "request: expected a part with JSON, not a file",
                    "request");
  }
  read_settings(settings->body, most, asked);
  check_container(*asked.video);
  return asked;
}

/// Messages speak of the video and not of where its bytes lie here.
std::string without_path(const HttpPart& video, std::string message) {
  const auto replace = [&](const std::string& text, const std::string& by) {
    for (size_t at = message.find(text); at != std::string::npos; at = message.find(text)) {
      message.replace(at, text.size(), by);
    }
  };
  replace("video " + video.file, "video");
  replace("file:" + video.file, "the file");
  replace(video.file, "the file");
  return message;
}

/// The work of one request, which its response streams.
class VideoJob {
 private:
  /// Lines as frames become final.
  class Lines : public TrackSink {
   public:
    /// The client has left.
    struct Left {};

    Lines(const Service& service, const HttpPart& video, const Sink& send)
        : service_(service), video_(video), send_(send) {}

    void add(FrameResult result, VideoFrame frame) override {
      send(to_frame_line(result, frame.time));
      if (service_.is_stopping()) throw HttpError(503, "stopping", "the server stops");
    }
    void add_error(VideoFrame frame) override {
      send(to_error_line(frame.index, frame.time, without_path(video_, *frame.error)));
    }
    [[nodiscard]] bool wants_images() const override { return false; }

    void send(const std::string& line) const {
      if (!send_(line)) throw Left();
    }

   private:
    const Service& service_;
    const HttpPart& video_;
    const Sink& send_;
  };

 public:
  VideoJob(Service& service, const HttpRequest& request)
      : service_(service),
        asked_(read_request(request, service.info().limits.max_prompts)),
        place_(service.take_video_place()),
        passes_(plan_passes(asked_.plan)) {
    const SharedModel& model = *place_->model().loaded();
    for (const PlacedConcept& wanted : asked_.plan.concepts) {
      check_prompt(wanted.prompt, model.tokenizer(), model.config(), model.semantics());
    }
    source_ = open(passes_.first);
    video_ = source_->info();
    video_.path = asked_.video->filename;
    if (!passes_.second && !passes_.first.first) asked_.options.frames = video_.length;
    tracker_ = std::make_unique<SessionTracker>(place_->model(), asked_.options);
  }

  void run(const Sink& send) {
    Lines lines(service_, *asked_.video, send);
    try {
      track(lines);
    } catch (const Lines::Left&) {  // nobody reads the rest
    }
  }

 private:
  void track(Lines& lines) {
    lines.send(to_header_line(service_.info().header, video_));
    try {
      TrackLoop loop(*tracker_, asked_.plan, lines);
      loop.run(*source_);
      if (passes_.second) loop.run(*open(*passes_.second));
      for (const std::string& sentence : loop.missed()) lines.send(error_line(sentence));
    } catch (const HttpError& error) {
      lines.send(error_line(error.what()));
    } catch (const Error& error) {
      const bool known = error.code() == ErrorCode::kBadInput;
      lines.send(error_line(known ? without_path(*asked_.video, error.what())
                                  : "the server failed; its log says why"));
      if (!known) throw;
    }
  }

  static std::string error_line(const std::string& message) {
    return Json{{"error", message}}.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }

  [[nodiscard]] std::unique_ptr<FrameSource> open(const FrameOrder& order) const {
    try {
      return open_video(asked_.video->file, "video", order);
    } catch (const Error& error) {
      throw Error(error.code(), without_path(*asked_.video, error.what()));
    }
  }

  Service& service_;
  VideoRequest asked_;
  std::unique_ptr<Service::VideoPlace> place_;
  TrackPasses passes_;
  std::unique_ptr<FrameSource> source_;
  VideoInfo video_;
  std::unique_ptr<SessionTracker> tracker_;
};

}  // namespace

bool is_video_container(std::string_view begin) {
  using namespace std::string_view_literals;
  const auto has = [&](size_t at, std::string_view text) {
    return begin.size() >= at + text.size() && begin.substr(at, text.size()) == text;
  };
  constexpr std::array kBoxes = {"ftyp"sv, "moov"sv, "mdat"sv, "wide"sv, "free"sv, "skip"sv};
  if (std::ranges::any_of(kBoxes, [&](std::string_view box) { return has(4, box); })) return true;
  const bool is_avi = has(0, "RIFF"sv) && has(8, "AVI "sv);
  const bool is_transport = has(0, "\x47"sv) && has(kTsPacket, "\x47"sv);
  return is_avi || is_transport || has(0, "\x1A\x45\xDF\xA3"sv) || has(0, "OggS"sv) ||
         has(0, "FLV\x01"sv) || has(0, "\x00\x00\x01\xBA"sv) || has(0, "\x00\x00\x01\xB3"sv);
}

void add_video_routes(Routes& routes, Service& service) {
  routes.add("POST", "/v1/videos",
             [&service](const HttpRequest& request) {
               const auto job = std::make_shared<VideoJob>(service, request);
               HttpResponse response;
               response.content_type = "application/x-ndjson";
               response.stream = [job](const Sink& send) { job->run(send); };
               return response;
             },
             {.access = Access::kToken, .token = {}, .files_on_disk = true});
}

}  // namespace sam3trt
