#include "overlay/overlay.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "image/rle.hpp"
#include "overlay/label_places.hpp"
#include "overlay/mask_shape.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;

constexpr Color kRed = {255, 0, 0};
constexpr uint8_t kGrey = 100;

Image grey_image(int64_t width, int64_t height) {
  Image image{width, height, {}};
  image.rgb.assign(static_cast<size_t>(width * height) * 3, kGrey);
  return image;
}

Color pixel_at(const Image& image, int64_t x, int64_t y) {
  const uint8_t* pixel = image.rgb.data() + image.offset(x, y);
  return {pixel[0], pixel[1], pixel[2]};
}

std::vector<uint32_t> counts_of(const Image& image,
                                const std::function<bool(int64_t, int64_t)>& is_inside) {
  std::vector<uint8_t> mask;
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) mask.push_back(is_inside(x, y) ? 1 : 0);
  }
  return rle_counts(mask, image.height, image.width);
}

/// The rectangle x0 <= x < x1, y0 <= y < y1.
std::vector<uint32_t> rectangle(const Image& image, int64_t x0, int64_t y0, int64_t x1,
                                int64_t y1) {
  return counts_of(image,
                   [&](int64_t x, int64_t y) { return x >= x0 && x < x1 && y >= y0 && y < y1; });
}

/// The bounds of the pixels that differ; nothing when none does.
Area changed_area(const Image& a, const Image& b) {
  Area area{1e9, 1e9, 0, 0};
  for (int64_t y = 0; y < a.height; ++y) {
    for (int64_t x = 0; x < a.width; ++x) {
      if (pixel_at(a, x, y) == pixel_at(b, x, y)) continue;
      area = {std::min(area.x0, static_cast<double>(x)), std::min(area.y0, static_cast<double>(y)),
              std::max(area.x1, static_cast<double>(x + 1)),
              std::max(area.y1, static_cast<double>(y + 1))};
    }
  }
  return area;
}

/// Draws one label for an empty mask.
Image with_label(Image image, const std::array<double, 4>& box, const std::string& label,
                 const OverlayOptions& options = {}) {
  const auto counts = rectangle(image, 0, 0, 0, 0);
  const std::vector<OverlayInstance> instances = {{counts, box, kRed, label}};
  draw_overlay(image, instances, {}, options);
  return image;
}

TEST(DrawOverlay, TintsTheInsideAndOutlinesTheEdge) {
  Image image = grey_image(200, 160);
  const auto counts = rectangle(image, 40, 40, 140, 120);
  const std::vector<OverlayInstance> instances = {{counts, {40, 40, 140, 120}, kRed, ""}};
  draw_overlay(image, instances, {});
  EXPECT_EQ(pixel_at(image, 90, 80), (Color{170, 55, 55}));  // 0.45 red, the rest grey
  for (const auto& [x, y] : {std::pair{40, 80}, {139, 80}, {90, 40}, {90, 119}}) {
    EXPECT_GT(pixel_at(image, x, y)[0], 230) << x << " " << y;
  }
  EXPECT_EQ(pixel_at(image, 10, 10), (Color{kGrey, kGrey, kGrey}));
  EXPECT_EQ(pixel_at(image, 145, 80), (Color{kGrey, kGrey, kGrey}));
}

TEST(DrawOverlay, LeavesHolesAndEmptyMasksAlone) {
  Image image = grey_image(200, 160);
  const auto ring = counts_of(image, [](int64_t x, int64_t y) {
    const double distance = std::hypot(static_cast<double>(x) - 100, static_cast<double>(y) - 80);
    return distance < 60 && distance > 30;
  });
  const auto empty = rectangle(image, 0, 0, 0, 0);
  const std::vector<OverlayInstance> instances = {{ring, {}, kRed, ""}, {empty, {}, kRed, ""}};
  draw_overlay(image, instances, {});
  EXPECT_EQ(pixel_at(image, 100, 80), (Color{kGrey, kGrey, kGrey}));
  EXPECT_EQ(pixel_at(image, 145, 80), (Color{170, 55, 55}));
  EXPECT_GT(pixel_at(image, 130, 80)[0], 220);  // the hole is outlined too
}

