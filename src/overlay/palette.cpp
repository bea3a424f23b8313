#include <algorithm>
#include <cmath>

#include "overlay/overlay.hpp"

namespace sam3trt {
namespace {

/// Hue in turns, saturation and value in 0..1.
struct Hsv {
  double hue = 0.0;
  double saturation = 0.0;
  double value = 0.0;
};

Color from_hsv(const Hsv& hsv) {
  Color color{};
  for (size_t c = 0; c < 3; ++c) {
    constexpr std::array<double, 3> kOffsets = {5.0, 3.0, 1.0};
    const double k = std::fmod(kOffsets[c] + hsv.hue * 6.0, 6.0);
    const double ramp = std::clamp(std::min(k, 4.0 - k), 0.0, 1.0);
    color[c] = static_cast<uint8_t>(std::lround(255.0 * hsv.value * (1.0 - hsv.saturation * ramp)));
  }
  return color;
}

Hsv to_hsv(Color color) {
  const double red = color[0] / 255.0;
  const double green = color[1] / 255.0;
  const double blue = color[2] / 255.0;
  const double largest = std::max({red, green, blue});
  const double span = largest - std::min({red, green, blue});
  Hsv hsv{0.0, largest > 0.0 ? span / largest : 0.0, largest};
  if (span == 0.0) return hsv;
  if (largest == red) {
    hsv.hue = (green - blue) / span;
  } else if (largest == green) {
    hsv.hue = (blue - red) / span + 2.0;
  } else {
    hsv.hue = (red - green) / span + 4.0;
  }
  hsv.hue = std::fmod(hsv.hue / 6.0 + 1.0, 1.0);
  return hsv;
}

}  // namespace

Color palette_color(size_t index) {
  constexpr std::array<Color, 10> kFirst = {{{255, 64, 64},
                                             {0, 150, 255},
                                             {70, 210, 60},
                                             {255, 165, 0},
                                             {170, 80, 255},
                                             {0, 220, 210},
                                             {255, 90, 200},
                                             {250, 235, 50},
                                             {60, 70, 230},
                                             {160, 90, 40}}};
  if (index < kFirst.size()) return kFirst[index];
  // Steps of the golden ratio never fall on a hue that was used before.
  constexpr double kGoldenStep = 0.6180339887498949;
  const double hue = std::fmod(static_cast<double>(index) * kGoldenStep, 1.0);
  return from_hsv({hue, index % 2 == 0 ? 0.9 : 0.55, index % 3 == 0 ? 0.75 : 1.0});
}

Color shade_of(Color base, size_t index) {
  // Hue in turns, factors of saturation and value.
  constexpr std::array<Hsv, 6> kSteps = {{{0.0, 1.0, 1.0},
                                          {0.03, 0.6, 1.1},
                                          {-0.03, 1.1, 0.7},
                                          {0.05, 1.0, 0.85},
                                          {-0.05, 0.7, 1.1},
                                          {0.0, 0.45, 0.9}}};
  const Hsv& step = kSteps[index % kSteps.size()];
  Hsv hsv = to_hsv(base);
  hsv.hue = std::fmod(hsv.hue + step.hue + 1.0, 1.0);
  hsv.saturation = std::min(hsv.saturation * step.saturation, 1.0);
  hsv.value = std::min(hsv.value * step.value, 1.0);
  return index % kSteps.size() == 0 ? base : from_hsv(hsv);
}

}  // namespace sam3trt
