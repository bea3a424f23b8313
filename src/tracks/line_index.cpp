#include "tracks/line_index.hpp"

#include <algorithm>

namespace sam3trt {

LineIndex::LineIndex(const ResultLines& lines) : lines_(lines) {
  uint64_t begin = 0;
  lines.each([&](const std::string& line) {
    const int64_t frame = parse_track_line(line).frame;
    if (frame >= 0) places_.push_back({frame, begin, line.size()});
    begin += line.size() + 1;
  });
  std::ranges::stable_sort(places_, {}, &Place::frame);
}

void LineIndex::each(const std::function<void(const TrackLine&)>& action) const {
  for (const Place& place : places_) {
    action(parse_track_line(lines_.read(place.begin, place.size)));
  }
}

int64_t LineIndex::frames() const { return places_.empty() ? 0 : places_.back().frame + 1; }

}  // namespace sam3trt
