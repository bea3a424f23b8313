#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "base/child_process.hpp"
#include "video/ffmpeg_messages.hpp"
#include "video/ffmpeg_program.hpp"
#include "video/frame_source.hpp"
#include "video/ppm_stream.hpp"

namespace sam3trt {

/// A run of ffmpeg that gives frames: images through one pipe, their time stamps through another.
class FfmpegRun {
 public:
  /// `before` are options of the input, `filter` is put before the frames are stamped, `frames`
  /// ends the run after so many. Without `pixels` there are stamps only.
  struct Options {
    std::vector<std::string> before{};
    std::string filter{};
    std::optional<int64_t> frames{};
    bool pixels = true;
  };

  FfmpegRun(const FfmpegInput& input, const std::string& what, const Options& options);
  ~FfmpegRun() { stop(); }
  FfmpegRun(const FfmpegRun&) = delete;
  FfmpegRun& operator=(const FfmpegRun&) = delete;

  struct Stamped {
    Image image;
    FrameStamp stamp;
  };

  /// The next frame; nothing at the end. Throws Error(kBadInput) when it ends inside a frame.
  [[nodiscard]] std::optional<Stamped> next();
  /// Of a run without pixels.
  [[nodiscard]] std::optional<FrameStamp> next_stamp() { return stamps_.next(); }

  /// From any thread: ffmpeg is ended at once, and what waits for it goes on.
  void stop() noexcept {
    child_.kill();
    child_.wait();
  }

  /// After the last frame: whether ffmpeg ended well.
  [[nodiscard]] bool ended_well();
  /// What it said of errors; empty: nothing.
  [[nodiscard]] std::string errors() { return messages_.errors(); }
  [[nodiscard]] std::optional<double> fps() const { return messages_.fps(); }

 private:
  ChildProcess child_;
  FfmpegMessages messages_;
  PpmStream images_;
  StampStream stamps_;
};

/// Frames of whatever ffmpeg opens, forwards from the frame `first` on.
class FfmpegFrames : public FrameSource {
 public:
  FfmpegFrames(const std::string& source, const std::string& what, FfmpegInput input,
               int64_t first);

  [[nodiscard]] const VideoInfo& info() const override { return info_; }
  [[nodiscard]] std::optional<VideoFrame> next() override;
  void cancel() noexcept override;
  [[nodiscard]] std::vector<std::string> files() const override;

 private:
  [[nodiscard]] std::optional<VideoFrame> read_frame();
  void check_end();

  VideoInfo info_;
  std::string what_;
  FfmpegInput input_;
  FfmpegRun run_;
  int64_t index_ = 0;
  std::optional<double> start_;
  std::optional<VideoFrame> waiting_;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace sam3trt
