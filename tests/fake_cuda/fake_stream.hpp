#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

namespace sam3trt::fake {

using Work = std::function<void()>;

/// What a stream was given while it recorded.
struct Recording {
  std::vector<Work> work;
};

class FakeStream;

/// A point in a stream's work.
struct FakeEvent {
  std::weak_ptr<FakeStream> stream;  ///< Where it was recorded last.
  uint64_t position = 0;             ///< Work of that stream that comes before.
  int tick = 0;                      ///< When it was reached; 0 before.
};

/// A queue whose work runs when somebody waits for it, and not before: as late as a GPU may be.
class FakeStream {
 public:
  void add(Work work);

  [[nodiscard]] uint64_t added() const { return added_; }

  /// Runs the first `position` works ever added, as far as they did not run.
  void run_until(uint64_t position);
  void run_all() { run_until(added_); }

  void begin_recording() { recording_ = std::make_unique<Recording>(); }
  [[nodiscard]] bool is_recording() const { return recording_ != nullptr; }
  [[nodiscard]] std::unique_ptr<Recording> end_recording() { return std::move(recording_); }

 private:
  std::unique_ptr<Recording> recording_;
  std::deque<Work> pending_;
  uint64_t added_ = 0;
  uint64_t done_ = 0;
};

void record(const std::shared_ptr<FakeEvent>& event, const std::shared_ptr<FakeStream>& stream);
void wait(FakeStream& stream, const FakeEvent& event);

}  // namespace sam3trt::fake