TEST(DrawOverlay, RefusesRunLengthsOfAnotherSize) {
  Image image = grey_image(10, 10);
  for (const std::vector<uint32_t>& counts :
       {std::vector<uint32_t>{99}, {50, 51}, {}, {4'000'000'000, 4'000'000'000}}) {
    const std::vector<OverlayInstance> instances = {{counts, {}, kRed, ""}};
    EXPECT_THROW(draw_overlay(image, instances, {}), Error);
  }
}

TEST(DrawOverlay, DrawsMasksAsRaggedAsNoise) {
  Image image = grey_image(700, 500);
  const auto counts = counts_of(image, [](int64_t x, int64_t y) { return (x + y) % 2 == 0; });
  const std::vector<OverlayInstance> instances = {{counts, {0, 0, 700, 500}, kRed, "noise"}};
  draw_overlay(image, instances, {});
  EXPECT_EQ(pixel_at(image, 350, 250), kRed);
  EXPECT_EQ(pixel_at(image, 351, 250), (Color{kGrey, kGrey, kGrey}));
}

TEST(DrawOverlay, KeepsLabelsInsideTheImageWhereverTheBoxLies) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Image before = grey_image(240, 160);
  const Area usual = changed_area(with_label(before, {50, 80, 90, 120}, "dog 0.93"), before);
  for (const double x : {-1e300, -5.0, 0.0, 180.0, 239.9, 500.0, infinity, -infinity, nan}) {
    for (const double y : {-1e300, 0.0, 5.0, 100.0, 159.9, infinity, nan}) {
      const Area area =
          changed_area(with_label(before, {x, y, x + 20, y + 20}, "dog 0.93"), before);
      EXPECT_EQ(area.x1 - area.x0, usual.x1 - usual.x0) << x << " " << y;
      EXPECT_EQ(area.y1 - area.y0, usual.y1 - usual.y0) << x << " " << y;
    }
  }
}

TEST(DrawOverlay, PutsALabelAboveItsBoxWhereThereIsRoom) {
  const Image before = grey_image(240, 160);
  const Area above = changed_area(with_label(before, {60, 80, 100, 120}, "dog"), before);
  EXPECT_EQ(above.x0, 60);
  EXPECT_EQ(above.y1, 80);
  const Area below = changed_area(with_label(before, {60, 2, 100, 120}, "dog"), before);
  EXPECT_EQ(below.y0, 0);
}

TEST(DrawOverlay, ShortensTextThatIsTooWide) {
  const Image before = grey_image(120, 80);
  for (const bool built_in : {false, true}) {
    const Image drawn =
        with_label(before, {0, 40, 10, 50}, std::string(300, 'W'), {0.45, built_in});
    const Area area = changed_area(drawn, before);
    EXPECT_GT(area.x1 - area.x0, 60);
    EXPECT_LT(area.y1 - area.y0, 40);
  }
}

TEST(DrawOverlay, GivesTinyImagesNoLabels) {
  for (const auto& [width, height] : {std::pair{1, 1}, {4000, 1}, {1, 4000}, {6, 8}}) {
    const Image before = grey_image(width, height);
    EXPECT_TRUE(with_label(before, {0, 0, 1, 1}, "dog").rgb == before.rgb)
        << width << "x" << height;
  }
}

TEST(DrawOverlay, ShowsOneMarkForEachCharacterWithoutAFont) {
  const Image before = grey_image(240, 80);
  const OverlayOptions built_in{0.45, true};
  const auto drawn = [&](const char* text) {
    return with_label(before, {10, 40, 50, 60}, text, built_in).rgb;
  };
  EXPECT_EQ(drawn("caf\xC3\xA9 \xE7\xBA\xA2"), drawn("caf? ?"));
  EXPECT_NE(drawn("cafe"), drawn("caff"));
}

