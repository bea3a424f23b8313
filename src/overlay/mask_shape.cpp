#include "overlay/mask_shape.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr uint8_t kInside = 1;
constexpr uint64_t kEightInside = 0x0101010101010101;
constexpr uint8_t kTraced = 2;  ///< The left edge of this pixel belongs to a contour.

/// Calls use(column, first_row, rows) for each vertical piece of the mask.
template <typename Use>
void for_each_piece(std::span<const uint32_t> counts, int64_t height, const Use& use) {
  int64_t at = 0;
  bool is_inside = false;
  for (const uint32_t count : counts) {
    for (int64_t left = is_inside ? count : 0, start = at; left > 0;) {
      const int64_t row = start % height;
      const int64_t rows = std::min(left, height - row);
      use(start / height, row, rows);
      start += rows;
      left -= rows;
    }
    at += count;
    is_inside = !is_inside;
  }
}

void check_counts(std::span<const uint32_t> counts, int64_t width, int64_t height) {
  check_image_size(width, height, "a mask");
  int64_t total = 0;
  for (const uint32_t count : counts) total += count;
  if (total == width * height) return;
  throw_bad_input("the run lengths of a mask cover " + std::to_string(total) +
                  " pixels, expected " + std::to_string(width) + "x" + std::to_string(height));
}

/// Columns become rows, block by block so that both sides stay in the cache.
void transpose(const std::vector<uint8_t>& columns, MaskShape& shape) {
  constexpr int64_t kBlock = 32;
  const int64_t stride = shape.width + 2;
  for (int64_t x0 = 0; x0 < shape.width; x0 += kBlock) {
    const int64_t x1 = std::min(x0 + kBlock, shape.width);
    for (int64_t y0 = 0; y0 < shape.height; y0 += kBlock) {
      const int64_t y1 = std::min(y0 + kBlock, shape.height);
      for (int64_t y = y0; y < y1; ++y) {
        uint8_t* to = shape.rows.data() + (y + 1) * stride + 1;
        for (int64_t x = x0; x < x1; ++x) {
          to[x] = columns[static_cast<size_t>(x * shape.height + y)];
        }
      }
    }
  }
}

enum Direction : uint8_t { kUp, kRight, kDown, kLeft };

struct Step {
  int x;
  int y;
};
constexpr std::array<Step, 4> kSteps = {{{0, -1}, {1, 0}, {0, 1}, {-1, 0}}};
/// From a corner, the pixel ahead on the left and the one ahead on the right of each direction.
constexpr std::array<Step, 4> kAheadLeft = {{{-1, -1}, {0, -1}, {0, 0}, {-1, 0}}};
constexpr std::array<Step, 4> kAheadRight = {{{0, -1}, {0, 0}, {-1, 0}, {-1, -1}}};

/// Walks along the edges of pixels with the mask on the right hand.
class Tracer {
 public:
  explicit Tracer(const MaskShape& shape)
      : rows_(shape.rows), stride_(shape.width + 2), x0_(shape.x0), y0_(shape.y0) {}

  /// The loop that begins at the left edge of pixel (x, y); of a straight part the middles of its
  /// first and last edges are kept, so that stairs of one pixel become slanted lines.
  Contour trace(int64_t x, int64_t y) {
    Contour points;
    const int64_t start_x = x;
    const int64_t start_y = y + 1;
    int64_t corner_x = start_x;
    int64_t corner_y = start_y;
    Direction direction = kUp;
    Direction before = kLeft;  // any but kUp: the first edge begins a straight part
    do {
      const Point middle = {static_cast<double>(corner_x + x0_) + kSteps[direction].x * 0.5,
                            static_cast<double>(corner_y + y0_) + kSteps[direction].y * 0.5};
      if (direction == kUp) pixel(corner_x, corner_y - 1) |= kTraced;
      corner_x += kSteps[direction].x;
      corner_y += kSteps[direction].y;
      const Direction next = turn(corner_x, corner_y, direction);
      if (direction != before || direction != next) points.push_back(middle);
      before = std::exchange(direction, next);
    } while (corner_x != start_x || corner_y != start_y || direction != kUp);
    return points;
  }

  /// The next pixel of row y from x on whose left edge begins a contour that was not walked yet;
  /// `end` when there is none. Eight equal pixels are passed at once.
  [[nodiscard]] int64_t find_start(int64_t x, int64_t y, int64_t end) {
    const uint8_t* row = &pixel(0, y);
    while (x < end) {
      uint64_t eight = 0;
      if (x + 8 <= end) std::memcpy(&eight, row + x, sizeof eight);
      if (x + 8 <= end && (eight == 0 || (eight == kEightInside && row[x - 1] != 0))) {
        x += 8;
        continue;
      }
      if (row[x] == kInside && row[x - 1] == 0) return x;
      ++x;
    }
    return end;
  }

