#include "image/encode.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "base/error.hpp"
#include "picture_files.hpp"

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::HasSubstr;

double mean_difference(const Image& a, const Image& b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(a.rgb[i] - b.rgb[i]);
  return sum / static_cast<double>(a.rgb.size());
}

TEST(EncodeImage, WritesTheFormatOfTheExtension) {
  const Image image = read_image(kImageData / "jpeg_444.jpg");
  EXPECT_TRUE(decode_image(encode_image(".png", image), "a").rgb == image.rgb);
  EXPECT_TRUE(decode_image(encode_image(".PNG", image), "a").rgb == image.rgb);
  for (const char* extension : {".jpg", ".JPEG", ".webp"}) {
    const auto bytes = encode_image(extension, image);
    EXPECT_LT(bytes.size(), image.rgb.size());
    const Image again = decode_image(bytes, "a");
    ASSERT_EQ(again.rgb.size(), image.rgb.size());
    EXPECT_LT(mean_difference(again, image), 5.0) << extension;
    EXPECT_TRUE(encode_image(extension, image) == bytes) << extension;
  }
  EXPECT_EQ(static_cast<int>(encode_image(".jpg", image)[0]), 0xFF);
  EXPECT_EQ(static_cast<char>(encode_image(".webp", image)[8]), 'W');
}

TEST(EncodeImage, NamesTheExtensionsForAnother) {
  EXPECT_TRUE(is_writable_extension(".JpG"));
  for (const char* extension : {"", "png", ".bmp", ".gif", ".jpg "}) {
    EXPECT_FALSE(is_writable_extension(extension)) << extension;
  }
  try {
    (void)encode_image(".bmp", Image{1, 1, {1, 2, 3}});
    FAIL() << "no error was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), AllOf(HasSubstr(".bmp"), HasSubstr(".png, .jpg, .jpeg or .webp")));
  }
}

TEST(EncodeImage, RefusesSizesThatTheFormatCannotHold) {
  const Image wide{16384, 1, std::vector<uint8_t>(16384 * 3, 5)};
  EXPECT_THROW((void)encode_image(".webp", wide), Error);
  EXPECT_EQ(decode_image(encode_image(".jpg", wide), "a").width, 16384);
  const Image wider{65536, 1, std::vector<uint8_t>(65536 * 3, 5)};
  EXPECT_THROW((void)encode_image(".jpg", wider), Error);
  EXPECT_THROW((void)encode_image(".jpg", Image{}), Error);
  EXPECT_THROW((void)encode_image(".jpg", Image{2, 2, {1, 2, 3}}), Error);
}

}  // namespace
}  // namespace sam3trt
