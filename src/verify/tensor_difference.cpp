#include "verify/tensor_difference.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.hpp"

namespace sam3trt {

TensorDifference compare_tensors(std::span<const float> reference, std::span<const float> actual) {
  if (reference.size() != actual.size()) {
    throw Error(ErrorCode::kInternal, "cannot compare tensors of " +
                                          std::to_string(reference.size()) + " and " +
                                          std::to_string(actual.size()) + " elements");
  }
  TensorDifference difference;
  double dot = 0;
  double reference_square = 0;
  double actual_square = 0;
  double error_square = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double r = reference[i];
    const double a = actual[i];
    if (!std::isfinite(a)) return {0, 0, 0, false};
    dot += r * a;
    reference_square += r * r;
    actual_square += a * a;
    error_square += (a - r) * (a - r);
    difference.largest_error = std::max(difference.largest_error, std::abs(a - r));
  }
  if (reference_square == 0 || actual_square == 0) {
    difference.cosine = reference_square == actual_square ? 1 : 0;
  } else {
    difference.cosine = dot / std::sqrt(reference_square) / std::sqrt(actual_square);
  }
  difference.relative_error =
      reference_square == 0 ? std::sqrt(error_square) : std::sqrt(error_square / reference_square);
  return difference;
}

TensorDifference worse_of(const TensorDifference& a, const TensorDifference& b) {
  return {std::min(a.cosine, b.cosine), std::max(a.largest_error, b.largest_error),
          std::max(a.relative_error, b.relative_error), a.finite && b.finite};
}

}  // namespace sam3trt
