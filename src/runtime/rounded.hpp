#pragma once

#include <cmath>

namespace sam3trt {

/// `value` rounded to `digits` after the point, without a negative zero: as results are written.
[[nodiscard]] inline double rounded(double value, int digits) {
  const double scale = std::pow(10.0, digits);
  return std::round(value * scale) / scale + 0.0;
}

}  // namespace sam3trt
