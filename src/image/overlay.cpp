#include "image/overlay.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "image/font.hpp"

namespace sam3trt {
namespace {

constexpr double kTintOpacity = 0.45;
constexpr Color kDark = {16, 16, 16};
constexpr Color kLight = {255, 255, 255};

/// Line width and pixel size of the font, from the picture's mean side.
struct Style {
  int64_t line = 2;
  int64_t text = 1;
};

Style style_for(const Image& image) {
  const double side =
      std::sqrt(static_cast<double>(image.width) * static_cast<double>(image.height));
  return {std::max<int64_t>(2, std::llround(side / 300.0)),
          std::max<int64_t>(1, static_cast<int64_t>(std::ceil(side / 340.0)))};
}

/// A half-open rectangle of pixels.
struct Area {
  int64_t x0 = 0;
  int64_t y0 = 0;
  int64_t x1 = 0;
  int64_t y1 = 0;
};

Area clip(const Area& area, const Image& image) {
  return {
      std::clamp<int64_t>(area.x0, 0, image.width), std::clamp<int64_t>(area.y0, 0, image.height),
      std::clamp<int64_t>(area.x1, 0, image.width), std::clamp<int64_t>(area.y1, 0, image.height)};
}

void put(Image& image, int64_t x, int64_t y, Color color) {
  std::copy(color.begin(), color.end(), image.rgb.data() + image.offset(x, y));
}

void fill(Image& image, const Area& area, Color color) {
  const Area inside = clip(area, image);
  for (int64_t y = inside.y0; y < inside.y1; ++y) {
    for (int64_t x = inside.x0; x < inside.x1; ++x) put(image, x, y, color);
  }
}

/// The smallest rectangle around the mask; empty when nothing is inside.
Area bounds_of(std::span<const uint8_t> mask, const Image& image) {
  Area box{image.width, image.height, 0, 0};
  for (int64_t y = 0; y < image.height; ++y) {
    const auto row =
        mask.subspan(static_cast<size_t>(y * image.width), static_cast<size_t>(image.width));
    const auto inside = [](uint8_t value) { return value != 0; };
    const auto first = std::find_if(row.begin(), row.end(), inside);
    if (first == row.end()) continue;
    const auto last = std::find_if(row.rbegin(), row.rend(), inside);
    box = {std::min<int64_t>(box.x0, first - row.begin()), std::min(box.y0, y),
           std::max<int64_t>(box.x1, row.rend() - last), y + 1};
  }
  return box;
}

/// Which pixels of an area the outline covers.
class Strokes {
 public:
  enum Kind : uint8_t { kNone, kEdge, kLine };

  explicit Strokes(const Area& area)
      : area_(area),
        kinds_(static_cast<size_t>((area.x1 - area.x0) * (area.y1 - area.y0)), kNone) {}

  /// A disc of a line's colour with a thin dark edge.
  void stamp(int64_t x, int64_t y, double radius) {
    const auto reach = static_cast<int64_t>(std::ceil(radius + kEdgeWidth));
    for (int64_t dy = -reach; dy <= reach; ++dy) {
      for (int64_t dx = -reach; dx <= reach; ++dx) {
        const double distance = std::sqrt(static_cast<double>(dx * dx + dy * dy));
        if (distance > radius + kEdgeWidth) continue;
        raise(x + dx, y + dy, distance <= radius ? kLine : kEdge);
      }
    }
  }

  /// The dark edge is drawn around the mask only, so that thin masks keep their colour.
  void draw(Image& image, std::span<const uint8_t> mask, Color color) const {
    size_t i = 0;
    for (int64_t y = area_.y0; y < area_.y1; ++y) {
      for (int64_t x = area_.x0; x < area_.x1; ++x, ++i) {
        const bool is_inside = mask[static_cast<size_t>(y * image.width + x)] != 0;
        if (kinds_[i] == kLine) put(image, x, y, color);
        if (kinds_[i] == kEdge && !is_inside) put(image, x, y, kDark);
      }
    }
  }

 private:
  static constexpr double kEdgeWidth = 1.0;

  void raise(int64_t x, int64_t y, Kind kind) {
    if (x < area_.x0 || x >= area_.x1 || y < area_.y0 || y >= area_.y1) return;
    uint8_t& old =
        kinds_[static_cast<size_t>((y - area_.y0) * (area_.x1 - area_.x0) + x - area_.x0)];
    old = std::max<uint8_t>(old, kind);
  }

