#include "runtime/resized_planes.hpp"

#include <algorithm>
#include <vector>

#include "base/error.hpp"
#include "image/resize.hpp"

namespace sam3trt {

void check_planes(std::span<const ResizedPlane> planes, int64_t side) {
  const bool good = side > 0 && std::ranges::all_of(planes, [](const ResizedPlane& plane) {
                      return plane.side > 0 && plane.through >= 0 &&
                             plane.plane.size() == static_cast<size_t>(plane.side * plane.side);
                    });
  if (good && !planes.empty()) return;
  throw Error(ErrorCode::kInternal, "planes to resize do not have the sizes that they say");
}

Tensor resize_planes(std::span<const ResizedPlane> planes, int64_t side) {
  check_planes(planes, side);
  Tensor resized(DType::kF32, {static_cast<int64_t>(planes.size()), 1, side, side});
  const auto area = static_cast<size_t>(side * side);
  std::vector<float> between;
  for (size_t i = 0; i < planes.size(); ++i) {
    const ResizedPlane& plane = planes[i];
    std::span<const float> from = plane.plane.values();
    if (plane.through > 0) {
      between.resize(static_cast<size_t>(plane.through * plane.through));
      resize_bilinear(from, plane.side, plane.side, between, plane.through, plane.through);
      from = between;
    }
    const std::span<float> to = resized.f32().subspan(i * area, area);
    const int64_t last = plane.last_side();
    if (last == side) {
      std::ranges::copy(from, to.begin());
    } else {
      resize_bilinear_antialias(from, last, last, to, side, side);
    }
  }
  return resized;
}

}  // namespace sam3trt
