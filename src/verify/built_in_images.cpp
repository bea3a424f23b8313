#include "verify/built_in_images.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

namespace sam3trt {
namespace {

using Colour = std::array<uint8_t, 3>;

Image plain(int64_t width, int64_t height, Colour colour) {
  Image image{width, height, {}};
  image.rgb.resize(static_cast<size_t>(width * height) * 3);
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = colour[i % 3];
  return image;
}

/// Paints the pixels that `inside(dx, dy)` accepts, in units of the radius.
template <typename Inside>
void paint(Image& image, int64_t x, int64_t y, int64_t radius, Colour colour, Inside inside) {
  for (int64_t row = std::max<int64_t>(y - radius, 0);
       row <= std::min(y + radius, image.height - 1); ++row) {
    for (int64_t column = std::max<int64_t>(x - radius, 0);
         column <= std::min(x + radius, image.width - 1); ++column) {
      const double dx = static_cast<double>(column - x) / static_cast<double>(radius);
      const double dy = static_cast<double>(row - y) / static_cast<double>(radius);
      if (inside(dx, dy))
        std::ranges::copy(
            colour, image.rgb.begin() + static_cast<std::ptrdiff_t>(image.offset(column, row)));
    }
  }
}

bool disc(double x, double y) { return x * x + y * y <= 1; }

bool square(double x, double y) { return std::max(std::abs(x), std::abs(y)) <= 0.8; }

Image drawn_shapes() {
  const auto ring = [](double x, double y) {
    const double r = x * x + y * y;
    return r <= 1 && r >= 0.3;
  };
  Image image = plain(500, 380, {236, 234, 226});
  paint(image, 110, 100, 64, {222, 40, 40}, disc);
  paint(image, 380, 270, 44, {222, 40, 40}, disc);
  paint(image, 300, 95, 60, {36, 72, 214}, square);
  paint(image, 120, 280, 70, {240, 190, 30}, ring);
  paint(image, 440, 80, 34, {30, 160, 70}, square);
  return image;
}

Image noise(int64_t width, int64_t height) {
  Image image = plain(width, height, {0, 0, 0});
  std::mt19937 random(20251124);  // the same bits on every platform
  for (uint8_t& value : image.rgb) value = static_cast<uint8_t>(random() >> 24U);
  return image;
}

}  // namespace

std::vector<Image> built_in_images() {
  return {drawn_shapes(), noise(320, 200), plain(64, 48, {128, 128, 128})};
}

ClipShapes clip_shapes(int64_t frame) {
  // To and fro, so that frames repeat.
  constexpr int64_t kPath = 200;
  constexpr int64_t kStep = kPath / (static_cast<int64_t>(kClipImages) - 1);
  const int64_t way = frame * kStep % (2 * kPath);
  const int64_t x = way <= kPath ? way : 2 * kPath - way;
  return {60 + x, 100 + x / 8, 260 - x, 125, 30};
}

Image clip_frame(int64_t frame) {
  Image image = plain(kClipWidth, kClipHeight, {0, 0, 0});
  std::mt19937 random(7);
  for (int64_t y = 0; y < kClipHeight; ++y) {
    for (int64_t x = 0; x < kClipWidth; ++x) {
      const auto grain = static_cast<int64_t>(random() >> 28U);
      const size_t offset = image.offset(x, y);
      image.rgb[offset] = static_cast<uint8_t>(90 + x / 4 + grain);
      image.rgb[offset + 1] = static_cast<uint8_t>(110 + y / 4 + grain);
      image.rgb[offset + 2] = static_cast<uint8_t>(150 - x / 8 + grain);
    }
  }
  const ClipShapes at = clip_shapes(frame);
  paint(image, at.square_x, at.square_y, at.radius, {36, 72, 214}, square);
  paint(image, at.disc_x, at.disc_y, at.radius, {222, 40, 40}, disc);
  return image;
}

}  // namespace sam3trt
