#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/image.hpp"

namespace sam3trt {

/// Bytes from a pipe or file, with what was read too far kept.
class PipeReader {
 public:
  /// `fd` stays the caller's.
  explicit PipeReader(int fd) : fd_(fd) {}

  /// As many bytes as there are until `size` or the end. Returns how many.
  [[nodiscard]] size_t read(uint8_t* target, size_t size);

  /// The next line without its line feed, or nothing at the end; longer lines than `limit` are cut.
  [[nodiscard]] std::optional<std::string> line(size_t limit);

 private:
  [[nodiscard]] bool fill();

  int fd_;
  std::vector<uint8_t> buffer_;
  size_t used_ = 0;
};

/// Images in ffmpeg's form of binary PPM ("P6\nWIDTH HEIGHT\n255\n", then RGB), one after the
/// other.
class PpmStream {
 public:
  /// `what` begins messages; images of more than `max_pixels` are refused before memory is taken.
  PpmStream(int fd, std::string what, int64_t max_pixels = kMaxImagePixels)
      : reader_(fd), what_(std::move(what)), max_pixels_(max_pixels) {}

  /// The next one; nothing at the end. Throws Error(kBadInput) for anything else, and for a stream
  /// that ends inside an image.
  [[nodiscard]] std::optional<Image> next();

 private:
  [[nodiscard]] int64_t number(char end);

  PipeReader reader_;
  std::string what_;
  int64_t max_pixels_;
};

/// One line of ffmpeg's filter `metadata=print`.
struct FrameStamp {
  int64_t number = 0;  ///< Counts from 0 again when the video changes its size or form.
  std::optional<int64_t> pts;
  std::optional<double> seconds;
};

/// "frame:12   pts:6144    pts_time:0.48"; nothing for other lines.
[[nodiscard]] std::optional<FrameStamp> parse_frame_stamp(std::string_view line);

/// The stamps in a pipe, one for each frame.
class StampStream {
 public:
  explicit StampStream(int fd) : reader_(fd) {}

  /// The next one; nothing at the end.
  [[nodiscard]] std::optional<FrameStamp> next();

 private:
  PipeReader reader_;
};

}  // namespace sam3trt
