#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "base/error.hpp"
#include "image/decoders.hpp"
#include "image/exif.hpp"
#include "image/image.hpp"
#include "picture_files.hpp"

namespace sam3trt {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

std::string message_of_file(const std::string& bytes) {
  return message_of([&] { (void)decode_image(bytes_of(bytes), "street.pic"); });
}

TEST(DecodeImage, GivesExactlyThePixelsOfPillow) {
  ASSERT_GE(image_goldens()["decode"].size(), 50U);
  for (const std::string name : image_goldens()["decode"]) {
    SCOPED_TRACE(name);
    const Image image = read_image(kImageData / name);
    const Image expected =
        read_ppm(kImageData / std::filesystem::path(name).replace_extension(".ppm"));
    ASSERT_EQ(image.width, expected.width);
    ASSERT_EQ(image.height, expected.height);
    EXPECT_TRUE(image.rgb == expected.rgb);
  }
}

TEST(DecodeImage, RefusesEveryTruncatedFile) {
  for (const std::string name : image_goldens()["decode"]) {
    const std::string bytes = read_text(kImageData / name);
    // Every length near the ends, every seventh between.
    for (size_t size = 0; size < bytes.size();
         size += size < 64 || size + 64 > bytes.size() ? 1 : 7) {
      const std::string part = bytes.substr(0, size);
      EXPECT_THROW((void)decode_image(bytes_of(part), name), Error)
          << name << " cut to " << size << " of " << bytes.size();
    }
  }
}

TEST(DecodeImage, GivesAPictureOrAnErrorForDamagedFiles) {
  for (const std::string name : image_goldens()["decode"]) {
    const std::string bytes = read_text(kImageData / name);
    for (size_t i = 0; i < bytes.size(); i += 3) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
      try {
        const Image image = decode_image(bytes_of(damaged), name, int64_t{1} << 20);
        EXPECT_EQ(image.rgb.size(), static_cast<size_t>(image.width * image.height) * 3);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kBadInput);
        EXPECT_THAT(error.what(), HasSubstr(name));
      }
    }
  }
}

TEST(DecodeImage, NamesTheFileTheFormatAndTheReason) {
  const std::string jpeg = read_text(kImageData / "jpeg_420.jpg");
  EXPECT_THAT(message_of_file(jpeg.substr(0, jpeg.size() / 2)),
              AllOf(HasSubstr("street.pic"), HasSubstr("JPEG"), HasSubstr("Premature end")));
  std::string png = read_text(kImageData / "png_rgb.png");
  EXPECT_THAT(message_of_file(png.substr(0, png.size() / 2)),
              AllOf(HasSubstr("street.pic"), HasSubstr("PNG"), HasSubstr("ends too early")));
  png[png.size() - 20] ^= 1;
  EXPECT_THAT(message_of_file(png), AllOf(HasSubstr("PNG"), HasSubstr("IDAT")));
  const std::string webp = read_text(kImageData / "webp_lossy.webp");
  EXPECT_THAT(message_of_file(webp.substr(0, webp.size() / 2)),
              AllOf(HasSubstr("WebP"), HasSubstr("ends too early")));
  const std::string bmp = read_text(kImageData / "bmp_24.bmp");
  EXPECT_THAT(message_of_file(bmp.substr(0, bmp.size() - 1)),
              AllOf(HasSubstr("BMP"), HasSubstr("ends too early")));
}

TEST(DecodeImage, RefusesOtherFormatsByName) {
  EXPECT_THAT(message_of_file(""), AllOf(HasSubstr("0 bytes"), HasSubstr("expected JPEG, PNG")));
  EXPECT_THAT(message_of([] { (void)read_image(kImageData / "refused_gif.gif"); }),
              HasSubstr("expected JPEG, PNG, WebP or BMP"));
  EXPECT_THAT(message_of([] { (void)read_image(kImageData / "refused_animated.webp"); }),
              HasSubstr("animated"));
  EXPECT_THAT(message_of([] { (void)read_image(kImageData / "refused_rle.bmp"); }),
              HasSubstr("compression 1"));
  EXPECT_THAT(message_of([] { (void)read_image(kImageData / "absent.png"); }),
              HasSubstr("absent.png"));
}

