#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/semantics.hpp"
#include "runtime/prompt.hpp"

namespace sam3trt {

/// One found object.
struct Instance {
  float score = 0;
  int64_t query = 0;               ///< Which of the detector's queries found it.
  std::array<float, 4> box{};      ///< x0 y0 x1 y1 in pixels.
  int64_t area = 0;                ///< Pixels inside the mask.
  std::vector<uint32_t> counts{};  ///< Run lengths of the mask (image/rle.hpp).
};

/// What one prompt found, by falling score.
struct PromptResult {
  Prompt prompt;
  float presence = 0;  ///< Probability that the image shows what the prompt asks for.
  std::vector<Instance> instances;
};

/// Milliseconds. `detector` is everything after the vision encoder that runs on the backend: text
/// encoder, geometry encoder, detector and mask head.
struct Timings {
  double decode = 0;
  double preprocess = 0;
  double vision_encoder = 0;
  double detector = 0;
  double postprocess = 0;
};

/// One image's results, or why there are none.
struct ImageResult {
  std::string path;
  int64_t width = 0;
  int64_t height = 0;
  std::vector<PromptResult> prompts;
  Timings timings_ms;
  /// What failed. An image whose overlay alone could not be written has its results besides.
  std::optional<std::string> error;
  ErrorCode error_code = ErrorCode::kInternal;  ///< Of `error`.
};

/// Throws the result's error, if it is one.
void throw_if_failed(const ImageResult& result);

/// A whole run of `infer`.
struct RunResult {
  std::string backend;
  Semantics semantics = Semantics::kHf;
  std::vector<ImageResult> images;
  /// Components whose engines run only because unverified ones were allowed, each with the state of
  /// its verification ("failed", "none").
  std::map<std::string, std::string> unverified{};
};

/// The document that `infer` writes, version 1. Scores are rounded to 6 digits after the point,
/// boxes and timings to 3; bytes that are not UTF-8 in paths and texts become U+FFFD. Unverified
/// engines mark it: "verified": false and which ones.
[[nodiscard]] std::string to_json(const RunResult& result);

}  // namespace sam3trt
