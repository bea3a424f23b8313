#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/semantics.hpp"
#include "runtime/prompt.hpp"
#include "sam3trt/result.hpp"

namespace sam3trt {

/// Throws the result's error, if it is one.
void throw_if_failed(const ImageResult& result);

/// The error becomes the image's, unless it has one.
void set_error(ImageResult& result, const Error& error);

/// What made the results of a run.
struct RunHeader {
  std::string backend;
  Semantics semantics = Semantics::kHf;
  /// Components whose engines run only because unverified ones were allowed, each with the state of
  /// its verification ("failed", "none").
  std::map<std::string, std::string> unverified{};
};

/// Which content of a file was read: a file that is changed later is another image.
struct FileStamp {
  int64_t bytes = 0;
  int64_t modified = 0;  ///< Nanoseconds since 1970, as the file system says.

  [[nodiscard]] bool operator==(const FileStamp&) const = default;
};

/// {"version": 1, "backend": .., "semantics": ..}, and "verified": false and "unverified" where
/// there are such engines.
[[nodiscard]] std::string to_json(const RunHeader& header);

/// One image's entry of the document that `infer` writes, version 1, as to_json_line() has it.
[[nodiscard]] std::string to_json(const ImageResult& image);

/// One image's entry of the document that `infer` writes, version 1, as one line of JSON Lines with
/// its line feed: the entry with the run's header in it, and "bytes" and "modified" of the file
/// where it was read. Scores are rounded to 6 digits after the point, boxes and timings to 3; bytes
/// that are not UTF-8 in paths and texts become U+FFFD. Unverified engines mark it:
/// "verified": false and which ones.
[[nodiscard]] std::string to_json_line(const RunHeader& header, const ImageResult& image,
                                       const std::optional<FileStamp>& stamp);

}  // namespace sam3trt