TEST(DrawOverlay, TakesTheBuiltInLettersWhereNoFontIsInstalled) {
  // A process of its own, because fonts are looked for once.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto draw_without_fonts = [] {
    const std::string folder = testing::TempDir() + "no_fonts";
    const std::string file = folder + ".conf";
    std::ofstream(file) << "<?xml version=\"1.0\"?><!DOCTYPE fontconfig SYSTEM \"fonts.dtd\">"
                        << "<fontconfig><dir>" << folder << "</dir><cachedir>" << folder
                        << "</cachedir></fontconfig>";
    ::setenv("FONTCONFIG_FILE", file.c_str(), 1);
    const Image before = grey_image(240, 80);
    const Image drawn = with_label(before, {10, 40, 50, 60}, "caf\xC3\xA9 0.93");
    const Image built_in = with_label(before, {10, 40, 50, 60}, "caf? 0.93", {0.45, true});
    std::exit(drawn.rgb == built_in.rgb ? 0 : 1);
  };
  EXPECT_EXIT(draw_without_fonts(), testing::ExitedWithCode(0), "");
}

TEST(DrawOverlay, ShowsLettersOfOtherScriptsAndSurvivesAnyBytes) {
  const Image before = grey_image(400, 120);
  const auto drawn = [&](const std::string& text) {
    return with_label(before, {10, 60, 50, 80}, text).rgb;
  };
  EXPECT_NE(drawn("caf\xC3\xA9"), drawn("cafe"));
  EXPECT_NE(drawn("\xE7\xBA\xA2"), drawn("\xE8\x93\x9D"));  // two Chinese characters
  for (const char* text : {"a\nb", "\xFF\xFE", "\xC3", "<b>&amp;</b>", "%s%n",
                           "\xE2\x80\xAE"
                           "abc"}) {
    EXPECT_NE(drawn(text), before.rgb) << text;
  }
}

TEST(DrawOverlay, DrawsPartsOfImagesLargerThanASurface) {
  Image image = grey_image(40000, 30);
  const auto counts = rectangle(image, 39000, 5, 39900, 25);
  const std::vector<OverlayInstance> instances = {{counts, {39000, 5, 39900, 25}, kRed, "far"}};
  const std::vector<OverlayBox> boxes = {{{8000, 2, 9000, 28}, kRed}};
  draw_overlay(image, instances, boxes);
  EXPECT_EQ(pixel_at(image, 39700, 20), (Color{170, 55, 55}));
  EXPECT_EQ(pixel_at(image, 8500, 2), kRed);  // over the border between two parts, at 8192
  EXPECT_EQ(pixel_at(image, 8100, 2), kRed);
}

TEST(DrawOverlay, ClipsBoxesToTheImage) {
  const double infinity = std::numeric_limits<double>::infinity();
  Image image = grey_image(50, 40);
  const std::vector<OverlayBox> whole = {{{-infinity, -10, infinity, 1e300}, kRed}};
  draw_overlay(image, {}, whole);
  EXPECT_EQ(pixel_at(image, 0, 0), kRed);
  EXPECT_EQ(pixel_at(image, 49, 39), kRed);
  EXPECT_EQ(pixel_at(image, 25, 20), (Color{kGrey, kGrey, kGrey}));
}

