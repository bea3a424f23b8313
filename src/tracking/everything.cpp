#include "tracking/everything.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace sam3trt {
namespace {

/// Of boxes whose corners are pixels, as torchvision's box_iou computes it.
double box_iou(const std::array<float, 4>& a, const std::array<float, 4>& b) {
  const auto area = [](double left, double top, double right, double bottom) {
    return std::max(right - left, 0.0) * std::max(bottom - top, 0.0);
  };
  const double both =
      area(std::max(a[0], b[0]), std::max(a[1], b[1]), std::min(a[2], b[2]), std::min(a[3], b[3]));
  const double either = area(a[0], a[1], a[2], a[3]) + area(b[0], b[1], b[2], b[3]) - both;
  return either > 0 ? both / either : 0;
}

}  // namespace

void check_everything(const EverythingOptions& options) {
  if (options.points_per_side < 1 || options.points_per_side > 256) {
    throw_bad_input("a grid of " + std::to_string(options.points_per_side) +
                    " points a side; expected 1 to 256");
  }
  for (const double share :
       {options.score_threshold, options.stability_threshold, options.nms_threshold}) {
    if (share >= 0 && share <= 1) continue;
    throw_bad_input("a threshold of masks of everything is " + std::to_string(share) +
                    "; expected 0 to 1");
  }
}

std::vector<ObjectPrompt> grid_of_clicks(const EverythingOptions& options, int64_t width,
                                         int64_t height) {
  std::vector<ObjectPrompt> clicks;
  const auto side = static_cast<double>(options.points_per_side);
  for (int64_t row = 0; row < options.points_per_side; ++row) {
    for (int64_t column = 0; column < options.points_per_side; ++column) {
      ObjectPrompt& click = clicks.emplace_back();
      click.points = {{(static_cast<double>(column) + 0.5) / side * static_cast<double>(width),
                       (static_cast<double>(row) + 0.5) / side * static_cast<double>(height),
                       true}};
    }
  }
  return clicks;
}

double stability_of(std::span<const float> logits) {
  constexpr float kOffset = 1.0F;
  int64_t inner = 0;
  int64_t outer = 0;
  for (const float value : logits) {
    inner += value > kOffset ? 1 : 0;
    outer += value > -kOffset ? 1 : 0;
  }
  return outer == 0 ? 0.0 : static_cast<double>(inner) / static_cast<double>(outer);
}

std::vector<ObjectResult> without_duplicates(std::vector<ObjectResult> found, double threshold) {
  std::ranges::stable_sort(found, std::ranges::greater{}, &ObjectResult::score);
  std::vector<ObjectResult> kept;
  for (ObjectResult& object : found) {
    const bool known = std::ranges::any_of(kept, [&](const ObjectResult& other) {
      return box_iou(object.box, other.box) > threshold;
    });
    if (known) continue;
    object.id = static_cast<int64_t>(kept.size()) + 1;
    kept.push_back(std::move(object));
  }
  return kept;
}

}  // namespace sam3trt
