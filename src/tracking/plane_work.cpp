#include "tracking/plane_work.hpp"

#include "runtime/plane_overlap.hpp"

namespace sam3trt {

std::vector<int64_t> HostPlanes::won_areas(std::span<const LogitPlane> masks) {
  return sam3trt::won_areas(masks);
}

std::vector<LogitPlane> HostPlanes::lowered(std::span<const LogitPlane> masks, float most) {
  return lowered_planes(masks, most);
}

}  // namespace sam3trt
