#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/result.hpp"
#include "sam3trt/video.hpp"
#include "video/frame_source.hpp"

namespace sam3trt {

// Lines of the result of a tracked video, version 1, each with its line feed. Scores are rounded to
// 6 digits after the point, boxes and times to 3 and 6; bytes that are not UTF-8 become U+FFFD.

/// The first line: the run's header and "video".
[[nodiscard]] std::string to_header_line(const RunHeader& header, const VideoInfo& video);

/// A frame with its objects. "confirmed" is there where it is false.
[[nodiscard]] std::string to_frame_line(const FrameResult& result, std::optional<double> time);

/// A frame that has no result.
[[nodiscard]] std::string to_error_line(int64_t frame, std::optional<double> time,
                                        const std::string& error);

/// An object of a line.
struct LineObject {
  int64_t id = 0;
  std::optional<std::string> prompt;
  double score = 0;
  double object_score = 0;
  std::array<double, 4> box{};  ///< First and last pixel column and row.
  int64_t area = 0;
  int64_t width = 0;  ///< Of the mask.
  int64_t height = 0;
  std::string counts;  ///< Compressed.
};

struct TrackLine {
  int64_t frame = -1;  ///< -1: the first line.
  std::vector<LineObject> objects;
};

/// Reads a line that to_header_line, to_frame_line or to_error_line wrote. Throws Error(kInternal)
/// for anything else.
[[nodiscard]] TrackLine parse_track_line(std::string_view line);

/// Left, top, width and height of a box in whole pixels that a line has.
[[nodiscard]] std::array<double, 4> left_top_width_height(const std::array<double, 4>& box);

}  // namespace sam3trt
