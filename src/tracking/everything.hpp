#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "sam3trt/request.hpp"
#include "sam3trt/result.hpp"

namespace sam3trt {

/// Throws Error(kBadInput) for options out of their ranges.
void check_everything(const EverythingOptions& options);

/// The clicks of a grid: the centres of points_per_side x points_per_side equal parts of an image,
/// row by row.
[[nodiscard]] std::vector<ObjectPrompt> grid_of_clicks(const EverythingOptions& options,
                                                       int64_t width, int64_t height);

/// The share of pixels above -1 that are above 1, too: near 1 for a mask whose outline does not
/// hang on the threshold. 0 for an empty mask.
[[nodiscard]] double stability_of(std::span<const float> logits);

/// By falling score, those whose box does not overlap that of an earlier one with an IoU above the
/// threshold; ids from 1.
[[nodiscard]] std::vector<ObjectResult> without_duplicates(std::vector<ObjectResult> found,
                                                           double threshold);

}  // namespace sam3trt
