#include "image/rle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <string>

#include "base/error.hpp"
#include "picture_files.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<uint8_t> mask_of(const nlohmann::json& entry) {
  const int64_t height = entry["size"][0];
  const int64_t width = entry["size"][1];
  std::vector<uint8_t> mask;
  if (entry.contains("disc")) {
    const auto& disc = entry["disc"];
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        const double distance =
            std::hypot(static_cast<double>(y) - disc["center"][0].get<double>(),
                       static_cast<double>(x) - disc["center"][1].get<double>());
        mask.push_back(distance < disc["radius"].get<double>() ? 255 : 0);
      }
    }
    return mask;
  }
  for (const std::string row : entry["rows"]) {
    for (const char bit : row) mask.push_back(bit == '1' ? 1 : 0);
  }
  return mask;
}

TEST(Rle, EqualsPycocotoolsByteForByte) {
  ASSERT_GE(image_goldens()["rle"].size(), 10U);
  for (const auto& entry : image_goldens()["rle"]) {
    SCOPED_TRACE(entry["counts"].dump());
    const int64_t height = entry["size"][0];
    const int64_t width = entry["size"][1];
    std::vector<uint8_t> mask = mask_of(entry);
    const std::vector<uint32_t> counts = rle_counts(mask, height, width);
    EXPECT_EQ(rle_to_string(counts), entry["counts"].get<std::string>());
    EXPECT_EQ(rle_from_string(entry["counts"].get<std::string>()), counts);
    for (uint8_t& value : mask) value = value != 0 ? 1 : 0;
    EXPECT_EQ(rle_decode(counts, height, width), mask);
    EXPECT_EQ(std::accumulate(mask.begin(), mask.end(), int64_t{0}), entry["area"]);
  }
}

TEST(Rle, CountsColumnsFirstAndStartsWithZeros) {
  // 1 0
  // 1 1
  const std::vector<uint8_t> mask = {1, 0, 1, 1};
  EXPECT_THAT(rle_counts(mask, 2, 2), ElementsAre(0, 2, 1, 1));
  EXPECT_THAT(rle_counts({}, 0, 7), ElementsAre(0));
}

TEST(Rle, HandlesLargeMasks) {
  constexpr int64_t kHeight = 6000;
  constexpr int64_t kWidth = 8000;
  std::vector<uint8_t> mask(static_cast<size_t>(kHeight * kWidth), 0);
  for (size_t i = 0; i < mask.size(); i += 3) mask[i] = 1;
  const std::vector<uint32_t> counts = rle_counts(mask, kHeight, kWidth);
  EXPECT_EQ(rle_from_string(rle_to_string(counts)), counts);
  EXPECT_TRUE(rle_decode(counts, kHeight, kWidth) == mask);
}

TEST(Rle, KeepsRunsOf32Bits) {
  const std::vector<uint32_t> counts = {0xFFFFFFFF, 1, 0, 0xFFFFFFFF, 7, 0};
  EXPECT_EQ(rle_from_string(rle_to_string(counts)), counts);
}

TEST(Rle, RefusesMalformedStrings) {
  for (const char* text : {"P", "0/", "0p", "\xFF", "PPPPPPPPPPPP0", "oooooooo0", "0 0"}) {
    try {
      (void)rle_from_string(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), HasSubstr("run-length string"));
    }
  }
  // A negative run: the fourth is coded as the difference to the second.
  EXPECT_THROW((void)rle_from_string("111N"), Error);
  EXPECT_TRUE(rle_from_string("").empty());
}

TEST(Rle, RefusesRunsThatDoNotFillTheMask) {
  const std::vector<uint32_t> counts = {3, 2};
  EXPECT_EQ(rle_decode(counts, 1, 5), (std::vector<uint8_t>{0, 0, 0, 1, 1}));
  EXPECT_THROW((void)rle_decode(counts, 2, 2), Error);
  EXPECT_THROW((void)rle_decode(counts, 2, 3), Error);
  EXPECT_THROW((void)rle_decode(counts, -1, -5), Error);
  const std::vector<uint32_t> wraps = {0xFFFFFFFF, 6};
  EXPECT_THROW((void)rle_decode(wraps, 1, 5), Error);
}