TEST(DrawOverlay, GivesTheSamePixelsInThreads) {
  const Image expected = with_label(grey_image(300, 200), {50, 80, 90, 120}, "caf\xC3\xA9 0.93");
  std::vector<Image> images(4, grey_image(300, 200));
  std::vector<std::thread> threads;
  for (Image& image : images) {
    threads.emplace_back([&image] {
      image = with_label(image, {50, 80, 90, 120}, "caf\xC3\xA9 0.93");
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Image& image : images) EXPECT_TRUE(image.rgb == expected.rgb);
}

TEST(LabelPlaces, DoNotOverlapWhereThereIsRoom) {
  LabelPlaces places(1000, 600);
  std::vector<Area> taken;
  for (int i = 0; i < 40; ++i) {
    const auto area = places.take({400, 250, 600, 350}, 150, 24);
    ASSERT_TRUE(area.has_value());
    EXPECT_GE(area->x0, 0);
    EXPECT_GE(area->y0, 0);
    EXPECT_LE(area->x1, 1000);
    EXPECT_LE(area->y1, 600);
    for (const Area& other : taken) {
      EXPECT_TRUE(area->x0 >= other.x1 || area->x1 <= other.x0 || area->y0 >= other.y1 ||
                  area->y1 <= other.y0)
          << i;
    }
    taken.push_back(*area);
  }
}

TEST(LabelPlaces, HideLittleWhereThereIsNone) {
  LabelPlaces places(100, 30);
  EXPECT_TRUE(places.take({0, 0, 10, 10}, 90, 25).has_value());
  EXPECT_TRUE(places.take({0, 0, 10, 10}, 90, 25).has_value());
  EXPECT_FALSE(places.take({0, 0, 10, 10}, 101, 25).has_value());
}

TEST(TraceContours, FollowTheMaskWithinAPixel) {
  const Image image = grey_image(90, 70);
  const auto counts = counts_of(image, [](int64_t x, int64_t y) {
    return std::hypot(static_cast<double>(x) + 0.5 - 45, static_cast<double>(y) + 0.5 - 35) < 30;
  });
  const auto contours = trace_contours(make_mask_shape(counts, 90, 70), 10'000);
  ASSERT_EQ(contours.size(), 1U);
  EXPECT_LT(contours[0].size(), 80U);
  double area = 0.0;
  for (size_t i = 0; i < contours[0].size(); ++i) {
    const Point& a = contours[0][i];
    const Point& b = contours[0][(i + 1) % contours[0].size()];
    area += (a.x * b.y - b.x * a.y) / 2.0;
    EXPECT_NEAR(std::hypot(a.x - 45, a.y - 35), 30, 1.0);
  }
  EXPECT_NEAR(area, 2827.0, 60.0);  // 30 * 30 * pi
}

TEST(TraceContours, GoAroundHolesAndPartsThatTouchAtACorner) {
  const Image image = grey_image(9, 9);
  const auto ring = counts_of(image, [](int64_t x, int64_t y) {
    return x >= 1 && x < 8 && y >= 1 && y < 8 && !(x >= 3 && x < 6 && y >= 3 && y < 6);
  });
  EXPECT_EQ(trace_contours(make_mask_shape(ring, 9, 9), 1000).size(), 2U);
  const auto corners = counts_of(image, [](int64_t x, int64_t y) { return (x < 4) == (y < 4); });
  EXPECT_EQ(trace_contours(make_mask_shape(corners, 9, 9), 1000).size(), 2U);
  const auto checkers = counts_of(image, [](int64_t x, int64_t y) { return (x + y) % 2 == 0; });
  EXPECT_TRUE(trace_contours(make_mask_shape(checkers, 9, 9), 20).empty());
  const auto whole = rectangle(image, 0, 0, 9, 9);
  EXPECT_EQ(trace_contours(make_mask_shape(whole, 9, 9), 1000).size(), 1U);
}

TEST(MaskShape, HoldsWhatTheRunLengthsSay) {
  const Image image = grey_image(77, 45);
  const auto is_inside = [](int64_t x, int64_t y) { return x > 5 && y > 3 && (x * y + x) % 7 < 4; };
  const auto counts = counts_of(image, is_inside);
  const MaskShape shape = make_mask_shape(counts, 77, 45);
  const auto mask = rle_decode(counts, 45, 77);
  for (int64_t y = 0; y < shape.height; ++y) {
    for (int64_t x = 0; x < shape.width; ++x) {
      ASSERT_EQ(shape.row(y)[x], mask[static_cast<size_t>((shape.y0 + y) * 77 + shape.x0 + x)]);
    }
  }
  EXPECT_EQ(make_mask_shape(rectangle(image, 0, 0, 0, 0), 77, 45).width, 0);
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

TEST(Palette, VariesAColourForTheInstancesOfAConcept) {
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(shade_of(palette_color(i), 0), palette_color(i));
    for (size_t j = 1; j < 6; ++j) {
      EXPECT_NE(shade_of(palette_color(i), j), shade_of(palette_color(i), j - 1));
    }
  }
}

}  // namespace
}  // namespace sam3trt
