#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "sam3trt/session.hpp"
#include "server/call_queue.hpp"
#include "server/feature_cache.hpp"

namespace sam3trt {

/// What workers count.
struct WorkCounts {
  std::mutex mutex;
  uint64_t hits = 0;
  uint64_t misses = 0;
  std::map<size_t, uint64_t> batches;
};

/// Does the calls of a queue with one session, on the thread that calls run().
class ModelWorker {
 public:
  /// `device` is the model's place among those of the service. All must outlive the worker.
  ModelWorker(const Model& model, size_t device, CallQueue& queue, FeatureCache& cache,
              WorkCounts& counts)
      : session_(model), device_(device), queue_(queue), cache_(cache), counts_(counts) {}

  /// Asks everything that the model can of an image of nothing, so that the first requests do not
  /// pay for what a first run costs.
  void warm_up();

  /// Until the queue stops.
  void run();

 private:
  /// Calls on images of one piece of features.
  struct Encoded {
    std::shared_ptr<const Features> features;
    double milliseconds = 0;  ///< For each image; 0 where they were kept.
  };
  struct Placed {
    Call* call = nullptr;
    size_t index = 0;  ///< Of its image in the features.
  };

  void work(std::span<Call* const> calls);
  void encode_and_answer(std::span<Call* const> calls, const std::vector<ServedImage>& images);
  void answer(const Encoded& encoded, std::span<const Placed> calls);
  /// Runs what the calls ask for in one go and gives each its part of what was found; one by one,
  /// where one of them fails. `run` takes what is asked of each image of the features.
  template <typename Asked, typename Found, typename Run>
  void answer_merged(const Encoded& encoded, std::span<const Placed> calls,
                     std::span<const Asked> Call::*asked, std::vector<Found> ImageResult::*found,
                     const Run& run);
  void detect(const Encoded& encoded, std::span<const Placed> calls);
  void interact(const Encoded& encoded, std::span<const Placed> calls);

  Session session_;
  size_t device_;
  CallQueue& queue_;
  FeatureCache& cache_;
  WorkCounts& counts_;
};

}  // namespace sam3trt
