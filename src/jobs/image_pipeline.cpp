#include "jobs/image_pipeline.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

namespace sam3trt {
namespace {

/// Where an image is. Each state is left by one thread, which takes the image under the lock.
enum class Place { kLoading, kLoaded, kRunning, kRan, kFinishing, kFinished };

struct Slot {
  PipelineImage image;
  Place place = Place::kLoading;
  size_t pixel_bytes = 0;
};

class ImagePipeline {
 public:
  ImagePipeline(const PipelineSteps& steps, const PipelineLimits& limits)
      : steps_(steps), limits_(limits) {
    if (limits_.threads == 0) {
      limits_.threads = std::clamp<size_t>(std::thread::hardware_concurrency(), 2,
                                           std::max<size_t>(16, 8 * steps_.run.size()));
    }
    limits_.batch = std::max<size_t>(limits_.batch, 1);
    if (limits_.images == 0) {
      limits_.images = 2 * (limits_.threads + limits_.batch * steps_.run.size());
    }
  }

  void run() {
    {
      std::vector<std::jthread> threads;
      const auto start = [&](auto&& work) {
        threads.emplace_back([this, work] { keep_failure(work); });
      };
      for (size_t i = 0; i < limits_.threads; ++i) start([this] { work(); });
      for (const auto& run : steps_.run) start([this, &run] { run_batches(run); });
      keep_failure([this] { write_all(); });
    }
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  /// What a thread throws ends all of them.
  template <typename Work>
  void keep_failure(const Work& work) {
    try {
      return work();
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
    changed_.notify_all();
  }

  [[nodiscard]] bool may_take() const {
    return !taking_ && !exhausted_ && slots_.size() < limits_.images &&
           (slots_.empty() || pixel_bytes_ < limits_.pixel_bytes);
  }

  [[nodiscard]] Slot* first(Place place) const {
    const auto found =
        std::ranges::find_if(slots_, [&](const auto& slot) { return slot->place == place; });
    return found == slots_.end() ? nullptr : found->get();
  }

  [[nodiscard]] bool is_done() const { return exhausted_ && slots_.empty(); }

  /// Finishing comes before taking another: it lets go of memory.
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] {
        return failure_ || is_done() || may_take() || first(Place::kRan) != nullptr;
      });
      if (failure_ || is_done()) return;
      if (Slot* slot = first(Place::kRan)) {
        finish(*slot, lock);
      } else {
        take(lock);
      }
    }
  }

  void finish(Slot& slot, std::unique_lock<std::mutex>& lock) {
    slot.place = Place::kFinishing;
    lock.unlock();
    steps_.finish(slot.image);
    slot.image.pixels.reset();
    slot.image.file.bytes = {};
    lock.lock();
    pixel_bytes_ -= slot.pixel_bytes;
    slot.place = Place::kFinished;
    changed_.notify_all();
  }

  void take(std::unique_lock<std::mutex>& lock) {
    taking_ = true;
    auto fresh = std::make_unique<Slot>();
    Slot& slot = *fresh;
    slot.image.index = taken_++;
    lock.unlock();
    const bool is_there = steps_.take(slot.image);
    lock.lock();
    taking_ = false;
    if (!is_there) {
      exhausted_ = true;
      changed_.notify_all();
      return;
    }
    slots_.push_back(std::move(fresh));
    slot.pixel_bytes = expected_bytes_;
    pixel_bytes_ += slot.pixel_bytes;
    changed_.notify_all();
    lock.unlock();
    if (!slot.image.result.error) steps_.load(slot.image);
    lock.lock();
    slot.image.file.bytes = {};
    pixel_bytes_ -= slot.pixel_bytes;
    slot.pixel_bytes = slot.image.pixels ? slot.image.pixels->rgb.size() : 0;
    pixel_bytes_ += slot.pixel_bytes;
    expected_bytes_ = std::max(slot.pixel_bytes, expected_bytes_ / 4 * 3);
    slot.place = slot.image.result.error ? Place::kRan : Place::kLoaded;
    changed_.notify_all();
  }

  /// A batch is run when it is full, or when nothing can be added to it before it has run.
  [[nodiscard]] bool may_run() const {
    const auto loaded = std::ranges::count_if(
        slots_, [](const auto& slot) { return slot->place == Place::kLoaded; });
    if (loaded == 0) return false;
    if (static_cast<size_t>(loaded) >= limits_.batch) return true;
    return !taking_ && !may_take() && first(Place::kLoading) == nullptr;
  }

  void run_batches(const std::function<void(std::span<PipelineImage* const>)>& run) {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return failure_ || is_done() || may_run(); });
      if (failure_ || is_done()) return;
      std::vector<Slot*> batch;
      std::vector<PipelineImage*> images;
      for (const auto& slot : slots_) {
        if (slot->place != Place::kLoaded || batch.size() == limits_.batch) continue;
        slot->place = Place::kRunning;
        batch.push_back(slot.get());
        images.push_back(&slot->image);
      }
      lock.unlock();
      run(images);
      lock.lock();
      for (Slot* slot : batch) {
        slot->image.ran = true;
        slot->place = Place::kRan;
      }
      changed_.notify_all();
    }
  }

  void write_all() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] {
        return failure_ || is_done() ||
               (!slots_.empty() && slots_.front()->place == Place::kFinished);
      });
      if (failure_ || is_done()) return;
      // It keeps its place until it is written: a limit of one image means one.
      PipelineImage& image = slots_.front()->image;
      lock.unlock();
      steps_.write(image);
      lock.lock();
      slots_.pop_front();
      changed_.notify_all();
    }
  }

  const PipelineSteps& steps_;
  PipelineLimits limits_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Slot>> slots_;  ///< In the order in which they were taken.
  size_t pixel_bytes_ = 0;  ///< Of all slots; of those that load, as much as is expected.
  size_t expected_bytes_ = size_t{1} << 24;  ///< By the images that were loaded last.
  uint64_t taken_ = 0;
  bool taking_ = false;
  bool exhausted_ = false;
  std::exception_ptr failure_;
};

}  // namespace

void run_pipeline(const PipelineSteps& steps, const PipelineLimits& limits) {
  ImagePipeline(steps, limits).run();
}

}  // namespace sam3trt
