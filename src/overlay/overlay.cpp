#include "overlay/overlay.hpp"

#include <cairo.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "overlay/label.hpp"
#include "overlay/label_places.hpp"
#include "overlay/mask_shape.hpp"

namespace sam3trt {
namespace {

/// Cairo's surfaces end at 32767 pixels on a side; larger images are drawn in parts.
constexpr int64_t kTile = 8192;
/// A mask as ragged as noise would take long as lines; its pixels at the edge are coloured instead.
constexpr size_t kMaxPoints = 20'000;
constexpr size_t kMaxPointsOfAll = 100'000;
constexpr Color kDark = {16, 16, 16};
constexpr Color kLight = {255, 255, 255};

/// Sizes in pixels, from the image's mean side.
struct Style {
  double line;
  double text;
  double padding;

  explicit Style(const Image& image) {
    const double side = std::sqrt(static_cast<double>(image.width * image.height));
    line = std::max(2.0, side / 480.0);
    text = std::max(10.0, side / 68.0);
    padding = std::round(text * 0.28);
  }
};

struct DestroyCairo {
  void operator()(cairo_t* cairo) const { cairo_destroy(cairo); }
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
};

struct Outline {
  std::vector<Contour> contours;
  Color color;
};

struct PlacedLabel {
  Label text;
  Area area;
  Color color;
};

void set_color(cairo_t* cairo, Color color, double opacity = 1.0) {
  cairo_set_source_rgba(cairo, color[0] / 255.0, color[1] / 255.0, color[2] / 255.0, opacity);
}

/// Black or white, whichever can be read better on `background` (Rec. 601 luma).
Color text_color(Color background) {
  const double luma = 0.299 * background[0] + 0.587 * background[1] + 0.114 * background[2];
  return luma > 130.0 ? kDark : kLight;
}

const uint8_t* find_byte(const uint8_t* begin, const uint8_t* end, int value) {
  const void* found = std::memchr(begin, value, static_cast<size_t>(end - begin));
  return found == nullptr ? end : static_cast<const uint8_t*>(found);
}

/// Mixes the colour into the mask's pixels, a run of them at a time, in units of 1/256.
void tint(Image& image, const MaskShape& shape, Color color, double opacity) {
  const auto weight = static_cast<int>(std::lround(std::clamp(opacity, 0.0, 1.0) * 256.0));
  std::vector<uint16_t> share(static_cast<size_t>(shape.width) * 3);
  for (size_t i = 0; i < share.size(); ++i) {
    share[i] = static_cast<uint16_t>(color[i % 3] * weight + 128);
  }
  const auto rest = static_cast<uint16_t>(256 - weight);
  for (int64_t y = 0; y < shape.height; ++y) {
    const uint8_t* const begin = shape.row(y);
    const uint8_t* const end = begin + shape.width;
    uint8_t* const pixels = image.rgb.data() + image.offset(shape.x0, shape.y0 + y);
    for (const uint8_t* at = begin; at != end;) {
      const uint8_t* const first = find_byte(at, end, 1);
      at = find_byte(first, end, 0);
      uint8_t* const run = pixels + 3 * (first - begin);
      const auto size = static_cast<size_t>(at - first) * 3;
      for (size_t i = 0; i < size; ++i) {
        run[i] = static_cast<uint8_t>((run[i] * rest + share[i]) >> 8);
      }
    }
  }
}

/// Colours the mask's pixels that have a neighbour outside.
void color_edge_pixels(Image& image, const MaskShape& shape, Color color) {
  const int64_t stride = shape.width + 2;
  for (int64_t y = 0; y < shape.height; ++y) {
    const uint8_t* at = shape.row(y);
    for (int64_t x = 0; x < shape.width; ++x, ++at) {
      if (at[0] == 0 || (at[-1] != 0 && at[1] != 0 && at[-stride] != 0 && at[stride] != 0))
        continue;
      std::copy(color.begin(), color.end(),
                image.rgb.data() + image.offset(shape.x0 + x, shape.y0 + y));
    }
  }
}

/// Tints all masks, the last one first, and returns their outlines in the same order.
std::vector<Outline> draw_masks(Image& image, std::span<const OverlayInstance> instances,
                                double opacity) {
  std::vector<Outline> outlines;
  size_t points = 0;
  for (size_t i = instances.size(); i-- > 0;) {
    const OverlayInstance& instance = instances[i];
    const MaskShape shape = make_mask_shape(instance.counts, image.width, image.height);
    if (shape.width == 0) continue;
    tint(image, shape, instance.color, opacity);
    const size_t room = std::min(kMaxPoints, kMaxPointsOfAll - std::min(points, kMaxPointsOfAll));
    auto contours = trace_contours(shape, room);
    if (contours.empty()) color_edge_pixels(image, shape, instance.color);
    for (const Contour& contour : contours) points += contour.size();
    outlines.push_back({std::move(contours), instance.color});
  }
  return outlines;
}

void stroke_outline(cairo_t* cairo, const Outline& outline, double line) {
  cairo_set_antialias(cairo, CAIRO_ANTIALIAS_FAST);
  cairo_set_line_join(cairo, CAIRO_LINE_JOIN_BEVEL);
  for (const Contour& contour : outline.contours) {
    for (const Point& point : contour) cairo_line_to(cairo, point.x, point.y);
    cairo_close_path(cairo);
  }
  cairo_set_line_width(cairo, line);
  set_color(cairo, outline.color);
  cairo_stroke(cairo);
}

void stroke_box(cairo_t* cairo, const Image& image, const OverlayBox& entry, double line) {
  const auto clamped = [](double value, int64_t limit) {
    if (!(value > 0.0)) return 0.0;
    return std::min(value, static_cast<double>(limit));
  };
  const double x0 = clamped(std::min(entry.box[0], entry.box[2]), image.width);
  const double y0 = clamped(std::min(entry.box[1], entry.box[3]), image.height);
  const double x1 = clamped(std::max(entry.box[0], entry.box[2]), image.width);
  const double y1 = clamped(std::max(entry.box[1], entry.box[3]), image.height);
  // The line lies inside the box, so that one along the image's border is seen whole.
  const double half = line / 2.0;
  cairo_rectangle(cairo, x0 + half, y0 + half, std::max(x1 - x0 - line, 0.0),
                  std::max(y1 - y0 - line, 0.0));
  cairo_set_line_width(cairo, line + 2.0);
  set_color(cairo, kDark, 0.7);
  cairo_stroke_preserve(cairo);
  cairo_set_line_width(cairo, line);
  set_color(cairo, entry.color);
  cairo_stroke(cairo);
}

/// Sets and places the labels; smaller letters where the image has no room for the usual ones.
std::vector<PlacedLabel> place_labels(const Image& image, const LabelFont& font, double padding,
                                      std::span<const OverlayInstance> instances) {
  const auto width = static_cast<double>(image.width);
  LabelPlaces places(width, static_cast<double>(image.height));
  std::vector<PlacedLabel> labels;
  for (const OverlayInstance& instance : instances) {
    if (instance.label.empty() || width <= 2.0 * padding) continue;
    Label text = font.set(instance.label, width - 2.0 * padding);
    const double room = std::round(padding / 2.0);
    const auto area =
        places.take(instance.box, text.width + 2.0 * padding, text.height + 2.0 * room);
    if (area) labels.push_back({std::move(text), *area, instance.color});
  }
  return labels;
}

void draw_label(cairo_t* cairo, const LabelFont& font, const PlacedLabel& label, double padding) {
  const Area& area = label.area;
  cairo_rectangle(cairo, area.x0, area.y0, area.x1 - area.x0, area.y1 - area.y0);
  set_color(cairo, label.color, 0.92);
  cairo_fill(cairo);
  set_color(cairo, text_color(label.color));
  font.draw(cairo, label.text, area.x0 + padding, area.y0 + std::round(padding / 2.0));
}

/// A part of the image as a surface of Cairo's, copied there and back.
class Tile {
 public:
  Tile(Image& image, int64_t x0, int64_t y0)
      : image_(image),
        x0_(x0),
        y0_(y0),
        width_(std::min(kTile, image.width - x0)),
        height_(std::min(kTile, image.height - y0)),
        pixels_(static_cast<size_t>(width_ * height_)) {
    for (int64_t y = 0; y < height_; ++y) {
      const uint8_t* from = image_.rgb.data() + image_.offset(x0_, y0_ + y);
      uint32_t* to = pixels_.data() + y * width_;
      for (int64_t x = 0; x < width_; ++x, from += 3) {
        to[x] = uint32_t{from[0]} << 16 | uint32_t{from[1]} << 8 | from[2];
      }
    }
    surface_.reset(cairo_image_surface_create_for_data(
        reinterpret_cast<unsigned char*>(pixels_.data()), CAIRO_FORMAT_RGB24,
        static_cast<int>(width_), static_cast<int>(height_), static_cast<int>(width_ * 4)));
    cairo_.reset(cairo_create(surface_.get()));
    cairo_translate(cairo_.get(), -static_cast<double>(x0_), -static_cast<double>(y0_));
  }

