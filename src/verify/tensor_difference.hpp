#pragma once

#include <span>

namespace sam3trt {

/// How far a tensor is from its reference.
struct TensorDifference {
  double cosine = 0;          ///< Of the two as vectors; 1 when both are zero.
  double largest_error = 0;   ///< max |actual - reference|
  double relative_error = 0;  ///< ||actual - reference|| / ||reference||
  bool finite = true;         ///< Whether all actual values are finite; otherwise the rest is 0.
};

/// Compares two tensors of the same number of elements, in double precision; throws
/// Error(kInternal) when the numbers differ.
[[nodiscard]] TensorDifference compare_tensors(std::span<const float> reference,
                                               std::span<const float> actual);

/// The worse of two differences, field by field.
[[nodiscard]] TensorDifference worse_of(const TensorDifference& a, const TensorDifference& b);

}  // namespace sam3trt
