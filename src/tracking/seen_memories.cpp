#include <algorithm>
#include <cstdlib>
#include <set>

#include "base/error.hpp"
#include "tracking/memory_bank.hpp"

namespace sam3trt {
namespace {

/// How well an object must be seen on a frame for its memory to count: mf_threshold of Meta's
/// Sam3TrackerBase.
constexpr float kLeastQuality = 0.01F;

/// Frames before `frame` in the direction of `step` on which the object was seen well, the nearest
/// first, at most `most`. Going forwards, Meta's code does not look at frame 0.
std::vector<int64_t> seen_frames(const FrameQuality& quality, int64_t frame, int64_t step,
                                 int64_t most) {
  std::vector<int64_t> frames;
  for (const auto& [other, value] : quality) {
    if ((frame - other) * step < 0 && value > kLeastQuality && (step > 0 || other > 0)) {
      frames.push_back(other);
    }
  }
  std::ranges::sort(frames, {}, [&](int64_t other) { return std::abs(frame - other); });
  frames.resize(std::min(frames.size(), static_cast<size_t>(std::max<int64_t>(most, 0))));
  return frames;
}

}  // namespace

FrameQuality MemoryBank::quality() const {
  FrameQuality quality;
  for (const FrameRecord& record : rolling_) quality[record.frame] = record.quality;
  return quality;
}

ObjectMemory MemoryBank::select_seen(int64_t frame, bool reverse, int64_t pointers,
                                     const FrameQuality& quality,
                                     const TrackerConfig& config) const {
  const int64_t step = reverse ? 1 : -1;
  const int64_t rows = config.num_maskmem;
  const auto divisor = static_cast<float>(std::max<int64_t>(pointers - 1, 1));
  std::vector<int64_t> frames = seen_frames(quality, frame, step, pointers - 1);
  // The frame before always counts, as the nearest, however the object was seen there.
  const int64_t before = frame + step;
  if (frames.empty() || frames.front() != before) frames.insert(frames.begin(), before);
  ObjectMemory memory;
  const std::vector<const FrameRecord*> chosen = closest(frame, config.max_cond_frames);
  for (const FrameRecord* record : chosen) {
    memory.frames.push_back(record->memory);
    memory.times.push_back(rows - 1);
  }
  const auto record_of = [&](size_t place) {
    const FrameRecord* record = rolling(frames[place]);
    if (record != nullptr) return record;
    record = conditioning(frames[place]);
    return std::ranges::find(chosen, record) == chosen.end() ? record : nullptr;
  };
  const size_t most = std::min(frames.size(), static_cast<size_t>(std::max<int64_t>(rows - 1, 0)));
  for (size_t place = most; place-- > 0;) {
    const FrameRecord* record = record_of(place);
    if (record == nullptr || !record->memory) continue;
    memory.frames.push_back(record->memory);
    memory.times.push_back(static_cast<int64_t>(place));
  }
  for (const FrameRecord* record : chosen) {
    const int64_t distance = (record->frame - frame) * step;
    if (distance < 0 || !record->pointer) continue;
    memory.pointers.push_back(record->pointer);
    memory.pointer_times.push_back(static_cast<float>(distance) / divisor);
  }
  // The farthest of the frames gives no pointer.
  for (size_t place = 0; place + 1 < frames.size(); ++place) {
    if (static_cast<int64_t>(place) + 1 >= pointers) break;
    const FrameRecord* record = record_of(place);
    if (record == nullptr || !record->pointer) continue;
    memory.pointers.push_back(record->pointer);
    memory.pointer_times.push_back(static_cast<float>(place + 1) / divisor);
  }
  if (memory.frames.empty()) {
    throw Error(ErrorCode::kInternal, "an object is tracked that has no memory");
  }
  return memory;
}

void MemoryBank::prune_seen(int64_t frame, bool around_first, const FrameQuality& quality,
                            const TrackerConfig& config) {
  if (conditioning_.empty()) return;
  std::set<int64_t> kept{frame};
  std::set<int64_t> remembered{frame};
  std::vector<int64_t> anchors{frame};
  if (around_first) anchors.push_back(conditioning_.front().frame);
  for (const int64_t anchor : anchors) {
    for (const int64_t step : {1, -1}) {
      // One frame more than is seen from the anchor: itself takes a place in what comes next.
      const auto frames = seen_frames(quality, anchor, step, config.max_object_pointers);
      kept.insert(frames.begin(), frames.end());
      const size_t most = static_cast<size_t>(std::max<int64_t>(config.num_maskmem, 0));
      remembered.insert(frames.begin(),
                        frames.begin() + static_cast<int64_t>(std::min(most, frames.size())));
    }
  }
  std::erase_if(rolling_, [&](const FrameRecord& record) { return !kept.contains(record.frame); });
  for (FrameRecord& record : rolling_) {
    if (!remembered.contains(record.frame)) record.memory = nullptr;
    if (record.frame != frame) record.mask = {};
  }
  prune_conditioning(frame, config);
}

}  // namespace sam3trt
