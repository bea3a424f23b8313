#include "image/overlay.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/error.hpp"
#include "image/font.hpp"
#include "picture_files.hpp"

namespace sam3trt {
namespace {

constexpr Color kRed = {255, 0, 0};

Image grey_image(int64_t width, int64_t height) {
  Image image{width, height, {}};
  image.rgb.assign(static_cast<size_t>(width * height) * 3, 100);
  return image;
}

Color pixel_at(const Image& image, int64_t x, int64_t y) {
  const uint8_t* pixel = image.rgb.data() + image.offset(x, y);
  return {pixel[0], pixel[1], pixel[2]};
}

/// A mask of the rectangle x0 <= x < x1, y0 <= y < y1.
std::vector<uint8_t> rectangle(const Image& image, int64_t x0, int64_t y0, int64_t x1, int64_t y1) {
  std::vector<uint8_t> mask(static_cast<size_t>(image.width * image.height), 0);
  for (int64_t y = y0; y < y1; ++y) {
    for (int64_t x = x0; x < x1; ++x) mask[static_cast<size_t>(y * image.width + x)] = 1;
  }
  return mask;
}

size_t count_changed(const Image& a, const Image& b) {
  size_t count = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) count += a.rgb[i] != b.rgb[i] ? 1 : 0;
  return count;
}

TEST(DrawInstance, TintsTheInsideAndOutlinesTheEdge) {
  Image image = grey_image(100, 80);
  draw_instance(image, rectangle(image, 20, 20, 70, 60), 20, 20, kRed, "");
  const Color inside = pixel_at(image, 45, 40);
  EXPECT_GT(inside[0], 100);
  EXPECT_LT(inside[1], 100);
  EXPECT_EQ(pixel_at(image, 20, 40), kRed);
  EXPECT_EQ(pixel_at(image, 69, 40), kRed);
  EXPECT_EQ(pixel_at(image, 45, 20), kRed);
  EXPECT_EQ(pixel_at(image, 5, 5), (Color{100, 100, 100}));
}

TEST(DrawInstance, DrawsNoOutlineAtThePicturesBorder) {
  Image image = grey_image(100, 80);
  draw_instance(image, rectangle(image, 0, 0, 100, 80), 0, 0, kRed, "");
  EXPECT_NE(pixel_at(image, 0, 40), kRed);
  EXPECT_EQ(pixel_at(image, 0, 40), pixel_at(image, 50, 40));
}

TEST(DrawInstance, AcceptsAnEmptyMask) {
  Image image = grey_image(100, 80);
  const Image before = image;
  draw_instance(image, rectangle(image, 0, 0, 0, 0), 3, 3, kRed, "");
  EXPECT_TRUE(image.rgb == before.rgb);
}

TEST(DrawInstance, RefusesAMaskOfAnotherSize) {
  Image image = grey_image(10, 10);
  const std::vector<uint8_t> mask(99);
  EXPECT_THROW(draw_instance(image, mask, 0, 0, kRed, ""), Error);
}

TEST(DrawLabel, StaysInsideThePictureWhereverTheCornerLies) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double x : {-1e300, -5.0, 0.0, 90.0, 119.9, 500.0, infinity, -infinity, nan}) {
    for (const double y : {-1e300, 0.0, 5.0, 50.0, 79.9, infinity, nan}) {
      Image image = grey_image(120, 80);
      const Image before = image;
      draw_label(image, x, y, kRed, "dog 0.93");
      // The whole label is there: its box and its letters. 8 letters of 6 pixels, padding 3.
      EXPECT_EQ(count_changed(image, before) % 3, 0U);
      EXPECT_EQ(count_changed(image, before), size_t{(8 * 6 + 3) * 11 * 3}) << x << " " << y;
    }
  }
}

