#pragma once

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "runtime/model_files.hpp"
#include "verify/published.hpp"
#include "verify/published_images.hpp"

namespace sam3trt {

/// How the cases of a table are run.
struct PublishedOptions {
  PublishedImageSource images;
  int device = 0;        ///< GPU that engines run on.
  int threads = 0;       ///< Of the CPU backend; 0: OpenVINO's choice.
  std::stop_token stop;  ///< Ends what runs, which then throws StoppedError.
  /// Told before each case; may be empty.
  std::function<void(const std::string& name)> progress;
};

/// What a model gave in place of the published numbers.
struct PublishedOutcome {
  std::string backend;  ///< "openvino" or "tensorrt"
  Precision precision = Precision::kFp32;
  std::vector<PublishedValue> values;

  [[nodiscard]] bool passed() const;
};

/// Runs all cases of the table with one model. What its components give by themselves (scores,
/// logits, boxes, masks before they are resized) comes from a run on the backend of its files; the
/// instances of engines come from the whole run on the GPU, as `infer` gives them. Engines need not
/// be verified. Throws Error(kBadInput) for a model of other sizes or semantics than the table's,
/// what read_published_image and loading throw, and StoppedError.
[[nodiscard]] PublishedOutcome run_published(const PublishedTable& table, const ModelFiles& model,
                                             const PublishedOptions& options);

}  // namespace sam3trt