  [[nodiscard]] cairo_t* cairo() const { return cairo_.get(); }

  void write_back() {
    const cairo_status_t status = cairo_status(cairo_.get());
    if (status != CAIRO_STATUS_SUCCESS) {
      throw Error(ErrorCode::kInternal,
                  std::string("an overlay cannot be drawn: ") + cairo_status_to_string(status));
    }
    cairo_surface_flush(surface_.get());
    for (int64_t y = 0; y < height_; ++y) {
      const uint32_t* from = pixels_.data() + y * width_;
      uint8_t* to = image_.rgb.data() + image_.offset(x0_, y0_ + y);
      for (int64_t x = 0; x < width_; ++x, to += 3) {
        to[0] = static_cast<uint8_t>(from[x] >> 16);
        to[1] = static_cast<uint8_t>(from[x] >> 8);
        to[2] = static_cast<uint8_t>(from[x]);
      }
    }
  }

 private:
  Image& image_;
  int64_t x0_;
  int64_t y0_;
  int64_t width_;
  int64_t height_;
  std::vector<uint32_t> pixels_;
  std::unique_ptr<cairo_surface_t, DestroyCairo> surface_;
  std::unique_ptr<cairo_t, DestroyCairo> cairo_;
};

}  // namespace

void draw_overlay(Image& image, std::span<const OverlayInstance> instances,
                  std::span<const OverlayBox> boxes, const OverlayOptions& options) {
  check_image_size(image.width, image.height, "an overlay");
  if (image.rgb.size() != static_cast<size_t>(image.width * image.height) * 3) {
    throw Error(ErrorCode::kInternal, "draw_overlay: the image's buffer has a wrong size");
  }
  const Style style(image);
  const std::vector<Outline> outlines = draw_masks(image, instances, options.opacity);
  const LabelFont font(style.text, options.built_in_font);
  const std::vector<PlacedLabel> labels = place_labels(image, font, style.padding, instances);
  for (int64_t y = 0; y < image.height; y += kTile) {
    for (int64_t x = 0; x < image.width; x += kTile) {
      Tile tile(image, x, y);
      for (const Outline& outline : outlines) stroke_outline(tile.cairo(), outline, style.line);
      for (const OverlayBox& box : boxes) stroke_box(tile.cairo(), image, box, style.line);
      // The best instances come first, and lie over the others where labels have to overlap.
      for (size_t i = labels.size(); i-- > 0;) {
        draw_label(tile.cairo(), font, labels[i], style.padding);
      }
      tile.write_back();
    }
  }
}

}  // namespace sam3trt
