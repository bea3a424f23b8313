#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace sam3trt {

/// What the library's logger reports as errors, kept apart by the call that caused them. A call
/// opens an ErrorLog::Call in its thread; errors of that thread go to its innermost one. Errors of
/// threads that the library itself started go to the calls that said so. What no call took when it
/// ends is dropped, so that nothing is joined to a later message. Calls in any number of threads.
class ErrorLog {
 public:
  /// Whether a call makes the library start threads of its own, as compiling does.
  enum class Workers { kNo, kYes };

  class Call {
   public:
    /// `log` must outlive the call, and the call ends in the thread in which it began.
    explicit Call(ErrorLog& log, Workers workers = Workers::kNo);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    /// The errors so far, joined by "; ", and forgets them; "no reason given" when there are none.
    [[nodiscard]] std::string take();

   private:
    friend class ErrorLog;
    static constexpr size_t kKept = 8;

    ErrorLog& log_;
    std::thread::id thread_ = std::this_thread::get_id();
    Workers workers_;
    std::vector<std::string> errors_;
  };

  /// Called by the library, from any thread. False when no call is open that the error could belong
  /// to. Throws std::bad_alloc only.
  bool add(std::string_view message);

 private:
  std::mutex mutex_;
  std::vector<Call*> calls_;  ///< In the order in which they began.
};

}  // namespace sam3trt
