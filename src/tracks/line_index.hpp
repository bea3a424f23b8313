#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "jobs/result_lines.hpp"
#include "tracks/track_lines.hpp"

namespace sam3trt {

/// The lines of a video by rising frame, whatever order they were written in. Holds 24 bytes for
/// each.
class LineIndex {
 public:
  explicit LineIndex(const ResultLines& lines);

  /// Calls `action` with each frame's line.
  void each(const std::function<void(const TrackLine&)>& action) const;

  /// Frames of the video, as far as lines tell: the highest one and one.
  [[nodiscard]] int64_t frames() const;

 private:
  struct Place {
    int64_t frame;
    uint64_t begin;
    uint64_t size;
  };

  const ResultLines& lines_;
  std::vector<Place> places_;
};

}  // namespace sam3trt
