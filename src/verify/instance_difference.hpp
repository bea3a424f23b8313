#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/result.hpp"

namespace sam3trt {

/// Intersection over union of two masks given as run lengths of the same picture; 1 when both are
/// empty.
[[nodiscard]] double rle_iou(std::span<const uint32_t> a, std::span<const uint32_t> b);

/// How the instances of one run differ from those of the reference.
struct InstanceDifference {
  int64_t matched = 0;
  int64_t lost = 0;        ///< Instances that only the reference has.
  int64_t gained = 0;      ///< Instances that only the other run has.
  int64_t borderline = 0;  ///< Lost or gained ones whose score is next to the threshold; not
                           ///< counted above.
  double smallest_mask_iou = 1;
  double largest_score_error = 0;
  double largest_box_error = 0;  ///< Pixels.
  double largest_presence_error = 0;
};

struct MatchOptions {
  double threshold = 0.5;          ///< Score threshold of both runs.
  double borderline_score = 0.01;  ///< Distance from the threshold that rounding may cross.
  double minimum_iou = 0.5;        ///< Masks that overlap less are not the same instance.
};

/// Matches instances prompt by prompt, the best overlaps first. Both results must come from the
/// same picture and prompts; throws Error(kInternal) otherwise.
[[nodiscard]] InstanceDifference compare_results(const ImageResult& reference,
                                                 const ImageResult& actual,
                                                 const MatchOptions& options);

/// Sums of counts and worst of errors.
[[nodiscard]] InstanceDifference combine(const InstanceDifference& a, const InstanceDifference& b);

}  // namespace sam3trt
