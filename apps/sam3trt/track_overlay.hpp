#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/output_check.hpp"
#include "base/temporary.hpp"
#include "sam3trt/video.hpp"
#include "video/frame_source.hpp"
#include "video/video_writer.hpp"

namespace sam3trt {

/// Draws the results of a video over its frames: into a video file, or a folder with a PNG for each
/// frame. An object keeps its colour; its label is its id and the text that found it.
class TrackOverlay {
 public:
  /// `target` empty draws nothing. Throws Error(kBadInput) for what cannot be written, is an input
  /// or another output, or is a video for frames that do not come in the order of the video,
  /// Error(kUnavailable) for a video without ffmpeg.
  TrackOverlay(std::filesystem::path target, bool forward, OutputCheck& check);

  [[nodiscard]] bool is_wanted() const { return !target_.empty(); }

  /// `fps` is the rate of a video file.
  void begin(double fps, std::function<std::string(int64_t)> name_of);
  /// `image` is the frame without anything drawn.
  void add(const FrameResult& result, const Image& image);
  /// A video file gets its name.
  void finish();

 private:
  std::filesystem::path target_;
  std::string option_;
  bool is_video_ = false;
  std::unique_ptr<VideoWriter> video_;
  std::optional<ResultFolder> folder_;
  std::function<std::string(int64_t)> name_of_;
};

}  // namespace sam3trt
