#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace sam3trt {

/// Threads that are started as they are needed, up to a number, and end when they are not.
class ThreadGroup {
 public:
  explicit ThreadGroup(size_t most) : most_(most) {}
  /// Waits for all work.
  ~ThreadGroup();
  ThreadGroup(const ThreadGroup&) = delete;
  ThreadGroup& operator=(const ThreadGroup&) = delete;

  /// Runs it on a thread; false, and it is not run, when all are busy.
  [[nodiscard]] bool start(std::function<void()> work);

  /// All threads are busy.
  [[nodiscard]] bool is_full() const;

 private:
  void run(std::list<std::thread>::iterator self);

  size_t most_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  std::list<std::thread> threads_;
  std::list<std::thread> ended_;  ///< To be joined.
  size_t idle_ = 0;               ///< Threads that wait, less the work that waits for them.
  bool ending_ = false;
};

}  // namespace sam3trt
