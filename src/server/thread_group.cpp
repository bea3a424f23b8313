#include "server/thread_group.hpp"

#include <chrono>
#include <system_error>
#include <utility>

namespace sam3trt {

ThreadGroup::~ThreadGroup() {
  std::unique_lock lock(mutex_);
  ending_ = true;
  changed_.notify_all();
  changed_.wait(lock, [&] { return threads_.empty(); });
  for (std::thread& thread : ended_) thread.join();
}

bool ThreadGroup::start(std::function<void()> work) {
  const std::scoped_lock lock(mutex_);
  for (std::thread& thread : ended_) thread.join();  // they have nothing left to do
  ended_.clear();
  if (idle_ == 0) {
    if (threads_.size() >= most_) return false;
    threads_.emplace_front();
    try {
      threads_.front() = std::thread([this, self = threads_.begin()] { run(self); });
    } catch (const std::system_error&) {  // the system gives no more
      threads_.pop_front();
      return false;
    }
    ++idle_;
  }
  --idle_;
  waiting_.push_back(std::move(work));
  changed_.notify_one();
  return true;
}

bool ThreadGroup::is_full() const {
  const std::scoped_lock lock(mutex_);
  return idle_ == 0 && threads_.size() >= most_;
}

void ThreadGroup::run(std::list<std::thread>::iterator self) {
  constexpr std::chrono::seconds kPatience{10};
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait_for(lock, kPatience, [&] { return ending_ || !waiting_.empty(); });
    if (waiting_.empty()) break;
    const std::function<void()> work = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    work();
    lock.lock();
    ++idle_;
  }
  --idle_;  // nothing waits, so that this thread is one of them
  ended_.splice(ended_.begin(), threads_, self);
  changed_.notify_all();
}

}  // namespace sam3trt
