#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "jobs/image_source.hpp"
#include "runtime/result.hpp"
#include "sam3trt/image.hpp"

namespace sam3trt {

/// An image on its way through the pipeline.
struct PipelineImage {
  uint64_t index = 0;  ///< In the order in which they were taken.
  ImageFile file{};
  std::shared_ptr<const Image> pixels{};  ///< Null where `result` has an error.
  ImageResult result{};
  bool ran = false;  ///< The model has been run on it.
  std::string line{};
};

/// What is done with each image. Steps must not throw for what concerns one image alone: that is
/// its result's error. Whatever they throw ends the pipeline.
struct PipelineSteps {
  /// The next image, as far as it has to be done in order; false at the end. One call at a time.
  std::function<bool(PipelineImage&)> take;
  /// Reads and decodes. Several threads.
  std::function<void(PipelineImage&)> load;
  /// Each runs images through a model on a thread of its own, all of them that have no error.
  std::vector<std::function<void(std::span<PipelineImage* const>)>> run;
  /// Draws, and makes `line`. Several threads.
  std::function<void(PipelineImage&)> finish;
  /// In the order in which they were taken, on the calling thread.
  std::function<void(PipelineImage&)> write;
};

struct PipelineLimits {
  /// That load and finish; 0: one for each processor, at least 2, at most 16 or 8 for each `run`.
  size_t threads = 0;
  size_t batch = 1;   ///< Images that one call of `run` gets at most.
  size_t images = 0;  ///< Between take and write at most; 0: what keeps every thread busy.
  size_t pixel_bytes = size_t{1} << 30;  ///< Decoded at a time; one image may always be.
};

/// Takes, loads, runs, finishes and writes images until there are no more; all steps at the same
/// time on different images. What is between take and write is bounded, so that memory does not
/// grow with the number of images. Throws what a step throws, after all threads have ended; images
/// that were not written by then are lost.
void run_pipeline(const PipelineSteps& steps, const PipelineLimits& limits);

}  // namespace sam3trt
