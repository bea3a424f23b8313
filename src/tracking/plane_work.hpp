#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/logit_plane.hpp"

namespace sam3trt {

/// What is done with whole masks of logits where they are.
class PlaneWork {
 public:
  PlaneWork() = default;
  virtual ~PlaneWork() = default;
  PlaneWork(const PlaneWork&) = delete;
  PlaneWork& operator=(const PlaneWork&) = delete;

  /// How many pixels each of some masks of one size wins, where every pixel goes to the highest
  /// logit above 0, the first of equals.
  [[nodiscard]] virtual std::vector<int64_t> won_areas(std::span<const LogitPlane> masks) = 0;

  /// The same masks with logits of at most `most`.
  [[nodiscard]] virtual std::vector<LogitPlane> lowered(std::span<const LogitPlane> masks,
                                                        float most) = 0;
};

/// On the host, masks of any size.
class HostPlanes : public PlaneWork {
 public:
  [[nodiscard]] std::vector<int64_t> won_areas(std::span<const LogitPlane> masks) override;
  [[nodiscard]] std::vector<LogitPlane> lowered(std::span<const LogitPlane> masks,
                                                float most) override;
};

}  // namespace sam3trt
