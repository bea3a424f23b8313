#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/image_list.hpp"
#include "runtime/result.hpp"

namespace sam3trt {

/// A file of JSON Lines that grows by whole lines, one for each image. It is the memory of a job:
/// whatever becomes of the process, the lines that are in it stay.
class ResultLines {
 public:
  /// A file that is made with its first line, or standard output ("-"), or with an empty path a
  /// file without a name that goes with the process.
  explicit ResultLines(std::filesystem::path path);
  ~ResultLines();
  ResultLines(const ResultLines&) = delete;
  ResultLines& operator=(const ResultLines&) = delete;

  /// Adds lines; `line` ends with a line feed. The first call opens the file, cuts off half a line
  /// at its end and locks it until this object goes. Throws Error(kBadInput) when it cannot be
  /// opened or another process writes to it, Error(kInternal) when writing fails; then the file
  /// ends with the last whole line.
  void add(std::string_view line);

  /// Makes the file where there is none, for a job without images. Throws as add() does.
  void create();

  /// Calls `action` with each line that is there, from the beginning, without its line feed.
  void each(const std::function<void(const std::string&)>& action) const;

  /// The bytes from `begin` on, such as a line whose place each() told. Throws Error(kInternal)
  /// when there are fewer.
  [[nodiscard]] std::string read(uint64_t begin, uint64_t size) const;

  /// Everything written so far is on disk.
  void flush();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  void open();

  std::filesystem::path path_;
  int fd_ = -1;
};

/// What an earlier run of a job left in its lines.
struct EarlierResults {
  std::vector<bool> done;  ///< For each image that was given: it has its line.
  uint64_t lines = 0;      ///< That stay.
};

/// Which of these images have a line. Lines of images that were changed since and half a line at
/// the end are taken out of the file, which is replaced as a whole; lines of images that were not
/// given this time stay. Throws Error(kBadInput) for a file that holds anything else, that
/// another process writes to, or whose lines were made with other prompts or by another kind of
/// model than `expected` says, a line of this run with these prompts.
[[nodiscard]] EarlierResults take_up_results(const std::filesystem::path& path,
                                             std::span<const ListedImage> images,
                                             const std::string& expected);

/// Whether there is a file with at least one whole line.
[[nodiscard]] bool has_result_lines(const std::filesystem::path& path);

}  // namespace sam3trt
