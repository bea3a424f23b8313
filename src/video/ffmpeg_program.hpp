#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sam3trt {

/// The path of `name` ("ffmpeg" or "ffprobe") in the folders of PATH. Throws Error(kUnavailable),
/// beginning with `what`, that says what to install.
[[nodiscard]] std::string find_ffmpeg(const std::string& name, const std::string& what);

/// What ffmpeg is to open.
struct FfmpegInput {
  std::vector<std::string> arguments;  ///< "-i" and the name, with options before them.
  bool is_file = false;                ///< A regular file, which can be read several times.
  bool is_standard_input = false;
};

/// `source` as ffmpeg takes it: a file by its name, whatever that begins with; "-" for standard
/// input; a camera's device; or what ffmpeg knows how to open, such as a URL. Throws
/// Error(kBadInput), beginning with `what`, for a file that does not exist.
[[nodiscard]] FfmpegInput ffmpeg_input(const std::string& source, const std::string& what);

/// What ffprobe says of a file.
struct ProbedVideo {
  std::optional<int64_t> frames;   ///< As the file says; not every format does.
  std::optional<int64_t> packets;  ///< Of a short file that does not say it; near its frames.
  std::optional<int64_t> estimated_frames;  ///< Duration times rate.
  std::optional<double> fps;                ///< On average.
};

/// Throws Error(kUnavailable) where ffprobe is not installed, Error(kBadInput) for its answer when
/// that is not JSON. A file that it cannot read gives nothing: who reads it says why.
[[nodiscard]] ProbedVideo probe_video(const FfmpegInput& input, const std::string& what);

/// ffprobe's answer; for tests and fuzzing.
[[nodiscard]] ProbedVideo parse_probe(const std::string& json);

}  // namespace sam3trt
