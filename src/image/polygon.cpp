#include "image/polygon.hpp"

#include <cstddef>
#include <unordered_map>

#include "image/rle.hpp"

namespace sam3trt {
namespace {

constexpr size_t kNone = static_cast<size_t>(-1);

/// Directions in the order of turning right, rows going down: east, south, west, north.
constexpr RingPoint kSteps[] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
/// The pixel on the right of a side that leaves a corner, seen from that corner, and the one on the
/// left.
constexpr RingPoint kRight[] = {{0, 0}, {-1, 0}, {-1, -1}, {0, -1}};
constexpr RingPoint kLeft[] = {{0, -1}, {0, 0}, {-1, 0}, {-1, -1}};
constexpr int kEast = 0;
constexpr int kSouth = 1;
constexpr int kNorth = 3;

RingPoint operator+(RingPoint a, RingPoint b) { return {a.x + b.x, a.y + b.y}; }
RingPoint operator-(RingPoint a, RingPoint b) { return {a.x - b.x, a.y - b.y}; }

/// The part of a mask that its box holds.
class Pixels {
 public:
  Pixels(std::span<const uint32_t> counts, int64_t height, int64_t width)
      : mask_(rle_decode(counts, height, width)), width_(static_cast<int32_t>(width)) {
    if (rle_area(counts) == 0) return;
    const auto box = rle_box(counts, height);
    left = static_cast<int32_t>(box[0]);
    top = static_cast<int32_t>(box[1]);
    right = static_cast<int32_t>(box[2]) + 1;
    bottom = static_cast<int32_t>(box[3]) + 1;
  }

  [[nodiscard]] bool inside(RingPoint at) const {
    return at.x >= left && at.x < right && at.y >= top && at.y < bottom && mask_[index(at)] != 0;
  }
  [[nodiscard]] size_t index(RingPoint at) const {
    return static_cast<size_t>(at.y) * static_cast<size_t>(width_) + static_cast<size_t>(at.x);
  }
  [[nodiscard]] size_t count() const { return mask_.size(); }

  // Columns and rows that hold the mask; nothing when it is empty.
  int32_t left = 0;
  int32_t top = 0;
  int32_t right = 0;
  int32_t bottom = 0;

 private:
  std::vector<uint8_t> mask_;
  int32_t width_;
};

/// Sides of pixels between inside and outside, in linked rings with the inside on the right.
class Tracer {
 public:
  Tracer(const Pixels& pixels, OutlinePoints points)
      : pixels_(pixels), points_(points), traced_(pixels.count(), false) {}

  std::vector<Ring> outlines() {
    for (int32_t y = pixels_.top; y < pixels_.bottom; ++y) {
      for (int32_t x = pixels_.left; x < pixels_.right; ++x) {
        const RingPoint at{x, y};
        if (pixels_.inside(at) && !pixels_.inside({x, y - 1}) && !traced_[pixels_.index(at)]) {
          trace(at);
        }
      }
    }
    for (const Hole& hole : holes_) join(hole);
    std::vector<Ring> rings;
    rings.reserve(outer_.size());
    for (const size_t first : outer_) rings.push_back(ring_of(first));
    return rings;
  }

 private:
  /// A side of a pixel: it leaves the corner `from`.
  struct Side {
    RingPoint point;  ///< That stands for it in the outline.
    size_t next = kNone;
  };
  struct Hole {
    RingPoint beside;     ///< A pixel of the mask, left of the leftmost ones of the hole.
    size_t side = kNone;  ///< Of that pixel, going south.
  };

  void trace(RingPoint start) {
    RingPoint corner = start;
    int direction = kEast;
    int64_t twice_area = 0;
    Hole hole;
    const size_t first = sides_.size();
    do {
      const RingPoint pixel = corner + kRight[direction];
      const RingPoint next = corner + kSteps[direction];
      if (direction == kEast) traced_[pixels_.index(pixel)] = true;
      if (direction == kNorth) west_sides_.emplace(pixels_.index(pixel), sides_.size());
      if (direction == kSouth && (hole.side == kNone || pixel.x < hole.beside.x)) {
        hole = {pixel, sides_.size()};
      }
      sides_.push_back({points_ == OutlinePoints::kPixels ? pixel : corner, sides_.size() + 1});
      twice_area += int64_t{corner.x} * next.y - int64_t{next.x} * corner.y;
      corner = next;
      if (!pixels_.inside(corner + kRight[direction])) {
        direction = (direction + 1) % 4;
      } else if (pixels_.inside(corner + kLeft[direction])) {
        direction = (direction + 3) % 4;
      }
    } while (corner != start || direction != kEast);
    sides_.back().next = first;
    if (twice_area > 0) {
      outer_.push_back(first);
    } else {
      holes_.push_back(hole);
    }
  }

  /// Makes the hole's ring a part of the one left of it: the outline around it, or a hole that
  /// begins further left.
  void join(const Hole& hole) {
    RingPoint pixel = hole.beside;
    while (pixels_.inside({pixel.x - 1, pixel.y})) --pixel.x;
    // The pixel's western side goes north, to the corner where the cut begins; it ends where the
    // hole's side begins, in the same row.
    const size_t west = west_sides_.at(pixels_.index(pixel));
    const size_t arrival = add(sides_[hole.side].point, sides_[hole.side].next);
    const size_t back = add(pixel, sides_[west].next);
    sides_[hole.side].next = back;
    const size_t departure = add(pixel, arrival);
    sides_[west].next = departure;
  }

  size_t add(RingPoint point, size_t next) {
    sides_.push_back({point, next});
    return sides_.size() - 1;
  }

  [[nodiscard]] Ring ring_of(size_t first) const {
    Ring all;
    size_t side = first;
    do {
      if (all.empty() || all.back() != sides_[side].point) all.push_back(sides_[side].point);
      side = sides_[side].next;
    } while (side != first);
    while (all.size() > 1 && all.back() == all.front()) all.pop_back();
    if (all.size() < 3) return all;
    Ring corners;
    for (size_t i = 0; i < all.size(); ++i) {
      const RingPoint in = all[i] - all[(i + all.size() - 1) % all.size()];
      const RingPoint out = all[(i + 1) % all.size()] - all[i];
      const bool straight = int64_t{in.x} * out.y == int64_t{in.y} * out.x &&
                            int64_t{in.x} * out.x + int64_t{in.y} * out.y > 0;
      if (!straight) corners.push_back(all[i]);
    }
    return corners;
  }

  const Pixels& pixels_;
  OutlinePoints points_;
  std::vector<bool> traced_;  ///< By pixel: its northern side is in a ring.
  std::vector<Side> sides_;
  std::unordered_map<size_t, size_t> west_sides_;  ///< By pixel: the place in sides_.
  std::vector<size_t> outer_;
  std::vector<Hole> holes_;
};

}  // namespace

std::vector<Ring> mask_outlines(std::span<const uint32_t> counts, int64_t height, int64_t width,
                                OutlinePoints points) {
  const Pixels pixels(counts, height, width);
  return Tracer(pixels, points).outlines();
}

}  // namespace sam3trt