 private:
  uint8_t& pixel(int64_t x, int64_t y) {
    return rows_[static_cast<size_t>((y + 1) * stride_ + x + 1)];
  }
  [[nodiscard]] bool is_inside(int64_t x, int64_t y, Step ahead) {
    return (pixel(x + ahead.x, y + ahead.y) & kInside) != 0;
  }
  [[nodiscard]] Direction turn(int64_t x, int64_t y, Direction direction) {
    if (!is_inside(x, y, kAheadRight[direction])) return Direction((direction + 1) % 4);
    if (is_inside(x, y, kAheadLeft[direction])) return Direction((direction + 3) % 4);
    return direction;
  }

  std::vector<uint8_t> rows_;
  int64_t stride_;
  int64_t x0_;
  int64_t y0_;
};

double distance_to_line(Point point, Point from, Point to) {
  const double dx = to.x - from.x;
  const double dy = to.y - from.y;
  const double length = std::hypot(dx, dy);
  if (length == 0.0) return std::hypot(point.x - from.x, point.y - from.y);
  return std::abs((point.x - from.x) * dy - (point.y - from.y) * dx) / length;
}

/// Keeps the points that lie further than a tolerance from the line through those kept (Ramer,
/// Douglas and Peucker), in pieces, so that the time grows with the number of points only.
Contour simplify(const Contour& points) {
  constexpr size_t kPiece = 128;
  constexpr double kTolerance = 0.6;
  if (points.size() < 4) return points;
  std::vector<uint8_t> keep(points.size() + 1, 0);
  const auto at = [&](size_t i) { return points[i % points.size()]; };
  std::vector<std::pair<size_t, size_t>> open;
  for (size_t first = 0; first < points.size(); first += kPiece) {
    open.emplace_back(first, std::min(first + kPiece, points.size()));
  }
  while (!open.empty()) {
    const auto [first, last] = open.back();
    open.pop_back();
    keep[first] = keep[last] = 1;
    size_t furthest = first;
    double largest = kTolerance;
    for (size_t i = first + 1; i < last; ++i) {
      const double distance = distance_to_line(at(i), at(first), at(last));
      if (distance > largest) {
        largest = distance;
        furthest = i;
      }
    }
    if (furthest == first) continue;
    open.emplace_back(first, furthest);
    open.emplace_back(furthest, last);
  }
  Contour kept;
  for (size_t i = 0; i < points.size(); ++i) {
    if (keep[i] != 0) kept.push_back(points[i]);
  }
  return kept;
}

}  // namespace

MaskShape make_mask_shape(std::span<const uint32_t> counts, int64_t image_width,
                          int64_t image_height) {
  check_counts(counts, image_width, image_height);
  MaskShape shape;
  int64_t x1 = 0;
  int64_t y1 = 0;
  shape.x0 = image_width;
  shape.y0 = image_height;
  for_each_piece(counts, image_height, [&](int64_t column, int64_t row, int64_t rows) {
    shape.x0 = std::min(shape.x0, column);
    x1 = std::max(x1, column + 1);
    shape.y0 = std::min(shape.y0, row);
    y1 = std::max(y1, row + rows);
  });
  if (x1 == 0) return {};
  shape.width = x1 - shape.x0;
  shape.height = y1 - shape.y0;
  std::vector<uint8_t> columns(static_cast<size_t>(shape.width * shape.height), 0);
  for_each_piece(counts, image_height, [&](int64_t column, int64_t row, int64_t rows) {
    std::memset(columns.data() + (column - shape.x0) * shape.height + row - shape.y0, kInside,
                static_cast<size_t>(rows));
  });
  shape.rows.assign(static_cast<size_t>((shape.width + 2) * (shape.height + 2)), 0);
  transpose(columns, shape);
  return shape;
}

std::vector<Contour> trace_contours(const MaskShape& shape, size_t max_points) {
  std::vector<Contour> contours;
  Tracer tracer(shape);
  size_t points = 0;
  for (int64_t y = 0; y < shape.height; ++y) {
    for (int64_t x = 0; (x = tracer.find_start(x, y, shape.width)) < shape.width;) {
      contours.push_back(simplify(tracer.trace(x, y)));
      points += contours.back().size();
      if (points > max_points) return {};
    }
  }
  return contours;
}

}  // namespace sam3trt