  Area area_;
  std::vector<uint8_t> kinds_;
};

void tint(Image& image, std::span<const uint8_t> mask, const Area& box, Color color) {
  std::array<Color, 256> mixed{};
  for (size_t value = 0; value < mixed.size(); ++value) {
    for (size_t c = 0; c < 3; ++c) {
      mixed[value][c] = static_cast<uint8_t>(
          std::lround(static_cast<double>(value) * (1.0 - kTintOpacity) + color[c] * kTintOpacity));
    }
  }
  for (int64_t y = box.y0; y < box.y1; ++y) {
    for (int64_t x = box.x0; x < box.x1; ++x) {
      if (mask[static_cast<size_t>(y * image.width + x)] == 0) continue;
      uint8_t* pixel = image.rgb.data() + image.offset(x, y);
      for (size_t c = 0; c < 3; ++c) pixel[c] = mixed[pixel[c]][c];
    }
  }
}

void draw_outline(Image& image, std::span<const uint8_t> mask, const Area& box, Color color,
                  int64_t line) {
  const double radius = static_cast<double>(line) / 2.0;
  const int64_t margin = line + 2;
  Strokes strokes(
      clip({box.x0 - margin, box.y0 - margin, box.x1 + margin, box.y1 + margin}, image));
  const auto is_outside = [&](int64_t x, int64_t y) {
    return x >= 0 && x < image.width && y >= 0 && y < image.height &&
           mask[static_cast<size_t>(y * image.width + x)] == 0;
  };
  for (int64_t y = box.y0; y < box.y1; ++y) {
    for (int64_t x = box.x0; x < box.x1; ++x) {
      if (mask[static_cast<size_t>(y * image.width + x)] == 0) continue;
      if (is_outside(x - 1, y) || is_outside(x + 1, y) || is_outside(x, y - 1) ||
          is_outside(x, y + 1)) {
        strokes.stamp(x, y, radius);
      }
    }
  }
  strokes.draw(image, mask, color);
}

/// Black or white, whichever can be read better on `background` (Rec. 601 luma).
Color text_color(Color background) {
  const double luma = 0.299 * background[0] + 0.587 * background[1] + 0.114 * background[2];
  return luma > 140.0 ? kDark : kLight;
}

void draw_text(Image& image, int64_t x, int64_t y, int64_t scale, Color color,
               std::string_view text) {
  for (const char c : text) {
    const Glyph& glyph = glyph_of(c);
    for (int row = 0; row < kGlyphHeight; ++row) {
      for (int column = 0; column < kGlyphWidth; ++column) {
        if (((glyph[static_cast<size_t>(row)] >> (kGlyphWidth - 1 - column)) & 1) == 0) continue;
        const int64_t left = x + column * scale;
        const int64_t top = y + row * scale;
        fill(image, {left, top, left + scale, top + scale}, color);
      }
    }
    x += (kGlyphWidth + 1) * scale;
  }
}

/// Rounds a coordinate that may be anything into 0 .. limit.
int64_t to_pixel(double value, int64_t limit) {
  if (!(value > 0.0)) return 0;
  return value >= static_cast<double>(limit) ? limit : std::llround(value);
}

/// Hue in turns, saturation and value in 0..1.
Color from_hsv(double hue, double saturation, double value) {
  Color color{};
  for (size_t c = 0; c < 3; ++c) {
    const double offsets[3] = {5.0, 3.0, 1.0};
    const double k = std::fmod(offsets[c] + hue * 6.0, 6.0);
    const double ramp = std::clamp(std::min(k, 4.0 - k), 0.0, 1.0);
    color[c] = static_cast<uint8_t>(std::lround(255.0 * value * (1.0 - saturation * ramp)));
  }
  return color;
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
  return from_hsv(hue, index % 2 == 0 ? 0.9 : 0.55, index % 3 == 0 ? 0.75 : 1.0);
}

void draw_instance(Image& image, std::span<const uint8_t> mask, double x0, double y0, Color color,
                   std::string_view label) {
  if (mask.size() != image.rgb.size() / 3) {
    throw Error(ErrorCode::kInternal, "draw_instance: the mask has " + std::to_string(mask.size()) +
                                          " pixels, the picture " +
                                          std::to_string(image.rgb.size() / 3));
  }
  const Area box = bounds_of(mask, image);
  if (box.x0 < box.x1) {
    tint(image, mask, box, color);
    draw_outline(image, mask, box, color, style_for(image).line);
  }
  if (!label.empty()) draw_label(image, x0, y0, color, label);
}

void draw_label(Image& image, double x0, double y0, Color color, std::string_view label) {
  int64_t scale = style_for(image).text;
  constexpr int64_t kAdvance = kGlyphWidth + 1;
  const auto width_of = [&](int64_t pixel, size_t letters) {
    return (static_cast<int64_t>(letters) * kAdvance - 1 + 4) * pixel;
  };
  while (scale > 1 && (width_of(scale, label.size()) > image.width ||
                       (kGlyphHeight + 2) * scale > image.height)) {
    --scale;
  }
  std::string text(label);
  while (!text.empty() && width_of(scale, text.size()) > image.width) text.pop_back();
  const int64_t height = (kGlyphHeight + 2) * scale;
  if (text.empty() || height > image.height) return;
  if (text.size() < label.size() && text.size() > 2) text.replace(text.size() - 2, 2, "..");

  const int64_t width = width_of(scale, text.size());
  const int64_t corner_y = to_pixel(y0, image.height);
  const int64_t left = std::min(to_pixel(x0, image.width), image.width - width);
  const int64_t top =
      corner_y >= height ? corner_y - height : std::min(corner_y, image.height - height);
  fill(image, {left, top, left + width, top + height}, color);
  draw_text(image, left + 2 * scale, top + scale + scale / 2, scale, text_color(color), text);
}

void draw_box(Image& image, const std::array<double, 4>& box_xyxy, Color color) {
  const int64_t line = style_for(image).line;
  const int64_t x0 = to_pixel(std::min(box_xyxy[0], box_xyxy[2]), image.width);
  const int64_t y0 = to_pixel(std::min(box_xyxy[1], box_xyxy[3]), image.height);
  const int64_t x1 = to_pixel(std::max(box_xyxy[0], box_xyxy[2]), image.width);
  const int64_t y1 = to_pixel(std::max(box_xyxy[1], box_xyxy[3]), image.height);
  const auto frame = [&](int64_t width, Color shade, int64_t grow) {
    const Area outer{x0 - grow, y0 - grow, x1 + grow, y1 + grow};
    fill(image, {outer.x0, outer.y0, outer.x1, outer.y0 + width}, shade);
    fill(image, {outer.x0, outer.y1 - width, outer.x1, outer.y1}, shade);
    fill(image, {outer.x0, outer.y0, outer.x0 + width, outer.y1}, shade);
    fill(image, {outer.x1 - width, outer.y0, outer.x1, outer.y1}, shade);
  };
  frame(line + 2, kDark, 1);
  frame(line, color, 0);
}

}  // namespace sam3trt
