#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/semantics.hpp"
#include "runtime/prompt.hpp"
#include "sam3trt/result.hpp"

namespace sam3trt {

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
