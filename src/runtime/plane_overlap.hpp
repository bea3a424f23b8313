#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/logit_plane.hpp"

namespace sam3trt {

/// How many pixels each of some planes of as many logits wins, where every pixel goes to the
/// highest logit above 0, the first of equals; on the host.
[[nodiscard]] std::vector<int64_t> won_areas(std::span<const LogitPlane> planes);

/// The same with logits of at most `most`, on the host.
[[nodiscard]] std::vector<LogitPlane> lowered_planes(std::span<const LogitPlane> planes,
                                                     float most);

}  // namespace sam3trt