TEST(DrawLabel, StandsAboveTheCornerWhereThereIsRoom) {
  Image image = grey_image(120, 80);
  draw_label(image, 30, 40, kRed, "a");
  EXPECT_EQ(pixel_at(image, 30, 39), kRed);
  EXPECT_EQ(pixel_at(image, 30, 40), (Color{100, 100, 100}));
  Image other = grey_image(120, 80);
  draw_label(other, 30, 4, kRed, "a");
  EXPECT_EQ(pixel_at(other, 30, 3), (Color{100, 100, 100}));
  EXPECT_EQ(pixel_at(other, 30, 4), kRed);
}

TEST(DrawLabel, CutsTextThatIsTooWide) {
  Image image = grey_image(60, 40);
  const Image before = image;
  draw_label(image, 0, 30, kRed, std::string(200, 'W'));
  EXPECT_GT(count_changed(image, before), 0U);
}

TEST(DrawLabel, LeavesTinyPicturesAlone) {
  for (const auto& [width, height] : {std::pair{1, 1}, {4000, 1}, {1, 4000}, {8, 10}}) {
    Image image = grey_image(width, height);
    const Image before = image;
    draw_label(image, 0, 0, kRed, "dog");
    EXPECT_TRUE(image.rgb == before.rgb) << width << "x" << height;
  }
}

TEST(DrawLabel, ShowsAQuestionMarkForOtherCharacters) {
  Image expected = grey_image(120, 80);
  Image image = grey_image(120, 80);
  draw_label(expected, 10, 40, kRed, "a??b?");
  draw_label(image, 10, 40, kRed,
             "a\xC3\xA9"
             "b\n");
  EXPECT_TRUE(image.rgb == expected.rgb);
}

TEST(DrawLabel, GrowsWithThePicture) {
  Image small = grey_image(120, 80);
  Image large = grey_image(1200, 800);
  const Image small_before = small;
  const Image large_before = large;
  draw_label(small, 10, 70, kRed, "dog");
  draw_label(large, 10, 700, kRed, "dog");
  EXPECT_EQ(count_changed(large, large_before), count_changed(small, small_before) * 9);
}

TEST(DrawBox, IsClippedToThePicture) {
  const double infinity = std::numeric_limits<double>::infinity();
  Image image = grey_image(50, 40);
  draw_box(image, {-infinity, -10, infinity, 1e300}, kRed);
  EXPECT_EQ(pixel_at(image, 0, 0), kRed);
  EXPECT_EQ(pixel_at(image, 49, 39), kRed);
  EXPECT_EQ(pixel_at(image, 25, 20), (Color{100, 100, 100}));
  Image other = grey_image(50, 40);
  draw_box(other, {30, 30, 10, 10}, kRed);
  EXPECT_EQ(pixel_at(other, 10, 20), kRed);
  EXPECT_EQ(pixel_at(other, 29, 20), kRed);
  EXPECT_EQ(pixel_at(other, 20, 20), (Color{100, 100, 100}));
}

TEST(Palette, SeparatesTheFirstColours) {
  for (size_t i = 0; i < 10; ++i) {
    for (size_t j = 0; j < i; ++j) {
      double distance = 0.0;
      for (size_t c = 0; c < 3; ++c) {
        distance += std::pow(palette_color(i)[c] - palette_color(j)[c], 2);
      }
      EXPECT_GT(std::sqrt(distance), 80.0) << i << " and " << j;
    }
  }
}

TEST(Palette, HasNoEnd) {
  for (size_t i = 10; i < 200; ++i) EXPECT_NE(palette_color(i), palette_color(i + 1));
  EXPECT_EQ(palette_color(123456), palette_color(123456));
}

TEST(Font, HasADifferentGlyphForEachCharacter) {
  for (char a = ' '; a <= '~'; ++a) {
    for (char b = ' '; b < a; ++b) EXPECT_NE(glyph_of(a), glyph_of(b)) << a << " and " << b;
    for (const uint8_t row : glyph_of(a)) EXPECT_LT(row, 1 << kGlyphWidth) << a;
  }
}

}  // namespace
}  // namespace sam3trt
