#include "image/polygon.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>

#include "base/error.hpp"
#include "image/rle.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// A mask drawn with '#', all rows of one length.
struct Mask {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<uint8_t> pixels;

  [[nodiscard]] std::vector<Ring> outlines(OutlinePoints points) const {
    return mask_outlines(rle_counts(pixels, height, width), height, width, points);
  }
};

Mask drawn(const std::vector<std::string>& rows) {
  Mask mask{static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows[0].size()), {}};
  for (const std::string& row : rows) {
    for (const char c : row) mask.pixels.push_back(c == '#' ? 1 : 0);
  }
  return mask;
}

Mask random_mask(int64_t height, int64_t width, double share, uint32_t seed) {
  std::mt19937 random(seed);
  std::bernoulli_distribution inside(share);
  Mask mask{height, width, {}};
  for (int64_t i = 0; i < height * width; ++i) mask.pixels.push_back(inside(random) ? 1 : 0);
  return mask;
}

/// Even-odd fill: a pixel is inside when a line from the point (x + dx, y + dy) to the left crosses
/// an odd number of sides.
void fill(const Ring& ring, double dx, double dy, Mask& mask) {
  for (int64_t y = 0; y < mask.height; ++y) {
    for (int64_t x = 0; x < mask.width; ++x) {
      const double px = static_cast<double>(x) + dx;
      const double py = static_cast<double>(y) + dy;
      bool inside = false;
      for (size_t i = 0; i < ring.size(); ++i) {
        const RingPoint a = ring[i];
        const RingPoint b = ring[(i + 1) % ring.size()];
        if ((a.y > py) == (b.y > py)) continue;
        const double at = a.x + (py - a.y) * (b.x - a.x) / (b.y - a.y);
        inside ^= at < px;
      }
      if (inside) mask.pixels[static_cast<size_t>(y * mask.width + x)] = 1;
    }
  }
}

/// The pixels on the ring's sides, which are horizontal, vertical or diagonal.
void draw(const Ring& ring, Mask& mask) {
  for (size_t i = 0; i < ring.size(); ++i) {
    RingPoint at = ring[i];
    const RingPoint end = ring[(i + 1) % ring.size()];
    const int32_t steps = std::max(std::abs(end.x - at.x), std::abs(end.y - at.y));
    const int32_t dx = (end.x > at.x) - (end.x < at.x);
    const int32_t dy = (end.y > at.y) - (end.y < at.y);
    for (int32_t step = 0; step <= steps; ++step) {
      mask.pixels[static_cast<size_t>(at.y * mask.width + at.x)] = 1;
      at = {at.x + dx, at.y + dy};
    }
  }
}

std::vector<Mask> masks() {
  std::vector<Mask> all{
      drawn({"....", ".##.", ".##.", "...."}),
      drawn({"######", "#....#", "#.##.#", "#.##.#", "#....#", "######"}),
      drawn({"########", "#.#..#.#", "###..###", "#.#..#.#", "########"}),
      drawn({"#.#.#", ".#.#.", "#.#.#", ".#.#."}),
      drawn({"#..", ".#.", "..#"}),
      drawn({".###.", "##.##", "#...#", "##.##", ".###."}),
      drawn({"#####"}),
      drawn({"#"}),
  };
  for (uint32_t seed = 0; seed < 40; ++seed) {
    all.push_back(random_mask(9 + seed % 5, 7 + seed % 11, 0.2 + 0.02 * seed, seed));
  }
  return all;
}

TEST(Polygon, PixelCornersFillToTheMask) {
  for (const Mask& mask : masks()) {
    Mask filled{mask.height, mask.width, std::vector<uint8_t>(mask.pixels.size(), 0)};
    for (const Ring& ring : mask.outlines(OutlinePoints::kPixelCorners)) {
      fill(ring, 0.5, 0.5, filled);
    }
    EXPECT_EQ(filled.pixels, mask.pixels);
  }
}

TEST(Polygon, PixelsFilledAndDrawnGiveTheMask) {
  for (const Mask& mask : masks()) {
    Mask filled{mask.height, mask.width, std::vector<uint8_t>(mask.pixels.size(), 0)};
    for (const Ring& ring : mask.outlines(OutlinePoints::kPixels)) {
      // A little off, so that sides do not run through the points.
      fill(ring, 1e-3, 1e-4, filled);
      draw(ring, filled);
    }
    EXPECT_EQ(filled.pixels, mask.pixels);
  }
}

TEST(Polygon, PartsHaveOneRingWithItsCornersOnly) {
  const Mask mask = drawn({".....", ".###.", ".###.", "....#"});
  EXPECT_THAT(
      mask.outlines(OutlinePoints::kPixelCorners),
      ElementsAre(Ring{{1, 1}, {4, 1}, {4, 3}, {1, 3}}, Ring{{4, 3}, {5, 3}, {5, 4}, {4, 4}}));
  EXPECT_THAT(mask.outlines(OutlinePoints::kPixels),
              ElementsAre(Ring{{1, 1}, {3, 1}, {3, 2}, {1, 2}}, Ring{{4, 3}}));
}

TEST(Polygon, HolesAreCutIntoTheRingAroundThem) {
  const Mask mask = drawn({"####", "#..#", "####"});
  EXPECT_THAT(mask.outlines(OutlinePoints::kPixelCorners),
              ElementsAre(Ring{
                  {0, 0}, {4, 0}, {4, 3}, {0, 3}, {0, 1}, {1, 1}, {1, 2}, {3, 2}, {3, 1}, {0, 1}}));
}

TEST(Polygon, AnEmptyMaskHasNone) {
  EXPECT_THAT(drawn({"...", "..."}).outlines(OutlinePoints::kPixels), IsEmpty());
}

TEST(Polygon, RunsThatDoNotFillTheMaskAreRefused) {
  const std::vector<uint32_t> counts{1, 2};
  EXPECT_THROW((void)mask_outlines(counts, 2, 2, OutlinePoints::kPixels), Error);
}

}  // namespace
}  // namespace sam3trt
