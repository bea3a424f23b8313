#include "video/frame_source.hpp"

#include <array>
#include <cstdio>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "image/resize.hpp"
#include "video/ffmpeg_backward.hpp"
#include "video/ffmpeg_frames.hpp"
#include "video/ffmpeg_program.hpp"
#include "video/image_frames.hpp"
#include "video/read_ahead.hpp"

namespace sam3trt {
namespace {

/// Brings all frames to the size of the video.
class OneSize : public FrameSource {
 public:
  explicit OneSize(std::unique_ptr<FrameSource> source) : source_(std::move(source)) {}

  [[nodiscard]] const VideoInfo& info() const override { return source_->info(); }
  void cancel() noexcept override { source_->cancel(); }
  [[nodiscard]] std::string name_of(int64_t frame) const override {
    return source_->name_of(frame);
  }
  [[nodiscard]] std::vector<std::string> files() const override { return source_->files(); }

  [[nodiscard]] std::optional<VideoFrame> next() override {
    std::optional<VideoFrame> frame = source_->next();
    if (!frame || frame->error) return frame;
    const VideoInfo& video = info();
    if (frame->image.width == video.width && frame->image.height == video.height) return frame;
    if (!std::exchange(warned_, true)) {
      log(LogLevel::kWarning, video.path + ": frame " + std::to_string(frame->index) + " has " +
                                  std::to_string(frame->image.width) + "x" +
                                  std::to_string(frame->image.height) + " pixels, the video " +
                                  std::to_string(video.width) + "x" + std::to_string(video.height) +
                                  "; such frames are resized to that");
    }
    frame->image = resize_antialias(frame->image, video.width, video.height);
    return frame;
  }

 private:
  std::unique_ptr<FrameSource> source_;
  bool warned_ = false;
};

std::unique_ptr<FrameSource> open_ffmpeg(const std::string& source, const std::string& what,
                                         const FrameOrder& order) {
  FfmpegInput input = ffmpeg_input(source, what);
  if (order.backward) {
    if (!input.is_file) {
      throw_bad_input(what +
                      ": only files can be read backwards; save the stream to a file first, or "
                      "track it forwards");
    }
    return std::make_unique<FfmpegBackward>(source, what, std::move(input), order.first);
  }
  return std::make_unique<FfmpegFrames>(source, what, std::move(input), order.first.value_or(0));
}

}  // namespace

std::string FrameSource::name_of(int64_t frame) const {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "%05lld", static_cast<long long>(frame));
  return name.data();
}

std::unique_ptr<FrameSource> open_video(const std::string& source, const std::string& option,
                                        const FrameOrder& order) {
  const std::string what = option + " " + source;
  std::unique_ptr<FrameSource> frames;
  if (is_image_source(source)) {
    frames = std::make_unique<ImageFrames>(source, option, order);
  } else {
    frames = open_ffmpeg(source, what, order);
  }
  return std::make_unique<ReadAhead>(std::make_unique<OneSize>(std::move(frames)));
}

bool is_repeatable(const std::string& source) {
  std::error_code error;
  return is_image_source(source) ||
         (source != "-" && std::filesystem::is_regular_file(source, error));
}

}  // namespace sam3trt
