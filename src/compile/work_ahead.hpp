#pragma once

#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sam3trt {

/// Runs pieces of work one after the other in a thread of its own, while the caller does something
/// else that needs them later. The first that throws ends it.
class WorkAhead {
 public:
  using Piece = std::function<void()>;

  /// `cancel` makes the piece that is running throw soon.
  WorkAhead(std::vector<Piece> pieces, std::function<void()> cancel);

  /// Cancels what is not done, and waits for its end.
  ~WorkAhead();
  WorkAhead(const WorkAhead&) = delete;
  WorkAhead& operator=(const WorkAhead&) = delete;

  /// Whether a piece threw. From any thread.
  [[nodiscard]] bool failed() const;

  /// Throws what a piece threw; nothing when none did so far.
  void check() const;

  /// Waits until all is done or one threw.
  void finish();

 private:
  void run(const std::stop_token& stop);

  std::vector<Piece> pieces_;
  std::function<void()> cancel_;
  mutable std::mutex mutex_;
  std::exception_ptr error_;
  std::jthread thread_;
};

}  // namespace sam3trt
