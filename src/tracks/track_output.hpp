#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/output_check.hpp"
#include "jobs/result_lines.hpp"
#include "tracks/davis_folder.hpp"
#include "tracks/track_lines.hpp"

namespace sam3trt {

/// Where exports go; empty: not asked for.
struct TrackExports {
  std::string coco_vis;  ///< File.
  std::string davis;     ///< Folder.
  std::string mot;       ///< File.
  std::string mots;      ///< File.

  [[nodiscard]] bool has_documents() const {
    return !coco_vis.empty() || !mot.empty() || !mots.empty();
  }
};

/// Of "coco-vis:FILE", "davis:FOLDER", "mot:FILE" and "mots:FILE", also several with commas between
/// them. Throws Error(kBadInput) for another name, one without a path and one that is there twice.
[[nodiscard]] TrackExports parse_exports(const std::vector<std::string>& texts);

/// Where the results of a tracked video go: lines as they come, DAVIS's images with them, and the
/// other exports made of the lines at the end.
class TrackOutput {
 public:
  /// `path` "-" or empty: standard output. Throws Error(kBadInput) for what cannot be written, is
  /// an input or another output, and for a file that holds results.
  TrackOutput(std::filesystem::path path, TrackExports exports, OutputCheck& check);

  /// The first line. `name_of` names a frame's file without ending.
  void begin(const RunHeader& header, const VideoInfo& video,
             std::function<std::string(int64_t)> name_of);

  void add(const FrameResult& result, std::optional<double> time);
  void add_error(int64_t frame, std::optional<double> time, const std::string& error);

  /// Writes the exports that are made of the lines. Also for what there is when the program is
  /// about to end.
  void finish();

  [[nodiscard]] bool to_standard_output() const { return path_ == "-"; }

 private:
  void add_line(const std::string& line);

  std::filesystem::path path_;
  TrackExports exports_;
  ResultLines lines_;
  /// The lines once more, where they go to what cannot be read again.
  std::unique_ptr<ResultLines> copy_;
  std::unique_ptr<DavisFolder> davis_;
  VideoInfo video_;
  std::function<std::string(int64_t)> name_of_;
  std::chrono::steady_clock::time_point flushed_ = std::chrono::steady_clock::now();
};

}  // namespace sam3trt
