#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include "video/frame_source.hpp"

namespace sam3trt {

/// Reads another source on a thread of its own, a few frames ahead: at most 8, and at most 512 MiB
/// but for one frame.
class ReadAhead : public FrameSource {
 public:
  explicit ReadAhead(std::unique_ptr<FrameSource> source);
  /// Ends what the source waits for.
  ~ReadAhead() override;

  [[nodiscard]] const VideoInfo& info() const override { return source_->info(); }
  [[nodiscard]] std::optional<VideoFrame> next() override;
  void cancel() noexcept override;
  [[nodiscard]] std::string name_of(int64_t frame) const override {
    return source_->name_of(frame);
  }
  [[nodiscard]] std::vector<std::string> files() const override { return source_->files(); }

 private:
  void read();
  [[nodiscard]] bool has_room() const;

  std::unique_ptr<FrameSource> source_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<VideoFrame> frames_;
  size_t bytes_ = 0;
  bool ended_ = false;
  bool stopped_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace sam3trt