TEST(Rle, DecodesEmptyRunsOfAnEmptyMask) {
  const std::vector<uint32_t> counts = {0, 0, 0};
  EXPECT_TRUE(rle_decode(counts, 0, 6).empty());
  EXPECT_TRUE(rle_decode(counts, 6, 0).empty());
}

TEST(Rle, RefusesAMaskOfAnotherSize) {
  const std::vector<uint8_t> mask(6);
  EXPECT_THROW((void)rle_counts(mask, 2, 2), Error);
  EXPECT_THROW((void)rle_counts(mask, int64_t{1} << 40, int64_t{1} << 40), Error);
}

TEST(Rle, BoxIsTheFirstAndLastColumnAndRowInside) {
  const auto box_of = [](const std::vector<uint8_t>& mask, int64_t height, int64_t width) {
    return rle_box(rle_counts(mask, height, width), height);
  };
  using Box = std::array<float, 4>;
  EXPECT_EQ(box_of({0, 0, 0, 0, 0, 0}, 2, 3), (Box{}));
  EXPECT_EQ(box_of({1, 1, 1, 1, 1, 1}, 2, 3), (Box{0, 0, 2, 1}));
  EXPECT_EQ(box_of({0, 0, 1, 0, 0, 0}, 2, 3), (Box{2, 0, 2, 0}));
  EXPECT_EQ(box_of({0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 4, 3), (Box{1, 0, 1, 3}));
  // one run from the end of a column into the next one
  EXPECT_EQ(box_of({0, 1, 1, 0}, 2, 2), (Box{0, 0, 1, 1}));
}

TEST(Rle, AreaIsTheSumOfTheRunsInside) {
  EXPECT_EQ(rle_area({}), 0);
  EXPECT_EQ(rle_area(std::vector<uint32_t>{7}), 0);
  EXPECT_EQ(rle_area(std::vector<uint32_t>{0, 3, 2, 4}), 7);
}

TEST(Rle, IntersectionsAreThePixelsInsideBoth) {
  std::mt19937 random(5);
  for (int repeat = 0; repeat < 50; ++repeat) {
    std::vector<uint8_t> a(7 * 11);
    std::vector<uint8_t> b(7 * 11);
    int64_t both = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      a[i] = random() % 3 == 0;
      b[i] = random() % (1 + repeat % 4) == 0;
      both += a[i] & b[i];
    }
    EXPECT_EQ(rle_intersection(rle_counts(a, 7, 11), rle_counts(b, 7, 11)), both);
  }
  EXPECT_EQ(rle_intersection({}, {}), 0);
}

/// Run lengths with empty runs in between, as files may hold them.
std::vector<uint32_t> loosened(const std::vector<uint32_t>& counts) {
  std::vector<uint32_t> loose;
  for (const uint32_t count : counts) {
    loose.insert(loose.end(), {count / 2, 0, count - count / 2});
  }
  loose.insert(loose.end(), {0, 0});
  return loose;
}

