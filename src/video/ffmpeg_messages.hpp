#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace sam3trt {

/// Reads what ffmpeg writes to standard error, on a thread of its own, until its end. ffmpeg is
/// asked for levels ("-loglevel level+info").
class FfmpegMessages {
 public:
  /// `fd` stays the caller's and must be open as long as this object lives.
  explicit FfmpegMessages(int fd);
  /// Waits for the end of the pipe.
  ~FfmpegMessages();
  FfmpegMessages(const FfmpegMessages&) = delete;
  FfmpegMessages& operator=(const FfmpegMessages&) = delete;

  /// Waits for the end of the pipe.
  void finish();

  /// The errors so far, at most the last few, printable, with "; " between them; empty: none.
  [[nodiscard]] std::string errors() const;

  /// Frames a second, as ffmpeg says of what it writes.
  [[nodiscard]] std::optional<double> fps() const;

  /// One line of ffmpeg's; for tests.
  void add(std::string_view line);

 private:
  void read(int fd);

  mutable std::mutex mutex_;
  std::deque<std::string> errors_;
  bool in_error_ = false;
  bool in_output_ = false;
  std::optional<double> fps_;
  std::thread thread_;
};

}  // namespace sam3trt
