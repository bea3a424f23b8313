#include "runtime/plane_overlap.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "base/parallel.hpp"

namespace sam3trt {
namespace {

constexpr size_t kTogether = 64;  // pixels, whose highest logits stay in registers or near

}  // namespace

std::vector<int64_t> won_areas(std::span<const LogitPlane> planes) {
  if (planes.empty()) return {};
  // Planes that are elsewhere come at the same time, because each waits for its copy.
  std::vector<std::span<const float>> values(planes.size());
  run_parallel(planes.size(), 2, [&](size_t i) { values[i] = planes[i].values(); });
  std::vector<int64_t> areas(planes.size() + 1);  // the first: of pixels that nobody wins
  const size_t size = planes.front().size();
  for (size_t first = 0; first < size; first += kTogether) {
    const size_t count = std::min(kTogether, size - first);
    std::array<float, kTogether> highest{};
    std::array<uint32_t, kTogether> owner{};
    for (size_t i = 0; i < values.size(); ++i) {
      const auto own = values[i].subspan(first, count);
      for (size_t pixel = 0; pixel < count; ++pixel) {
        const bool higher = own[pixel] > highest[pixel];
        highest[pixel] = higher ? own[pixel] : highest[pixel];
        owner[pixel] = higher ? static_cast<uint32_t>(i + 1) : owner[pixel];
      }
    }
    for (size_t pixel = 0; pixel < count; ++pixel) ++areas[owner[pixel]];
  }
  areas.erase(areas.begin());
  return areas;
}

std::vector<LogitPlane> lowered_planes(std::span<const LogitPlane> planes, float most) {
  std::vector<LogitPlane> lowered(planes.size());
  run_parallel(planes.size(), 1, [&](size_t i) {
    const auto values = planes[i].values();
    std::vector<float> copy(values.begin(), values.end());
    for (float& value : copy) value = std::min(value, most);
    lowered[i] = std::move(copy);
  });
  return lowered;
}

}  // namespace sam3trt
