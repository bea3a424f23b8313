#include "video/ffmpeg_frames.hpp"

#include <sys/wait.h>

#include <chrono>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"

namespace sam3trt {
namespace {

ChildOptions decoder(const FfmpegInput& input, const std::string& what,
                     const FfmpegRun::Options& options) {
  ChildOptions child;
  child.program = find_ffmpeg("ffmpeg", what);
  child.input = input.is_standard_input ? ChildInput::kInherited : ChildInput::kNothing;
  child.third_pipe = true;
  child.output = options.pixels;
  std::vector<std::string>& arguments = child.arguments;
  arguments = {"-hide_banner", "-nostats", "-loglevel", "level+info", "-copyts"};
  if (!input.is_standard_input) arguments.emplace_back("-nostdin");
  arguments.insert(arguments.end(), options.before.begin(), options.before.end());
  arguments.insert(arguments.end(), input.arguments.begin(), input.arguments.end());
  // An entry of the frame's metadata, which the next filter prints with number and time.
  const std::string filter = (options.filter.empty() ? "" : options.filter + ",") +
                             "metadata=mode=add:key=sam3trt:value=1,"
                             "metadata=mode=print:key=sam3trt:file=pipe\\\\:3:direct=1";
  arguments.insert(arguments.end(), {"-map", "0:V:0", "-fps_mode", "passthrough", "-vf", filter});
  if (options.frames) {
    arguments.insert(arguments.end(), {"-frames:v", std::to_string(*options.frames)});
  }
  if (options.pixels) {
    arguments.insert(arguments.end(),
                     {"-c:v", "ppm", "-pix_fmt", "rgb24", "-f", "image2pipe", "pipe:1"});
  } else {
    arguments.insert(arguments.end(), {"-f", "null", "-"});
  }
  return child;
}

}  // namespace

FfmpegRun::FfmpegRun(const FfmpegInput& input, const std::string& what, const Options& options)
    : child_(decoder(input, what, options)),
      messages_(child_.messages()),
      images_(child_.output(), what),
      stamps_(child_.third()) {}

std::optional<FfmpegRun::Stamped> FfmpegRun::next() {
  std::optional<Image> image = images_.next();
  if (!image) return std::nullopt;
  // Written before the frame was.
  std::optional<FrameStamp> stamp = stamps_.next();
  return Stamped{std::move(*image), stamp.value_or(FrameStamp{})};
}

bool FfmpegRun::ended_well() {
  const int status = child_.wait();
  messages_.finish();
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

FfmpegFrames::FfmpegFrames(const std::string& source, const std::string& what, FfmpegInput input,
                           int64_t first)
    : what_(what), input_(std::move(input)), run_(input_, what, {}) {
  info_.path = source;
  waiting_ = read_frame();
  if (!waiting_) {
    static_cast<void>(run_.ended_well());
    std::string errors = run_.errors();
    if (input_.is_standard_input && errors.find("moov atom not found") != std::string::npos) {
      errors += "; an MP4 in a pipe needs its index in front (ffmpeg's -movflags faststart)";
    }
    throw_bad_input(what + ": ffmpeg finds no video in it" + (errors.empty() ? "" : ": " + errors));
  }
  info_.width = waiting_->image.width;
  info_.height = waiting_->image.height;
  if (input_.is_file) {
    const ProbedVideo probed = probe_video(input_, what);
    info_.frames = probed.frames;
    info_.length = probed.frames ? probed.frames : probed.packets;
    info_.estimate = probed.estimated_frames;
    info_.fps = probed.fps;
  } else {
    // Said before the first frame was written, but through another pipe.
    for (int i = 0; i < 100 && !info_.fps; ++i) {
      info_.fps = run_.fps();
      if (!info_.fps) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  while (waiting_ && waiting_->index < first) waiting_ = read_frame();
  if (!waiting_) {
    check_end();
    throw_bad_input(what + ": has no frame " + std::to_string(first) + ", only 0 to " +
                    std::to_string(index_ - 1));
  }
}

std::optional<VideoFrame> FfmpegFrames::read_frame() {
  std::optional<FfmpegRun::Stamped> read = run_.next();
  if (!read) return std::nullopt;
  VideoFrame frame;
  frame.index = index_++;
  const FrameStamp& stamp = read->stamp;
  if (stamp.number == 0 && frame.index > 0 && stamp.seconds) {
    log(LogLevel::kWarning, what_ + ": changes its size or form at frame " +
                                std::to_string(frame.index) + "; frames are resized to " +
                                std::to_string(info_.width) + "x" + std::to_string(info_.height));
  }
  if (stamp.seconds) {
    if (!start_) start_ = stamp.seconds;
    frame.time = *stamp.seconds - *start_;
  } else if (info_.fps) {
    frame.time = static_cast<double>(frame.index) / *info_.fps;
  }
  frame.image = std::move(read->image);
  return frame;
}

void FfmpegFrames::check_end() {
  if (cancelled_) return;
  const bool well = run_.ended_well();
  const std::string errors = run_.errors();
  const bool is_short = info_.frames && index_ < *info_.frames;
  if (well && (errors.empty() || !is_short)) {
    if (!errors.empty()) log(LogLevel::kWarning, what_ + ": ffmpeg says: " + errors);
    return;
  }
  throw_bad_input(what_ + ": breaks off after " + std::to_string(index_) +
                  (info_.frames ? " of " + std::to_string(*info_.frames) : std::string()) +
                  " frames" + (errors.empty() ? "" : ": " + errors));
}

std::optional<VideoFrame> FfmpegFrames::next() {
  if (waiting_) return std::exchange(waiting_, std::nullopt);
  if (cancelled_) return std::nullopt;
  std::optional<VideoFrame> frame = read_frame();
  if (!frame) check_end();
  return frame;
}

void FfmpegFrames::cancel() noexcept {
  cancelled_ = true;
  run_.stop();
}

std::vector<std::string> FfmpegFrames::files() const {
  if (!input_.is_file) return {};
  return {info_.path};
}

}  // namespace sam3trt
