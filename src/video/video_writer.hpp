#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/atomic_file.hpp"
#include "base/child_process.hpp"
#include "image/image.hpp"
#include "video/ffmpeg_messages.hpp"

namespace sam3trt {

/// The endings of videos that are written, for messages.
inline constexpr const char* kVideoEndings = ".mp4, .m4v, .mov, .mkv, .webm or .avi";

/// Whether a name ends in one of them, in upper or lower case.
[[nodiscard]] bool has_video_ending(const std::filesystem::path& path);

/// A video file from frames of one size, made by the program ffmpeg with the codec that it takes
/// for the file's ending. The process must ignore SIGPIPE, as the
/// program does. Until finish() the file has a temporary name; without it nothing is left.
class VideoWriter {
 public:
  /// `what` begins messages. Throws Error(kBadInput) for a target that is not a regular file or
  /// cannot be written, Error(kUnavailable) where ffmpeg is not installed.
  VideoWriter(std::filesystem::path target, std::string what, double fps);
  ~VideoWriter();
  VideoWriter(const VideoWriter&) = delete;
  VideoWriter& operator=(const VideoWriter&) = delete;

  /// Throws Error(kInternal) with ffmpeg's words when it ends, and for another size. The thread of
  /// the first call must live until finish(), as ffmpeg ends with it.
  void add(const Image& frame);

  /// The file gets its name. Without any frame there is none.
  void finish();

 private:
  void start(const Image& frame);
  [[noreturn]] void fail();

  std::filesystem::path target_;
  std::string what_;
  double fps_;
  std::string program_;
  std::unique_ptr<AtomicFile> file_;
  std::unique_ptr<ChildProcess> child_;
  std::unique_ptr<FfmpegMessages> messages_;
  int64_t width_ = 0;
  int64_t height_ = 0;
};

}  // namespace sam3trt
