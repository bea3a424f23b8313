#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "video/ffmpeg_frames.hpp"

namespace sam3trt {

/// Frames of a file in reverse. A first run of ffmpeg finds the time of every frame (16 bytes
/// each); then parts of the video that fit into 256 MiB are decoded, the last one first, each from
/// the key frame before it. Where the file's times do not help (missing, not rising), or seeking by
/// them leads elsewhere, a part is decoded from the beginning of the file.
class FfmpegBackward : public FrameSource {
 public:
  static constexpr int64_t kPartBytes = int64_t{256} << 20;

  FfmpegBackward(const std::string& source, const std::string& what, FfmpegInput input,
                 std::optional<int64_t> first, int64_t part_bytes = kPartBytes);

  [[nodiscard]] const VideoInfo& info() const override { return info_; }
  [[nodiscard]] std::optional<VideoFrame> next() override;
  void cancel() noexcept override;
  [[nodiscard]] std::vector<std::string> files() const override { return {info_.path}; }

  /// Parts that had to be decoded from the beginning of the file.
  [[nodiscard]] int64_t decoded_twice() const { return decoded_twice_; }

 private:
  struct Time {
    int64_t pts = 0;
    double seconds = 0;
  };

  void find_times();
  void read_part();
  /// The frames begin .. end - 1 by seeking; false when others came.
  [[nodiscard]] bool seek_part(int64_t begin, int64_t end);
  void decode_part(int64_t begin, int64_t end);
  [[nodiscard]] FfmpegRun* start(const FfmpegRun::Options& options);

  VideoInfo info_;
  std::string what_;
  FfmpegInput input_;
  int64_t part_bytes_;
  int64_t decoded_twice_ = 0;
  std::vector<Time> times_;  ///< Of all frames.
  bool seekable_ = true;     ///< The times rise.
  int64_t next_ = 0;         ///< Frames up to this one are still to come.
  std::vector<Image> part_;  ///< Frames that were decoded; the last one comes next.
  std::mutex mutex_;         ///< Of run_ and cancelled_.
  std::unique_ptr<FfmpegRun> run_;
  bool cancelled_ = false;
};

}  // namespace sam3trt