/// The header of a 24-bit BMP of any size, with one pixel of data.
std::string bmp_of_size(uint32_t width, uint32_t height) {
  std::string bytes = read_text(kImageData / "bmp_1x1.bmp");
  for (size_t i = 0; i < 4; ++i) {
    bytes[18 + i] = static_cast<char>(width >> (8 * i));
    bytes[22 + i] = static_cast<char>(height >> (8 * i));
  }
  return bytes;
}

TEST(DecodeImage, RefusesImpossibleSizesBeforeTakingMemory) {
  EXPECT_THAT(message_of_file(bmp_of_size(16000, 16000)), HasSubstr("too short for 16000x16000"));
  EXPECT_THAT(message_of_file(bmp_of_size(0x7FFFFFFF, 0x7FFFFFFF)),
              AllOf(HasSubstr("2147483647x2147483647"), HasSubstr("too large")));
  EXPECT_THAT(message_of_file(bmp_of_size(0, 5)), HasSubstr("0x5"));
  EXPECT_THAT(message_of_file(bmp_of_size(0xFFFFFFFF, 5)), HasSubstr("-1x5"));
  EXPECT_THAT(message_of_file(bmp_of_size(1, 0x80000000)), HasSubstr("1x2147483648"));
}

TEST(DecodeImage, RefusesMorePixelsThanAllowed) {
  const std::string bytes = read_text(kImageData / "jpeg_420.jpg");
  EXPECT_THAT(message_of([&] { (void)decode_image(bytes_of(bytes), "a.jpg", 37 * 48 - 1); }),
              HasSubstr("at most 1775 pixels"));
  EXPECT_EQ(decode_image(bytes_of(bytes), "a.jpg", 37 * 48).width, 37);
}

TEST(DecodeImage, ReadsExtremeSizes) {
  for (const auto& [width, height] : {std::pair{1, 4000}, {4000, 1}, {8000, 6000}}) {
    Image image{width, height, {}};
    image.rgb.assign(static_cast<size_t>(width) * static_cast<size_t>(height) * 3, 9);
    image.rgb.back() = 200;
    const std::vector<std::byte> bytes = encode_png(image);
    const Image again = decode_image(bytes, "extreme.png");
    EXPECT_EQ(again.width, width);
    EXPECT_EQ(again.height, height);
    EXPECT_TRUE(again.rgb == image.rgb);
  }
}

TEST(ExifOrientation, IsOneForAnythingDamaged) {
  const std::string block("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0", 26);
  EXPECT_EQ(exif_orientation(bytes_of(block)), 6);
  for (size_t size = 0; size < 22; ++size) {
    EXPECT_EQ(exif_orientation(bytes_of(block).first(size)), 1) << size;
  }
  std::string changed = block;
  changed[18] = 9;  // no such orientation
  EXPECT_EQ(exif_orientation(bytes_of(changed)), 1);
  changed = block;
  changed[12] = 4;  // a 32-bit number
  EXPECT_EQ(exif_orientation(bytes_of(changed)), 6);
  changed[14] = 2;  // a list of two
  EXPECT_EQ(exif_orientation(bytes_of(changed)), 1);
  changed = block;
  changed[7] = '\x7F';  // directory past the end
  EXPECT_EQ(exif_orientation(bytes_of(changed)), 1);
  changed = block;
  changed[0] = 'X';
  EXPECT_EQ(exif_orientation(bytes_of(changed)), 1);
}

TEST(EncodePng, IsDeterministicAndLossless) {
  const Image image = read_image(kImageData / "jpeg_444.jpg");
  const std::vector<std::byte> bytes = encode_png(image);
  EXPECT_TRUE(decode_image(bytes, "again.png").rgb == image.rgb);
  EXPECT_TRUE(encode_png(image) == bytes);
}

TEST(EncodePng, RefusesAnEmptyPicture) { EXPECT_THROW((void)encode_png(Image{}), Error); }

}  // namespace
}  // namespace sam3trt
