#include "runtime/roi_weights.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace sam3trt {

void fill_roi_weights(float start, float end, int64_t bins, int64_t cells,
                      std::span<float> matrix) {
  constexpr float kFarthest = 1 << 20;
  if (!(std::abs(start) <= kFarthest) || !(std::abs(end) <= kFarthest)) {
    throw_bad_input("a box reaches too far beyond the image");
  }
  const float length = std::max(end - start, 1.0F);
  const float bin_length = length / static_cast<float>(bins);
  const float samples = std::ceil(length / static_cast<float>(bins));
  const auto share = 1.0F / samples;
  std::fill(matrix.begin(), matrix.end(), 0.0F);
  for (int64_t bin = 0; bin < bins; ++bin) {
    const auto row = matrix.subspan(static_cast<size_t>(bin * cells), static_cast<size_t>(cells));
    for (float sample = 0; sample < samples; ++sample) {
      float at =
          start + static_cast<float>(bin) * bin_length + (sample + 0.5F) * bin_length / samples;
      if (at < -1.0F || at > static_cast<float>(cells)) continue;
      at = std::clamp(at, 0.0F, static_cast<float>(cells - 1));
      const auto low = static_cast<size_t>(at);
      const float fraction = at - static_cast<float>(low);
      row[low] += (1.0F - fraction) * share;
      if (low + 1 < row.size()) row[low + 1] += fraction * share;
    }
  }
}

void fill_roi_weights(const std::array<float, 4>& box_cxcywh, int64_t bins, int64_t cells,
                      std::span<float> pool_y, std::span<float> pool_x) {
  const auto& [cx, cy, w, h] = box_cxcywh;
  const auto scale = static_cast<float>(cells);
  fill_roi_weights((cy - 0.5F * h) * scale, (cy + 0.5F * h) * scale, bins, cells, pool_y);
  fill_roi_weights((cx - 0.5F * w) * scale, (cx + 0.5F * w) * scale, bins, cells, pool_x);
}

}  // namespace sam3trt
