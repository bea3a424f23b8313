#pragma once

#include <cstdint>
#include <span>

namespace sam3trt {

inline constexpr float kFilledHole = 0.1F;
inline constexpr float kTakenSpeck = -0.1F;

/// Fills holes and takes away specks of square mask logits: components (8-connected) of the
/// background of at most `max_area` pixels become kFilledHole, then those of the foreground of at
/// most `max_area` pixels and half of the foreground become kTakenSpeck. Nothing for `max_area`
/// < 1.
void clean_mask(std::span<float> logits, int64_t side, int64_t max_area);

/// Fills holes of square mask logits as Meta's interactive predictor does: components (8-connected)
/// of the background of at most `max_area` pixels become 10.
void fill_holes(std::span<float> logits, int64_t side, int64_t max_area);

}  // namespace sam3trt
