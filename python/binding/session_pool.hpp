#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "sam3trt/session.hpp"

namespace sam3trt::python {

/// The sessions of one model, made when they are first needed, at most `most`: a call takes one
/// that is free, or waits for it. Used without the GIL.
class SessionPool {
 public:
  SessionPool(Model model, int device, size_t most)
      : model_(std::move(model)), device_(device), most_(most) {}

  [[nodiscard]] const Model& model() const { return model_; }

  /// The GPU of a model that runs on one.
  [[nodiscard]] int device() const { return device_; }

  /// Calls `use` with a session that is nobody else's for that time.
  template <typename Use>
  auto with_session(const Use& use) {
    std::unique_ptr<Session> session = take();
    try {
      auto result = use(*session);
      give_back(std::move(session));
      return result;
    } catch (...) {
      give_back(std::move(session));
      throw;
    }
  }

 private:
  std::unique_ptr<Session> take() {
    std::unique_lock lock(mutex_);
    returned_.wait(lock, [this] { return !free_.empty() || made_ < most_; });
    if (!free_.empty()) {
      std::unique_ptr<Session> session = std::move(free_.back());
      free_.pop_back();
      return session;
    }
    ++made_;
    lock.unlock();
    try {
      return std::make_unique<Session>(model_);
    } catch (...) {
      lock.lock();
      --made_;
      returned_.notify_one();
      throw;
    }
  }

  void give_back(std::unique_ptr<Session> session) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(session));
    returned_.notify_one();
  }

  Model model_;
  int device_;
  size_t most_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<Session>> free_;
  size_t made_ = 0;
};

}  // namespace sam3trt::python
