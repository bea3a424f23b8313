#include "video/video_writer.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/lower.hpp"
#include "base/output_target.hpp"
#include "video/ffmpeg_program.hpp"

namespace sam3trt {
namespace {

struct Format {
  std::string_view ending;
  std::string_view name;  ///< ffmpeg's.
};

constexpr std::array<Format, 6> kFormats = {{{".mp4", "mp4"},
                                             {".m4v", "mp4"},
                                             {".mov", "mov"},
                                             {".mkv", "matroska"},
                                             {".webm", "webm"},
                                             {".avi", "avi"}}};

const Format* format_of(const std::filesystem::path& path) {
  const std::string ending = lower(path.extension().string());
  for (const Format& format : kFormats) {
    if (ending == format.ending) return &format;
  }
  return nullptr;
}

}  // namespace

bool has_video_ending(const std::filesystem::path& path) { return format_of(path) != nullptr; }

VideoWriter::VideoWriter(std::filesystem::path target, std::string what, double fps)
    : target_(std::move(target)),
      what_(std::move(what)),
      fps_(fps),
      program_(find_ffmpeg("ffmpeg", what_)) {
  if (find_output_target(target_, what_).written_through) {
    throw_bad_input(what_ + ": a video needs a regular file; name one, or a folder for images");
  }
}

VideoWriter::~VideoWriter() {
  if (child_) child_->kill();
}

void VideoWriter::start(const Image& frame) {
  width_ = frame.width;
  height_ = frame.height;
  file_ = std::make_unique<AtomicFile>(target_);
  std::array<char, 32> rate{};
  std::snprintf(rate.data(), rate.size(), "%.6f", fps_);
  const Format& format = *format_of(target_);
  ChildOptions options;
  options.program = program_;
  options.input = ChildInput::kPipe;
  options.output = false;
  options.arguments = {"-hide_banner",
                       "-nostats",
                       "-loglevel",
                       "level+error",
                       "-y",
                       "-f",
                       "rawvideo",
                       "-pix_fmt",
                       "rgb24",
                       "-s",
                       std::to_string(width_) + "x" + std::to_string(height_),
                       "-r",
                       rate.data(),
                       "-i",
                       "pipe:0"};
  // What players expect; it needs even sides.
  options.arguments.insert(options.arguments.end(),
                           {"-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"});
  options.arguments.insert(options.arguments.end(), {"-f", std::string(format.name),
                                                     "file:" + file_->temporary_path().string()});
  child_ = std::make_unique<ChildProcess>(options);
  messages_ = std::make_unique<FfmpegMessages>(child_->messages());
}

void VideoWriter::fail() {
  child_->kill();
  child_->wait();
  messages_->finish();
  const std::string errors = messages_->errors();
  throw Error(ErrorCode::kInternal,
              what_ + ": ffmpeg cannot write the video" + (errors.empty() ? "" : ": " + errors));
}

void VideoWriter::add(const Image& frame) {
  if (!child_) start(frame);
  if (frame.width != width_ || frame.height != height_) {
    throw Error(ErrorCode::kInternal, what_ + ": a frame has another size than the first");
  }
  const uint8_t* at = frame.rgb.data();
  size_t rest = frame.rgb.size();
  while (rest > 0) {
    const ssize_t size = ::write(child_->input(), at, rest);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) {
      // It says why it ended.
      child_->close_input();
      child_->wait();
      fail();
    }
    at += size;
    rest -= static_cast<size_t>(size);
  }
}

void VideoWriter::finish() {
  if (!child_) return;
  child_->close_input();
  const int status = child_->wait();
  messages_->finish();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail();
  file_->commit();
  messages_.reset();
  child_.reset();
}

}  // namespace sam3trt
