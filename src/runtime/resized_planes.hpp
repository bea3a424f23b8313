#pragma once

#include <cstdint>
#include <span>

#include "base/tensor.hpp"
#include "runtime/logit_plane.hpp"

namespace sam3trt {

/// A square plane of floats and the way on which it is resized.
struct ResizedPlane {
  LogitPlane plane;  ///< side * side.
  int64_t side = 0;
  /// Where not 0, it is resized to this side first, without antialias.
  int64_t through = 0;

  /// Of what the last step begins with.
  [[nodiscard]] int64_t last_side() const { return through > 0 ? through : side; }
};

/// Throws Error(kInternal) for planes that do not have the sizes that they say, and where there are
/// none.
void check_planes(std::span<const ResizedPlane> planes, int64_t side);

/// [planes, 1, side, side] float32: the last step is bilinear with antialias, and is left out where
/// the side is right already. Throws as check_planes().
[[nodiscard]] Tensor resize_planes(std::span<const ResizedPlane> planes, int64_t side);

}  // namespace sam3trt
