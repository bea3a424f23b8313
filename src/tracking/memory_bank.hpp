#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/tracker_config.hpp"
#include "tracking/tracker_model.hpp"

namespace sam3trt {

/// What is known of one object on one frame.
struct FrameRecord {
  int64_t frame = 0;
  FrameMemory memory;      ///< Null while it is not encoded, and when it is given up.
  ObjectPointer pointer;   ///< Null for records without a memory of their own.
  float object_score = 0;  ///< Logit.
  LogitPlane mask{};       ///< Where the frame's result may be asked for again.
  float quality = 0;       ///< How well the object is seen there: its score's excess over one half,
                           ///< twice, times the predicted IoU.
  bool own = false;        ///< A mask or clicks of the object itself condition it there.
};

/// By frame, of the object or, where several are followed together, on average.
using FrameQuality = std::map<int64_t, float>;

/// The memory of one object: frames on which it was pointed at or confirmed (conditioning), and the
/// last ones on which it was followed (rolling). Its size does not grow with the number of frames,
/// but for the pointers of conditioning ones.
class MemoryBank {
 public:
  MemoryBank() = default;
  MemoryBank(std::vector<FrameRecord> conditioning, std::vector<FrameRecord> rolling)
      : conditioning_(std::move(conditioning)), rolling_(std::move(rolling)) {}

  /// Adds a record, or replaces that of its frame. A conditioning one takes the place of the
  /// rolling one with `alone`, else it stands beside it.
  void put(FrameRecord record, bool conditioning, bool alone = false);

  [[nodiscard]] const FrameRecord* conditioning(int64_t frame) const;
  [[nodiscard]] const FrameRecord* rolling(int64_t frame) const;

  /// Sets the memory of the frame's record, wherever it is.
  void remember(int64_t frame, FrameMemory memory);

  /// Each memory becomes what `moved` gives for it.
  void move_memories(const std::function<FrameMemory(const FrameMemory&)>& moved);

  /// The frame's rolling record becomes a conditioning one.
  void confirm(int64_t frame);

  /// The inverse.
  void demote(int64_t frame);

  /// What memory attention sees on `frame`, as Sam3TrackerVideoModel chooses it. Frames: at most
  /// max_cond_frames conditioning ones (the closest before, the closest from there on, then the
  /// nearest), those of the num_maskmem - 1 frames before. Pointers: all conditioning frames that
  /// are not ahead, then the frames before. `pointers` is the number that distances are counted in.
  /// With `reverse`, before means after.
  [[nodiscard]] ObjectMemory select(int64_t frame, bool reverse, int64_t pointers,
                                    const TrackerConfig& config) const;

  /// The same as Meta's Sam3TrackerBase chooses it: the last num_maskmem - 1 frames on which
  /// `quality` is good enough, the frame before in any case; pointers of the conditioning frames
  /// that were chosen and of the frames of good quality, numbered from the nearest.
  [[nodiscard]] ObjectMemory select_seen(int64_t frame, bool reverse, int64_t pointers,
                                         const FrameQuality& quality,
                                         const TrackerConfig& config) const;

  /// Of the rolling records.
  [[nodiscard]] FrameQuality quality() const;

  /// Gives up what no frame beyond `frame` can need. `around_first`: what the way back from the
  /// first conditioning frame would need is kept.
  void prune(int64_t frame, bool around_first, const TrackerConfig& config);

  /// The same where memories are chosen by select_seen().
  void prune_seen(int64_t frame, bool around_first, const FrameQuality& quality,
                  const TrackerConfig& config);

  [[nodiscard]] const std::vector<FrameRecord>& conditioning() const { return conditioning_; }
  [[nodiscard]] const std::vector<FrameRecord>& rolling() const { return rolling_; }
  [[nodiscard]] size_t size_bytes() const;

 private:
  [[nodiscard]] std::vector<const FrameRecord*> closest(int64_t frame, int64_t most) const;
  void prune_conditioning(int64_t frame, const TrackerConfig& config);

  std::vector<FrameRecord> conditioning_;  ///< In the order in which they came.
  std::vector<FrameRecord> rolling_;
};

}  // namespace sam3trt
