#include "overlay/label_places.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sam3trt {
namespace {

/// Inside 0 .. limit; what is not a number is 0.
double clamped(double value, double limit) {
  if (!(value > 0.0)) return 0.0;
  return std::min(value, limit);
}

double overlap(const Area& a, const Area& b) {
  const double width = std::min(a.x1, b.x1) - std::max(a.x0, b.x0);
  const double height = std::min(a.y1, b.y1) - std::max(a.y0, b.y0);
  return width > 0.0 && height > 0.0 ? width * height : 0.0;
}

struct Corner {
  double x;
  double y;
};

/// Upper left corners in the order in which they are tried.
std::vector<Corner> find_corners(const Area& box, double width, double height) {
  std::vector<Corner> corners = {{box.x0, box.y0 - height},
                                 {box.x0, box.y0},
                                 {box.x1 - width, box.y0 - height},
                                 {box.x0, box.y1},
                                 {box.x1 - width, box.y1 - height},
                                 {box.x0, box.y1 - height},
                                 {box.x1, box.y0},
                                 {box.x0 - width, box.y0},
                                 {(box.x0 + box.x1 - width) / 2, (box.y0 + box.y1 - height) / 2}};
  constexpr int kRings = 8;
  for (int ring = 1; ring <= kRings; ++ring) {
    for (const int row : {-ring, ring}) {
      for (const double shift : {0.0, -width / 2, width / 2, -width, width}) {
        corners.push_back({box.x0 + shift, box.y0 + row * height});
      }
    }
  }
  return corners;
}

}  // namespace

std::optional<Area> LabelPlaces::take(const std::array<double, 4>& box, double width,
                                      double height) {
  if (width > width_ || height > height_) return std::nullopt;
  const Area inside = {
      clamped(std::min(box[0], box[2]), width_), clamped(std::min(box[1], box[3]), height_),
      clamped(std::max(box[0], box[2]), width_), clamped(std::max(box[1], box[3]), height_)};
  Area best;
  double least = std::numeric_limits<double>::infinity();
  for (const Corner& corner : find_corners(inside, width, height)) {
    const double x = std::round(clamped(corner.x, width_ - width));
    const double y = std::round(clamped(corner.y, height_ - height));
    const Area area = {x, y, x + width, y + height};
    double hidden = 0.0;
    for (const Area& other : taken_) hidden += overlap(area, other);
    if (hidden >= least) continue;
    least = hidden;
    best = area;
    if (hidden == 0.0) break;
  }
  taken_.push_back(best);
  return best;
}

}  // namespace sam3trt
