#include "tracking/mask_cleanup.hpp"

#include <algorithm>
#include <vector>

namespace sam3trt {
namespace {

/// Sets the small components of the pixels that are `inside` to `value`.
class SmallComponents {
 public:
  SmallComponents(std::span<float> logits, int64_t side)
      : logits_(logits), side_(side), seen_(logits.size()) {}

  void replace(bool foreground, int64_t max_area, float value) {
    std::ranges::fill(seen_, uint8_t{0});
    const std::vector<uint8_t> inside = is_inside(foreground);
    for (size_t start = 0; start < logits_.size(); ++start) {
      if (inside[start] == 0 || seen_[start] != 0) continue;
      grow(start, inside);
      if (static_cast<int64_t>(component_.size()) > max_area) continue;
      for (const size_t pixel : component_) logits_[pixel] = value;
    }
  }

 private:
  [[nodiscard]] std::vector<uint8_t> is_inside(bool foreground) const {
    std::vector<uint8_t> inside(logits_.size());
    for (size_t i = 0; i < inside.size(); ++i) {
      inside[i] = static_cast<uint8_t>((logits_[i] > 0.0F) == foreground ? 1 : 0);
    }
    return inside;
  }

  /// Leaves the component of `start` in component_.
  void grow(size_t start, const std::vector<uint8_t>& inside) {
    component_.assign(1, start);
    seen_[start] = 1;
    for (size_t next = 0; next < component_.size(); ++next) {
      const int64_t y = static_cast<int64_t>(component_[next]) / side_;
      const int64_t x = static_cast<int64_t>(component_[next]) % side_;
      for (int64_t v = std::max<int64_t>(y - 1, 0); v <= std::min(y + 1, side_ - 1); ++v) {
        for (int64_t u = std::max<int64_t>(x - 1, 0); u <= std::min(x + 1, side_ - 1); ++u) {
          const auto pixel = static_cast<size_t>(v * side_ + u);
          if (inside[pixel] == 0 || seen_[pixel] != 0) continue;
          seen_[pixel] = 1;
          component_.push_back(pixel);
        }
      }
    }
  }

  std::span<float> logits_;
  int64_t side_;
  std::vector<uint8_t> seen_;
  std::vector<size_t> component_;
};

}  // namespace

void clean_mask(std::span<float> logits, int64_t side, int64_t max_area) {
  if (max_area < 1) return;
  constexpr float kFilled = 0.1F;
  constexpr float kTakenAway = -0.1F;
  SmallComponents components(logits, side);
  components.replace(false, max_area, kFilled);
  const auto foreground = std::ranges::count_if(logits, [](float value) { return value > 0.0F; });
  components.replace(true, std::min<int64_t>(foreground / 2, max_area), kTakenAway);
}

void fill_holes(std::span<float> logits, int64_t side, int64_t max_area) {
  constexpr float kInside = 10.0F;
  SmallComponents(logits, side).replace(false, max_area, kInside);
}

}  // namespace sam3trt
