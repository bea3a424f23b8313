#pragma once

#include <cstdint>

#include "sam3trt/semantics.hpp"

namespace sam3trt {

/// Where Meta's video code follows objects otherwise than transformers' classes; as it stands, the
/// latter. docs/video.md says what each means for results.
struct TrackingRules {
  /// Memories are of the last frames on which the object was seen well, not simply of the last
  /// ones; pointers of those, and of the conditioning frames that memory attention sees.
  bool seen_memories = false;
  /// A correction on a frame that was followed is decoded without memory, from the mask that is
  /// there, and the frame conditions all others. Else memory takes part, and the frame does not.
  bool corrections_condition = false;
  /// A prompted mask passes through the size of the frame, softly, and its pointer is the single
  /// mask's. Else it is binary at the model's size, and its pointer the best of several.
  bool masks_at_frame_size = false;
  /// Masks to remember become 0..1 at the model's size and are resized then, those of prompts
  /// object by object. Else logits are resized, and one prompt makes the whole call binary.
  bool soft_memory_masks = false;
  /// Objects of one text that were found on one frame are a group: they choose memories together
  /// and are conditioned together. Memories of tracks are not made anew when objects are added.
  bool groups = false;
  /// The first frame of a session with texts is run twice, as add_prompt and propagate_in_video do.
  bool first_frame_twice = false;
  /// Scores of detections are cut as those of Meta's video detector.
  bool cut_scores = false;
  int64_t most_points = 0;  ///< Corners of a box included; of more the first and last ones. 0: all.
};

[[nodiscard]] constexpr TrackingRules tracking_rules(Semantics semantics) {
  if (semantics == Semantics::kHf) return {};
  return {.seen_memories = true,
          .corrections_condition = true,
          .masks_at_frame_size = true,
          .soft_memory_masks = true,
          .groups = true,
          .first_frame_twice = true,
          .cut_scores = true,
          .most_points = 16};
}

}  // namespace sam3trt
