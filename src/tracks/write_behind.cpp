#include "tracks/write_behind.hpp"

#include <utility>

#include "base/log.hpp"

namespace sam3trt {
namespace {

constexpr size_t kMostWaiting = 4;

}  // namespace

WriteBehind::WriteBehind(TrackSink& sink) : sink_(sink) {
  thread_ = std::thread([this] { hand_on(); });
}

WriteBehind::~WriteBehind() {
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  thread_.join();
  if (!failure_ || thrown_) return;
  try {
    std::rethrow_exception(failure_);
  } catch (const std::exception& error) {
    log(LogLevel::kWarning, error.what());
  } catch (...) {
    log(LogLevel::kWarning, "results could not be written");
  }
}

void WriteBehind::add(FrameResult result, VideoFrame frame) {
  put({std::move(result), std::move(frame)});
}

void WriteBehind::add_error(VideoFrame frame) { put({std::nullopt, std::move(frame)}); }

void WriteBehind::put(Waiting waiting) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return failure_ || waiting_.size() < kMostWaiting; });
  throw_failure();
  waiting_.push_back(std::move(waiting));
  ++added_;
  changed_.notify_all();
}

void WriteBehind::finish() {
  drain();
  const std::scoped_lock lock(mutex_);
  throw_failure();
}

bool WriteBehind::drain(std::optional<std::chrono::milliseconds> at_most) {
  std::unique_lock lock(mutex_);
  const auto is_done = [this, last = added_] { return failure_ || handed_on_ >= last; };
  if (at_most) return changed_.wait_for(lock, *at_most, is_done);
  changed_.wait(lock, is_done);
  return true;
}

void WriteBehind::throw_failure() {
  if (!failure_) return;
  thrown_ = true;
  std::rethrow_exception(failure_);
}

void WriteBehind::hand_on() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ended_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    changed_.notify_all();
    lock.unlock();
    const std::exception_ptr failure = hand_on(std::move(next));
    lock.lock();
    ++handed_on_;
    if (failure) {
      failure_ = failure;
      waiting_.clear();
    }
    changed_.notify_all();
  }
}

std::exception_ptr WriteBehind::hand_on(Waiting waiting) {
  try {
    if (waiting.result) {
      sink_.add(std::move(*waiting.result), std::move(waiting.frame));
    } else {
      sink_.add_error(std::move(waiting.frame));
    }
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

}  // namespace sam3trt
