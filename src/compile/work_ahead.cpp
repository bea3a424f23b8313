#include "compile/work_ahead.hpp"

#include <utility>

namespace sam3trt {

WorkAhead::WorkAhead(std::vector<Piece> pieces, std::function<void()> cancel)
    : pieces_(std::move(pieces)),
      cancel_(std::move(cancel)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

WorkAhead::~WorkAhead() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  cancel_();
  thread_.join();
}

void WorkAhead::run(const std::stop_token& stop) {
  try {
    for (const Piece& piece : pieces_) {
      if (stop.stop_requested()) return;
      piece();
    }
  } catch (...) {
    const std::lock_guard lock(mutex_);
    error_ = std::current_exception();
  }
}

bool WorkAhead::failed() const {
  const std::lock_guard lock(mutex_);
  return error_ != nullptr;
}

void WorkAhead::check() const {
  const std::lock_guard lock(mutex_);
  if (error_) std::rethrow_exception(error_);
}

void WorkAhead::finish() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace sam3trt
