#pragma once

#include <cmath>

#include "base/host_device.hpp"

namespace sam3trt {

/// The logistic function in single precision. On a GPU the exponential is computed in double
/// precision and rounded, because CUDA's expf may be two units in the last place off. That is the
/// nearest float; glibc's expf gives its neighbour for 3 of 10,000 arguments, so a sigmoid of the
/// GPU can, for one argument in 10,000, differ from the CPU's in the last places (measured over all
/// floats in -104..104).
[[nodiscard]] SAM3TRT_HOST_DEVICE inline float sigmoid(float value) {
#ifdef __CUDA_ARCH__
  return 1.0F / (1.0F + static_cast<float>(exp(-static_cast<double>(value))));
#else
  return 1.0F / (1.0F + std::exp(-value));
#endif
}

/// The same in double precision, from which a logit above 16 can be told again: in single
/// precision it gives 1.
[[nodiscard]] inline double precise_sigmoid(double value) { return 1.0 / (1.0 + std::exp(-value)); }

}  // namespace sam3trt
