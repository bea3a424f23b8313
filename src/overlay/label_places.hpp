#pragma once

#include <array>
#include <optional>
#include <vector>

namespace sam3trt {

/// A rectangle in pixels, half open.
struct Area {
  double x0 = 0.0;
  double y0 = 0.0;
  double x1 = 0.0;
  double y1 = 0.0;
};

/// Finds a place for each label of an image: inside the image, near its box, and where there is
/// room not over another label. Places given earlier are never changed.
class LabelPlaces {
 public:
  LabelPlaces(double width, double height) : width_(width), height_(height) {}

  /// The place of a label of that size for the box x0, y0, x1, y1, which may be anything, infinite
  /// or not a number too: above the box, in it, under it, beside it, then further off. Where all of
  /// these are taken, the one that hides least. Nothing when the image is smaller than the label.
  [[nodiscard]] std::optional<Area> take(const std::array<double, 4>& box, double width,
                                         double height);

 private:
  double width_;
  double height_;
  std::vector<Area> taken_;
};

}  // namespace sam3trt
