#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace sam3trt {

enum class ProgressUnit { kSteps, kBytes };

/// A bar on standard error, drawn only on a terminal and only for more than one step, at most ten
/// times a second; erased at the end.
class ProgressBar {
 public:
  ProgressBar(std::string label, uint64_t total, ProgressUnit unit = ProgressUnit::kSteps);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void advance() { set(done_ + 1); }
  void set(uint64_t done);

  /// Takes it off the terminal until it moves on, for a message.
  void clear() const;

 private:
  void draw() const;

  std::string label_;
  uint64_t total_;
  ProgressUnit unit_;
  uint64_t done_ = 0;
  bool visible_;
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace sam3trt
