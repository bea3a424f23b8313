#include "long_work.hpp"

#include <nanobind/stl/string.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

namespace sam3trt::python {
namespace {

/// What the thread at work has to say; of each thing only the latest.
class Mailbox {
 public:
  void put(const std::string& what, double done) {
    const std::lock_guard lock(mutex_);
    news_[what] = done;
    changed_.notify_one();
  }

  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_one();
  }

  /// Waits a while for news; false when the work has ended.
  bool wait(std::map<std::string, double>& news) {
    using namespace std::chrono_literals;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 100ms, [this] { return closed_ || !news_.empty(); });
    news.swap(news_);
    news_.clear();
    return !closed_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, double> news_;
  bool closed_ = false;
};

/// Handles signals and tells the news; what that raises.
std::exception_ptr tell(const nb::object& progress, const std::map<std::string, double>& news) {
  try {
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
    if (progress.is_none()) return nullptr;
    for (const auto& [what, done] : news) progress(what, done);
    return nullptr;
  } catch (const std::exception&) {
    return std::current_exception();
  }
}

}  // namespace

void run_long_work(
    const nb::object& progress,
    const std::function<void(const std::stop_token& stop, const Report& report)>& work) {
  Mailbox mailbox;
  std::stop_source stop;
  std::exception_ptr failure;
  std::thread thread([&] {
    try {
      work(stop.get_token(),
           [&](const std::string& what, double done) { mailbox.put(what, done); });
    } catch (...) {
      failure = std::current_exception();
    }
    mailbox.close();
  });
  std::exception_ptr raised;
  for (bool at_work = true; at_work;) {
    std::map<std::string, double> news;
    {
      const nb::gil_scoped_release release;
      at_work = mailbox.wait(news);
    }
    if (raised) continue;
    raised = tell(progress, news);
    if (raised) stop.request_stop();
  }
  thread.join();
  if (raised) std::rethrow_exception(raised);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace sam3trt::python
