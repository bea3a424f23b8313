#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace sam3trt {

/// A line on standard error about a video that is being tracked, drawn only on a terminal, at most
/// ten times a second; erased at the end.
class TrackProgress {
 public:
  /// Frames of the video, where they are known.
  explicit TrackProgress(std::optional<int64_t> frames);
  ~TrackProgress() { clear(); }
  TrackProgress(const TrackProgress&) = delete;
  TrackProgress& operator=(const TrackProgress&) = delete;

  /// One more frame is done, with so many objects in it.
  void advance(size_t objects);
  /// Takes it off the terminal until it moves on, for a message.
  void clear() const;

  [[nodiscard]] int64_t frames() const { return done_; }
  /// Since the beginning.
  [[nodiscard]] double seconds() const;

 private:
  std::optional<int64_t> total_;
  int64_t done_ = 0;
  bool visible_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point drawn_ = begin_ - std::chrono::seconds(1);
};

}  // namespace sam3trt
