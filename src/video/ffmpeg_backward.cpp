#include "video/ffmpeg_backward.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"

namespace sam3trt {
namespace {

constexpr int64_t kMaxPart = 512;

}  // namespace

FfmpegBackward::FfmpegBackward(const std::string& source, const std::string& what,
                               FfmpegInput input, std::optional<int64_t> first, int64_t part_bytes)
    : what_(what), input_(std::move(input)), part_bytes_(part_bytes) {
  info_.path = source;
  find_times();
  const auto frames = static_cast<int64_t>(times_.size());
  info_.frames = frames;
  info_.length = frames;
  info_.estimate = frames;
  info_.fps = probe_video(input_, what).fps;
  next_ = first.value_or(frames - 1);
  if (next_ < 0 || next_ >= frames) {
    throw_bad_input(what + ": has no frame " + std::to_string(next_) + ", only 0 to " +
                    std::to_string(frames - 1));
  }
  // The first frame says how large all are.
  const std::optional<FfmpegRun::Stamped> frame = start({.frames = 1})->next();
  if (!frame) throw_bad_input(what + ": its first frame cannot be decoded");
  info_.width = frame->image.width;
  info_.height = frame->image.height;
}

FfmpegRun* FfmpegBackward::start(const FfmpegRun::Options& options) {
  const std::scoped_lock lock(mutex_);
  run_.reset();
  run_ = std::make_unique<FfmpegRun>(input_, what_, options);
  if (cancelled_) run_->stop();
  return run_.get();
}

void FfmpegBackward::find_times() {
  FfmpegRun* run = start({.pixels = false});
  while (const std::optional<FrameStamp> stamp = run->next_stamp()) {
    if (!stamp->pts || !stamp->seconds || (!times_.empty() && *stamp->pts <= times_.back().pts)) {
      seekable_ = false;
    }
    times_.push_back({stamp->pts.value_or(0), stamp->seconds.value_or(0)});
  }
  const bool well = run->ended_well();
  const std::string errors = run->errors();
  if (times_.empty()) {
    throw_bad_input(what_ + ": ffmpeg finds no video in it" +
                    (errors.empty() ? "" : ": " + errors));
  }
  if (!well || !errors.empty()) {
    log(LogLevel::kWarning, what_ + ": only its first " + std::to_string(times_.size()) +
                                " frames can be read" + (errors.empty() ? "" : ": " + errors));
  }
}

bool FfmpegBackward::seek_part(int64_t begin, int64_t end) {
  const Time& from = times_[static_cast<size_t>(begin)];
  FfmpegRun::Options options;
  if (begin > 0) {
    std::array<char, 64> seconds{};
    std::snprintf(seconds.data(), seconds.size(), "%.6f", from.seconds);
    options.before = {"-noaccurate_seek", "-seek_timestamp", "1", "-ss", seconds.data()};
  }
  options.filter = "select=between(pts\\," + std::to_string(from.pts) + "\\," +
                   std::to_string(times_[static_cast<size_t>(end - 1)].pts) + ")";
  options.frames = end - begin;
  FfmpegRun* run = start(options);
  part_.clear();
  try {
    for (int64_t i = begin; i < end; ++i) {
      std::optional<FfmpegRun::Stamped> frame = run->next();
      if (!frame || frame->stamp.pts != times_[static_cast<size_t>(i)].pts) return false;
      part_.push_back(std::move(frame->image));
    }
  } catch (const Error&) {
    return false;
  }
  return true;
}

void FfmpegBackward::decode_part(int64_t begin, int64_t end) {
  FfmpegRun* run = start({.frames = end});
  part_.clear();
  for (int64_t i = 0; i < end; ++i) {
    std::optional<FfmpegRun::Stamped> frame = run->next();
    if (!frame) {
      throw_bad_input(what_ + ": frame " + std::to_string(i) +
                      " cannot be decoded a second time: " + run->errors());
    }
    if (i >= begin) part_.push_back(std::move(frame->image));
  }
}

void FfmpegBackward::read_part() {
  const int64_t size =
      std::clamp<int64_t>(part_bytes_ / (info_.width * info_.height * 3), 1, kMaxPart);
  const int64_t end = next_ + 1;
  const int64_t begin = std::max<int64_t>(end - size, 0);
  if (seekable_ && seek_part(begin, end)) return;
  ++decoded_twice_;
  decode_part(begin, end);
}

std::optional<VideoFrame> FfmpegBackward::next() {
  if (next_ < 0) return std::nullopt;
  if (part_.empty()) {
    try {
      read_part();
    } catch (const Error&) {
      const std::scoped_lock lock(mutex_);
      if (cancelled_) return std::nullopt;
      throw;
    }
  }
  VideoFrame frame;
  frame.index = next_--;
  frame.time = times_[static_cast<size_t>(frame.index)].seconds - times_.front().seconds;
  frame.image = std::move(part_.back());
  part_.pop_back();
  return frame;
}

void FfmpegBackward::cancel() noexcept {
  const std::scoped_lock lock(mutex_);
  cancelled_ = true;
  if (run_) run_->stop();
}

}  // namespace sam3trt
