#include "image/palette_png.hpp"

#include <gtest/gtest.h>

#include <array>

#include "base/error.hpp"
#include "image/image.hpp"

namespace sam3trt {
namespace {

TEST(PalettePng, HasTheColoursOfDavis) {
  std::vector<uint8_t> indices(256);
  for (size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<uint8_t>(i);
  const Image image = decode_image(encode_palette_png(indices, 16, 16), "p");
  const auto colour = [&](int64_t index) {
    const uint8_t* at = image.rgb.data() + 3 * index;
    return std::array<int, 3>{at[0], at[1], at[2]};
  };
  EXPECT_EQ(colour(0), (std::array<int, 3>{0, 0, 0}));
  EXPECT_EQ(colour(1), (std::array<int, 3>{128, 0, 0}));
  EXPECT_EQ(colour(2), (std::array<int, 3>{0, 128, 0}));
  EXPECT_EQ(colour(3), (std::array<int, 3>{128, 128, 0}));
  EXPECT_EQ(colour(8), (std::array<int, 3>{64, 0, 0}));
  EXPECT_EQ(colour(255), (std::array<int, 3>{224, 224, 192}));
}

TEST(PalettePng, IsRefusedForABufferOfAnotherSize) {
  const std::vector<uint8_t> indices(6);
  EXPECT_THROW(static_cast<void>(encode_palette_png(indices, 4, 2)), Error);
  EXPECT_THROW(static_cast<void>(encode_palette_png({}, 0, 0)), Error);
}

}  // namespace
}  // namespace sam3trt
