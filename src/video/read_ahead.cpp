#include "video/read_ahead.hpp"

#include <utility>

namespace sam3trt {
namespace {

constexpr size_t kMaxFrames = 8;
constexpr size_t kMaxBytes = size_t{512} << 20;

}  // namespace

ReadAhead::ReadAhead(std::unique_ptr<FrameSource> source) : source_(std::move(source)) {
  thread_ = std::thread([this] { read(); });
}

ReadAhead::~ReadAhead() {
  cancel();
  thread_.join();
}

void ReadAhead::cancel() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  source_->cancel();
}

bool ReadAhead::has_room() const {
  return frames_.empty() || (frames_.size() < kMaxFrames && bytes_ < kMaxBytes);
}

void ReadAhead::read() {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopped_ || has_room(); });
      if (stopped_) return;
    }
    std::optional<VideoFrame> frame;
    std::exception_ptr failure;
    try {
      frame = source_->next();
    } catch (...) {
      failure = std::current_exception();
    }
    const std::scoped_lock lock(mutex_);
    if (frame) {
      bytes_ += frame->image.rgb.size();
      frames_.push_back(std::move(*frame));
    } else {
      failure_ = failure;
      ended_ = true;
    }
    changed_.notify_all();
    if (ended_) return;
  }
}

std::optional<VideoFrame> ReadAhead::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopped_ || ended_ || !frames_.empty(); });
  if (stopped_) return std::nullopt;
  if (frames_.empty()) {
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    return std::nullopt;
  }
  VideoFrame frame = std::move(frames_.front());
  frames_.pop_front();
  bytes_ -= frame.image.rgb.size();
  changed_.notify_all();
  return frame;
}

}  // namespace sam3trt
