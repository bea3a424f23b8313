#include "video/ffmpeg_program.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/child_process.hpp"
#include "base/descriptor.hpp"
#include "base/error.hpp"
#include "video/ffmpeg_messages.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;

constexpr double kMaxRate = 1e6;
constexpr int64_t kMaxFrames = int64_t{1} << 40;

/// Whether ffmpeg takes the name for an address: letters, then a colon ("rtsp://...", "concat:").
bool names_protocol(std::string_view source) {
  size_t letters = 0;
  while (letters < source.size() &&
         (std::isalnum(static_cast<unsigned char>(source[letters])) != 0 ||
          source[letters] == '+' || source[letters] == '-' || source[letters] == '.')) {
    ++letters;
  }
  return letters > 1 && letters < source.size() && source[letters] == ':';
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

/// "30000/1001"
std::optional<double> parse_rate(std::string_view text) {
  const size_t slash = text.find('/');
  const auto above = parse_number(text.substr(0, slash));
  const auto below =
      slash == std::string_view::npos ? std::optional(1.0) : parse_number(text.substr(slash + 1));
  if (!above || !below || *above <= 0 || *below <= 0) return std::nullopt;
  const double rate = *above / *below;
  if (!(rate > 0) || rate > kMaxRate) return std::nullopt;
  return rate;
}

std::string text_of(const Json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

std::string find_ffmpeg(const std::string& name, const std::string& what) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/bin:/bin" : path;
  while (true) {
    const size_t colon = rest.find(':');
    const std::string_view folder = rest.substr(0, colon);
    if (!folder.empty()) {
      std::string file = std::string(folder) + "/" + name;
      struct stat info {};
      if (::stat(file.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
          ::access(file.c_str(), X_OK) == 0) {
        return file;
      }
    }
    if (colon == std::string_view::npos) break;
    rest.remove_prefix(colon + 1);
  }
  throw Error(ErrorCode::kUnavailable,
              what + ": the program '" + name +
                  "' is not installed, which reads and writes videos: install it ('apt-get install "
                  "ffmpeg'), or use a folder of images, which needs none");
}

FfmpegInput ffmpeg_input(const std::string& source, const std::string& what) {
  if (source == "-") {
    if (::isatty(STDIN_FILENO) == 1) {
      throw_bad_input(what + ": standard input is a terminal; pipe a video into it");
    }
    // Of a file that is redirected, another description can be sought in, as MP4 may need it.
    struct stat input {};
    const bool is_regular = ::fstat(STDIN_FILENO, &input) == 0 && S_ISREG(input.st_mode);
    return {{"-i", is_regular ? "file:/dev/stdin" : "pipe:0"}, false, true};
  }
  struct stat info {};
  if (::stat(source.c_str(), &info) == 0) {
    if (S_ISCHR(info.st_mode) && source.starts_with("/dev/video")) {
      return {{"-f", "v4l2", "-i", source}, false, false};
    }
    return {{"-i", "file:" + source}, S_ISREG(info.st_mode), false};
  }
  if (!names_protocol(source)) throw_bad_input(what + ": there is no such file");
  return {{"-i", source}, false, false};
}

ProbedVideo parse_probe(const std::string& json) {
  const Json answer = Json::parse(json, nullptr, false);
  if (!answer.is_object() || !answer.contains("streams") || !answer["streams"].is_array() ||
      answer["streams"].empty()) {
    return {};
  }
  const Json& stream = answer["streams"].front();
  ProbedVideo video;
  video.fps = parse_rate(text_of(stream, "avg_frame_rate"));
  const auto frames = parse_number(text_of(stream, "nb_frames"));
  if (frames && *frames >= 1 && *frames < static_cast<double>(kMaxFrames)) {
    video.frames = static_cast<int64_t>(*frames);
  }
  video.estimated_frames = video.frames;
  const auto duration = parse_number(text_of(answer.value("format", Json()), "duration"));
  if (!video.frames && duration && video.fps && *duration > 0) {
    const double estimate = std::round(*duration * *video.fps);
    if (estimate >= 1 && estimate < static_cast<double>(kMaxFrames)) {
      video.estimated_frames = static_cast<int64_t>(estimate);
    }
  }
  return video;
}

namespace {

/// What ffprobe says of the entries of the video stream, JSON.
std::string probe(const FfmpegInput& input, const std::string& entries,
                  const std::vector<std::string>& more, const std::string& what) {
  ChildOptions options;
  options.program = find_ffmpeg("ffprobe", what);
  options.arguments = {"-v", "error", "-select_streams", "V:0"};
  options.arguments.insert(options.arguments.end(), more.begin(), more.end());
  for (const std::string& word :
       {std::string("-show_entries"), entries, std::string("-of"), std::string("json")}) {
    options.arguments.push_back(word);
  }
  options.arguments.insert(options.arguments.end(), input.arguments.begin(), input.arguments.end());
  ChildProcess child(options);
  const FfmpegMessages messages(child.messages());
  return read_to_end(child.output());
}

}  // namespace

ProbedVideo probe_video(const FfmpegInput& input, const std::string& what) {
  ProbedVideo video =
      parse_probe(probe(input, "stream=avg_frame_rate,nb_frames:format=duration", {}, what));
  // The distance in time of pointers hangs on the length of clips of fewer than 16 frames; not
  // every format says it. Longer files are not read for it.
  constexpr int64_t kCounted = 100;
  if (video.frames || !input.is_file || video.estimated_frames.value_or(0) > kCounted) return video;
  const Json answer =
      Json::parse(probe(input, "stream=nb_read_packets", {"-count_packets"}, what), nullptr, false);
  if (!answer.is_object() || !answer.contains("streams") || !answer["streams"].is_array() ||
      answer["streams"].empty()) {
    return video;
  }
  const auto packets = parse_number(text_of(answer["streams"].front(), "nb_read_packets"));
  if (packets && *packets >= 1 && *packets < static_cast<double>(kMaxFrames)) {
    video.packets = static_cast<int64_t>(*packets);
    video.estimated_frames = video.packets;
  }
  return video;
}

}  // namespace sam3trt
