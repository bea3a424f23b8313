#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "server/feature_cache.hpp"
#include "server/service.hpp"

namespace sam3trt {

/// One call that waits for the model. What it refers to lives until CallQueue::run() returns.
struct Call {
  enum class Kind { kEncode, kDetect, kInteract };
  Kind kind = Kind::kEncode;
  ServedImage image;
  std::span<const Prompt> prompts{};
  DetectOptions detect{};
  std::span<const ObjectPrompt> objects{};
  InteractOptions interact{};

  ImageResult result{};
  std::exception_ptr error{};  ///< In place of the result.

 private:
  friend class CallQueue;
  enum class State { kWaiting, kRunning, kDone };
  State state_ = State::kWaiting;
  std::chrono::steady_clock::time_point since_{};  ///< That it waits.
  std::condition_variable* changed_ = nullptr;     ///< Of whoever waits for it.
};

/// Calls of any number of clients for the workers of some devices. Bounded; calls that can go
/// through the model together are given together.
class CallQueue {
 public:
  /// `batch`: images that go through the model together.
  CallQueue(const ServiceLimits& limits, size_t batch, const FeatureCache& cache)
      : limits_(limits), batch_(batch), cache_(cache) {}

  /// Waits until workers have done the calls; each has its result or error then. Errors are what
  /// the model throws, HttpError(503) when the queue is full, the calls wait for longer than the
  /// limit or the queue stops, and HttpError(499) when `gone` says that nobody waits any more.
  void run(std::span<Call> calls, const std::function<bool()>& gone);

  /// For a worker: the next calls, at most 16 (or `batch`), all of one of these kinds:
  /// * their images' features are kept, in one piece;
  /// * their images have none yet: at most `batch` images.
  /// Waits for them, and for more of the second kind until the first has waited for as long as the
  /// limits say, only when others are on their way; calls of the first kind do not wait for these.
  /// Empty: the queue has stopped. No other worker gets calls for the same images until done() is
  /// called.
  [[nodiscard]] std::vector<Call*> take(size_t device);

  /// The calls of take() have their results.
  void done(std::span<Call* const> calls);

  /// Calls that wait are 503, and so are all later ones.
  void stop();

  [[nodiscard]] size_t waiting() const;
  [[nodiscard]] bool is_stopped() const;

  /// While it lives, workers know that another call is on its way.
  class Announcement {
   public:
    explicit Announcement(CallQueue& queue);
    ~Announcement();
    Announcement(const Announcement&) = delete;
    Announcement& operator=(const Announcement&) = delete;

   private:
    CallQueue& queue_;
  };

 private:
  void refuse_waiting(std::span<Call> calls, const std::exception_ptr& error);
  struct Choice {
    std::vector<Call*> calls;
    bool may_grow = false;  ///< More could go with them.
  };
  [[nodiscard]] Choice choose(size_t device, bool only_kept) const;

  const ServiceLimits& limits_;
  size_t batch_;
  const FeatureCache& cache_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::list<Call*> waiting_;
  std::multiset<std::string> busy_;  ///< Digests of images that workers have.
  size_t announced_ = 0;
  bool stopped_ = false;
};

}  // namespace sam3trt
