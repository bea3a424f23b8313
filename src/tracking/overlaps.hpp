#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/tracker_config.hpp"
#include "tracking/plane_work.hpp"
#include "tracking/text_track.hpp"

namespace sam3trt {

/// Which tracks give way: of two of one concept whose masks overlap from
/// suppress_overlapping_based_on_recent_occlusion_threshold on, the one that was hidden more
/// recently, where the other was hidden before. Notes who is hidden on this frame. Tracks that are
/// `removed` (indices) on the first frame on which they are followed count as hidden for ever. The
/// masks of those that give way become -10.
void suppress_recently_hidden(std::span<TextTrack> tracks, std::span<LogitMask> masks,
                              std::span<const size_t> removed, const FrameTime& time,
                              const TrackerConfig& config);

/// Of several masks of one concept those that keep less than 30 % of their area when every pixel
/// goes to the highest logit, and empty ones, become at most -10 everywhere. `concepts[i]` is that
/// of masks[i]. Logits are looked at only of masks that overlap others, where `work` has them.
void suppress_shrunk(std::span<LogitMask> masks, std::span<const size_t> concepts, PlaneWork& work);

/// A mask of a frame that may have to give pixels away.
struct ShownMask {
  size_t concept_index = 0;
  float object_score = 0;
  std::vector<uint32_t> counts;  ///< Run lengths (image/rle.hpp).
};

/// Every pixel goes to the mask of its concept with the highest score, the first of equals; one
/// whose score is not above 0 loses all. Nothing for fewer than two masks. Throws Error(kBadInput)
/// for runs that do not fill a frame of that size.
void part_pixels(std::span<ShownMask> masks, int64_t height, int64_t width);

}  // namespace sam3trt
