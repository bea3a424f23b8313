#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "tracks/track_loop.hpp"

namespace sam3trt {

/// Hands results to another sink on a thread of its own, in their order, so that the next frame is
/// tracked while the last ones are packed and written. At most 4 of them wait, beside the one that
/// the sink has in hand.
///
/// That thread alone calls the sink's add() and add_error(), one at a time. It lives until this
/// object goes, also when the sink has failed: a program that the sink starts (ChildProcess) is
/// killed with the thread that started it, so the sink must be finished before.
///
/// What the sink throws ends the work: what waits is dropped, the sink is not called any more, and
/// all further calls of add(), add_error() and finish() throw it.
class WriteBehind : public TrackSink {
 public:
  /// The sink must outlive it.
  explicit WriteBehind(TrackSink& sink);
  /// Hands on what waits, so that an error of the tracker loses no result that was there before it.
  /// What the sink threw, and no call has thrown on, becomes a warning.
  ~WriteBehind() override;

  /// Both wait for room. From one thread at a time.
  void add(FrameResult result, VideoFrame frame) override;
  void add_error(VideoFrame frame) override;
  [[nodiscard]] bool wants_images() const override { return sink_.wants_images(); }

  /// Waits until everything that was added has been handed on.
  void finish();

  /// Waits until what was added before this call has been handed on, or the sink has failed. Gives
  /// up after `at_most` and returns false. From any thread.
  bool drain(std::optional<std::chrono::milliseconds> at_most = std::nullopt);

 private:
  struct Waiting {
    std::optional<FrameResult> result;  ///< None: an error.
    VideoFrame frame;
  };

  void put(Waiting waiting);
  void hand_on();
  /// What the sink threw.
  [[nodiscard]] std::exception_ptr hand_on(Waiting waiting);
  void throw_failure();

  TrackSink& sink_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> waiting_;
  int64_t added_ = 0;
  int64_t handed_on_ = 0;
  bool ended_ = false;
  std::exception_ptr failure_;
  bool thrown_ = false;
  std::thread thread_;
};

}  // namespace sam3trt