TEST(Rle, SubtractsAndUnitesAsPixelsDo) {
  std::mt19937 random(6);
  constexpr int64_t kHeight = 9;
  constexpr int64_t kWidth = 13;
  for (uint32_t repeat = 0; repeat < 200; ++repeat) {
    std::vector<uint8_t> a(kHeight * kWidth);
    std::vector<uint8_t> b(a.size());
    std::vector<uint8_t> less(a.size());
    std::vector<uint8_t> either(a.size());
    for (size_t i = 0; i < a.size(); ++i) {
      a[i] = random() % (1 + repeat % 5) == 0;
      b[i] = random() % (1 + repeat / 5 % 7) == 0;
      less[i] = a[i] != 0 && b[i] == 0;
      either[i] = a[i] != 0 || b[i] != 0;
    }
    const auto counts = [&](const std::vector<uint8_t>& mask) {
      return rle_counts(mask, kHeight, kWidth);
    };
    EXPECT_EQ(rle_subtract(counts(a), counts(b), kHeight, kWidth), counts(less));
    EXPECT_EQ(rle_union(counts(a), counts(b), kHeight, kWidth), counts(either));
    EXPECT_EQ(rle_subtract(loosened(counts(a)), loosened(counts(b)), kHeight, kWidth),
              counts(less));
    EXPECT_EQ(rle_union(loosened(counts(a)), loosened(counts(b)), kHeight, kWidth), counts(either));
  }
  EXPECT_THAT(rle_union({}, {}, 0, 5), ElementsAre(0));
  EXPECT_THAT(rle_subtract({}, {}, 5, 0), ElementsAre(0));
}

// Strings of pycocotools: encode, merge, and merge with the other way round inside.
TEST(Rle, CombinesAsPycocotoolsMerges) {
  const auto a = rle_from_string("111041L42KN41");
  const auto b = rle_from_string("538NK10OO0O");
  EXPECT_EQ(rle_to_string(rle_union(a, b, 6, 5)), "1110020O041LO40");
  EXPECT_EQ(rle_to_string(rle_subtract(a, b, 6, 5)), "111041L20M41L01");
}

TEST(Rle, CombinesOnlyRunsThatFillTheMask) {
  const std::vector<uint32_t> good = {1, 3};
  for (const std::vector<uint32_t>& bad : std::vector<std::vector<uint32_t>>{
           {}, {3}, {1, 4}, {0xFFFFFFFF, 5}, {0xFFFFFFFF, 0xFFFFFFFF, 6}}) {
    EXPECT_THROW((void)rle_subtract(good, bad, 2, 2), Error);
    EXPECT_THROW((void)rle_subtract(bad, good, 2, 2), Error);
    EXPECT_THROW((void)rle_union(good, bad, 2, 2), Error);
    EXPECT_THROW((void)rle_union(bad, good, 2, 2), Error);
  }
  EXPECT_THROW((void)rle_union(good, good, -2, -2), Error);
  EXPECT_THROW((void)rle_union(good, good, int64_t{1} << 40, int64_t{1} << 40), Error);
}

TEST(Rle, BitsGoToRunsAndBack) {
  std::mt19937 random(3);
  for (const auto& [height, width] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {8, 8}, {1, 64}, {64, 2}, {13, 5}, {50, 41}, {1, 65}}) {
    for (const uint32_t share : {0U, 1U, 4U, 7U, 8U}) {
      std::vector<uint8_t> mask(static_cast<size_t>(height * width));
      for (uint8_t& value : mask) value = random() % 8 < share ? 1 : 0;
      const auto counts = rle_counts(mask, height, width);
      const auto bits = rle_bits(counts, height, width);
      for (size_t pixel = 0; pixel < mask.size(); ++pixel) {  // column by column
        const auto row = static_cast<int64_t>(pixel) % height;
        const auto column = static_cast<int64_t>(pixel) / height;
        EXPECT_EQ(bits[pixel / 64] >> pixel % 64 & 1U,
                  mask[static_cast<size_t>(row * width + column)]);
      }
      EXPECT_EQ(rle_of_bits(bits, height, width), counts);
      EXPECT_EQ(rle_bits(rle_of_bits(bits, height, width), height, width), bits);
    }
  }
  EXPECT_THROW((void)rle_bits(std::vector<uint32_t>{3}, 2, 2), Error);
  EXPECT_EQ(rle_bits(std::vector<uint32_t>{1, 0, 1, 2}, 2, 2), std::vector<uint64_t>{12});
  EXPECT_EQ(rle_of_bits(std::vector<uint64_t>{0xFC}, 2, 2), (std::vector<uint32_t>{2, 2}));
}

}  // namespace
}  // namespace sam3trt
