#include "fake_stream.hpp"

#include <utility>

namespace sam3trt::fake {

void FakeStream::add(Work work) {
  if (recording_) {
    recording_->work.push_back(std::move(work));
    return;
  }
  pending_.push_back(std::move(work));
  ++added_;
}

void FakeStream::run_until(uint64_t position) {
  while (done_ < position) {
    const Work work = std::move(pending_.front());
    pending_.pop_front();
    ++done_;
    work();
  }
}

void record(const std::shared_ptr<FakeEvent>& event, const std::shared_ptr<FakeStream>& stream) {
  static int ticks = 0;
  event->tick = 0;
  stream->add([event] { event->tick = ++ticks; });
  event->stream = stream;
  event->position = stream->added();
}

void wait(FakeStream& stream, const FakeEvent& event) {
  stream.add([other = event.stream, position = event.position] {
    if (const auto still_there = other.lock()) still_there->run_until(position);
  });
}

}  // namespace sam3trt::fake
