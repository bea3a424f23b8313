#include "tracking/memory_bank.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/error.hpp"

namespace sam3trt {
namespace {

template <typename Records>
auto find(Records& records, int64_t frame) {
  return std::ranges::find(records, frame, &FrameRecord::frame);
}

const FrameRecord* found(const std::vector<FrameRecord>& records, int64_t frame) {
  const auto record = find(records, frame);
  return record == records.end() ? nullptr : &*record;
}

}  // namespace

void MemoryBank::put(FrameRecord record, bool conditioning, bool alone) {
  if (conditioning && alone) {
    std::erase_if(rolling_, [&](const FrameRecord& old) { return old.frame == record.frame; });
  }
  std::vector<FrameRecord>& records = conditioning ? conditioning_ : rolling_;
  const auto old = find(records, record.frame);
  if (old == records.end()) {
    records.push_back(std::move(record));
  } else {
    *old = std::move(record);
  }
}

const FrameRecord* MemoryBank::conditioning(int64_t frame) const {
  return found(conditioning_, frame);
}

const FrameRecord* MemoryBank::rolling(int64_t frame) const { return found(rolling_, frame); }

void MemoryBank::remember(int64_t frame, FrameMemory memory) {
  for (std::vector<FrameRecord>* records : {&conditioning_, &rolling_}) {
    const auto record = find(*records, frame);
    if (record != records->end()) record->memory = memory;
  }
}

void MemoryBank::move_memories(const std::function<FrameMemory(const FrameMemory&)>& moved) {
  for (std::vector<FrameRecord>* records : {&conditioning_, &rolling_}) {
    for (FrameRecord& record : *records) {
      if (record.memory) record.memory = moved(record.memory);
    }
  }
}

void MemoryBank::confirm(int64_t frame) {
  const auto record = find(rolling_, frame);
  if (record == rolling_.end()) return;
  put(*record, true);
  rolling_.erase(record);
}

void MemoryBank::demote(int64_t frame) {
  const auto record = find(conditioning_, frame);
  if (record == conditioning_.end()) return;
  put(*record, false);
  conditioning_.erase(record);
}

std::vector<const FrameRecord*> MemoryBank::closest(int64_t frame, int64_t most) const {
  std::vector<const FrameRecord*> rest;
  for (const FrameRecord& record : conditioning_) {
    if (record.memory) rest.push_back(&record);
  }
  if (most < 0 || rest.size() <= static_cast<size_t>(most)) return rest;
  std::vector<const FrameRecord*> chosen;
  const auto take = [&](std::vector<const FrameRecord*>::iterator record) {
    chosen.push_back(*record);
    rest.erase(record);
  };
  const auto frame_of = [](const FrameRecord* record) { return record->frame; };
  const auto before = std::ranges::max_element(rest, {}, [&](const FrameRecord* record) {
    return record->frame < frame ? record->frame : INT64_MIN;
  });
  if (frame_of(*before) < frame) take(before);
  const auto after = std::ranges::min_element(rest, {}, [&](const FrameRecord* record) {
    return record->frame >= frame ? record->frame : INT64_MAX;
  });
  if (frame_of(*after) >= frame) take(after);
  std::ranges::stable_sort(
      rest, {}, [&](const FrameRecord* record) { return std::abs(record->frame - frame); });
  const auto more = std::max<int64_t>(most - static_cast<int64_t>(chosen.size()), 0);
  chosen.insert(chosen.end(), rest.begin(), rest.begin() + more);
  return chosen;
}

ObjectMemory MemoryBank::select(int64_t frame, bool reverse, int64_t pointers,
                                const TrackerConfig& config) const {
  const int64_t step = reverse ? 1 : -1;
  const int64_t rows = config.num_maskmem;
  ObjectMemory memory;
  const std::vector<const FrameRecord*> chosen = closest(frame, config.max_cond_frames);
  for (const FrameRecord* record : chosen) {
    memory.frames.push_back(record->memory);
    memory.times.push_back(rows - 1);
  }
  for (int64_t distance = rows - 1; distance > 0; --distance) {
    const FrameRecord* record = rolling(frame + step * distance);
    if (record == nullptr) {
      record = conditioning(frame + step * distance);
      if (std::ranges::find(chosen, record) != chosen.end()) continue;
    }
    if (record == nullptr || !record->memory) continue;
    memory.frames.push_back(record->memory);
    memory.times.push_back(distance - 1);
  }
  const auto add_pointer = [&](const FrameRecord& record, int64_t distance) {
    if (!record.pointer) return;
    memory.pointers.push_back(record.pointer);
    memory.pointer_times.push_back(static_cast<float>(distance) /
                                   static_cast<float>(std::max<int64_t>(pointers - 1, 1)));
  };
  for (const FrameRecord& record : conditioning_) {
    const int64_t distance = (record.frame - frame) * step;
    if (distance >= 0) add_pointer(record, distance);
  }
  for (int64_t distance = 1; distance < pointers; ++distance) {
    const FrameRecord* record = rolling(frame + step * distance);
    if (record != nullptr) add_pointer(*record, distance);
  }
  if (memory.frames.empty()) {
    throw Error(ErrorCode::kInternal, "an object is tracked that has no memory");
  }
  return memory;
}

void MemoryBank::prune(int64_t frame, bool around_first, const TrackerConfig& config) {
  if (conditioning_.empty()) return;
  const int64_t first = conditioning_.front().frame;
  const auto near = [&](int64_t other, int64_t reach) {
    return std::abs(other - frame) < reach || (around_first && std::abs(other - first) < reach);
  };
  std::erase_if(rolling_, [&](const FrameRecord& record) {
    return !near(record.frame, std::max(config.max_object_pointers, config.num_maskmem));
  });
  for (FrameRecord& record : rolling_) {
    if (!near(record.frame, config.num_maskmem)) record.memory = nullptr;
    if (record.frame != frame) record.mask = {};
  }
  prune_conditioning(frame, config);
}

/// Conditioning frames that memory attention does not see from `frame`, but the first one, lose
/// their memory.
void MemoryBank::prune_conditioning(int64_t frame, const TrackerConfig& config) {
  const int64_t first = conditioning_.front().frame;
  if (config.max_cond_frames < 0) return;
  const std::vector<const FrameRecord*> kept = closest(frame, config.max_cond_frames);
  for (FrameRecord& record : conditioning_) {
    if (std::ranges::find(kept, &record) != kept.end() || record.frame == first ||
        std::abs(record.frame - frame) < config.num_maskmem) {
      continue;
    }
    record.memory = nullptr;
    record.mask = {};
  }
}

size_t MemoryBank::size_bytes() const {
  size_t bytes = 0;
  for (const std::vector<FrameRecord>* records : {&conditioning_, &rolling_}) {
    for (const FrameRecord& record : *records) {
      if (record.memory) bytes += record.memory->size_bytes();
      if (record.pointer) bytes += record.pointer->size() * sizeof(float);
      bytes += record.mask.size() * sizeof(float);
    }
  }
  return bytes;
}

}  // namespace sam3trt
