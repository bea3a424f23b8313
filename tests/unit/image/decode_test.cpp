#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "image/decoders.hpp"
#include "image/image.hpp"
#include "image/orientation.hpp"
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

/// Equal pixels, or the same upright image turned otherwise: the mark may be what was cut off.
bool turned_alike(const Image& image, const Image& whole) {
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const Image turned = apply_orientation(image, orientation);
    if (turned.width == whole.width && turned.rgb == whole.rgb) return true;
  }
  return false;
}

TEST(DecodeImage, GivesExactlyThePixelsOfPillow) {
  ASSERT_GE(decode_goldens()["decode"].size(), 190U);
  for (const std::string name : decode_goldens()["decode"]) {
    SCOPED_TRACE(name);
    const Image image = read_image(kImageData / name);
    const Image expected =
        read_ppm(kImageData / std::filesystem::path(name).replace_extension(".ppm"));
    ASSERT_EQ(image.width, expected.width);
    ASSERT_EQ(image.height, expected.height);
    EXPECT_TRUE(image.rgb == expected.rgb);
  }
}

/// How many bytes at the end of a file may be cut off without the loss of a pixel.
size_t spare_bytes(const std::string& name, const std::string& bytes) {
  if (name.ends_with(".png")) return bytes.size() - bytes.rfind("IDAT");
  // The end mark; pages and frames behind the first; TIFF's tags and AVIF's other frames.
  if (name.ends_with(".gif") || name.ends_with(".tif") || name.ends_with(".avif")) {
    return bytes.size();
  }
  if (name.starts_with("bmp_rle")) return 4;  // the end mark and filling
  return name == "jpeg_trailing_bytes.jpg" ? 11 : 0;
}

TEST(DecodeImage, GivesAllPixelsOfATruncatedFileOrRefusesIt) {
  for (const std::string name : decode_goldens()["decode"]) {
    const std::string bytes = read_text(kImageData / name);
    const Image whole = decode_image(bytes_of(bytes), name);
    const size_t spare = spare_bytes(name, bytes);
    // Every length near the ends, every seventh between.
    for (size_t size = 0; size < bytes.size();
         size += size < 64 || size + 64 > bytes.size() ? 1 : 7) {
      const std::string part = bytes.substr(0, size);
      try {
        const Image image = decode_image(bytes_of(part), name);
        EXPECT_GE(size + spare, bytes.size()) << name << " cut to " << size;
        EXPECT_EQ(image.rgb.size(), whole.rgb.size()) << name << " cut to " << size;
        EXPECT_TRUE(turned_alike(image, whole)) << name << " cut to " << size;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      }
    }
  }
}

TEST(DecodeImage, ReadsPngOnlyWithAllItsPixelData) {
  const std::string bytes = read_text(kImageData / "png_rgb.png");
  const size_t data = bytes.find("IDAT") + 4;
  const size_t end = bytes.size() - 16;  // of the pixel data: a checksum and IEND follow
  ASSERT_LT(data, end);
  const Image whole = decode_image(bytes_of(bytes), "whole.png");
  for (size_t size = data; size < end; ++size) {
    EXPECT_THROW((void)decode_image(bytes_of(bytes.substr(0, size)), "cut.png"), Error) << size;
  }
  for (size_t size = end; size < bytes.size(); ++size) {
    EXPECT_TRUE(decode_image(bytes_of(bytes.substr(0, size)), "cut.png").rgb == whole.rgb) << size;
  }
}

TEST(DecodeImage, GivesAPictureOrAnErrorForDamagedFiles) {
  for (const std::string name : decode_goldens()["decode"]) {
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

TEST(DecodeImage, RefusesByReasonWhatItsFormatAllows) {
  const auto message_of_golden = [](const std::string& name) {
    return message_of([&] { (void)read_image(kImageData / name); });
  };
  EXPECT_THAT(message_of_golden("refused_float.tif"),
              AllOf(HasSubstr("TIFF"), HasSubstr("floating point"), HasSubstr("save it as")));
  EXPECT_THAT(message_of_golden("refused_32_bits.tif"), HasSubstr("32 bits per sample"));
  EXPECT_THAT(message_of_golden("refused_lab.tif"), HasSubstr("colour space 8"));
  EXPECT_THAT(message_of_golden("refused_12_bits.jpg"), AllOf(HasSubstr("JPEG"), HasSubstr("12")));
  EXPECT_THAT(message_of_golden("refused_bmp_jpeg.bmp"), HasSubstr("compression 4"));
  EXPECT_THAT(message_of_golden("absent.png"), HasSubstr("absent.png"));
  for (const std::string name : decode_goldens()["refused"]) {
    EXPECT_THROW((void)read_image(kImageData / name), Error) << name;
  }
}

TEST(DecodeImage, NamesOtherKindsOfFilesAndTheWayOut) {
  using namespace std::string_literals;
  const std::vector<std::array<std::string, 3>> cases = {
      {"8BPS\0\1"s, "Photoshop", "save it as PNG"},
      {"<?xml version=\"1.0\"?>\n<svg width=\"3\">", "SVG", "PNG"},
      {"  <SVG xmlns=\"x\">", "SVG", "PNG"},
      {"\xFF\x0A\x01"s, "JPEG XL", "PNG"},
      {"\0\0\0\x0CJXL \r\n\x87\n"s, "JPEG XL", "PNG"},
      {"\0\0\0\x0CjP  \r\n\x87\n"s, "JPEG 2000", "PNG"},
      {"%PDF-1.7", "PDF", "page"},
      {"\0\0\0\x18"
       "ftypisom\0\0\2\0isomiso2"s,
       "video", "ffmpeg"},
      {"\0\0\0\x14"
       "ftypqt  \0\0\2\0qt  "s,
       "video", "ffmpeg"},
      {"\x1A\x45\xDF\xA3"s, "WebM", "ffmpeg"},
      {"RIFF\0\0\0\0AVI LIST"s, "AVI", "ffmpeg"},
      {"\xEF\xBB\xBF\r\n<!DOCTYPE html>", "HTML page", "the image itself"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS", "git lfs pull"},
      {"{\"error\": \"Repository not found\"}", "JSON", "the image itself"},
      {"P6\n3 2\n255\n", "Netpbm", "PNG"},
      {"PK\3\4", "ZIP", "unpack"},
      {"a.png\nb.png\n", "text file", "name an image"},
      {"\0\0\1\0\1\0"s, "icon", "PNG"},
      {std::string(128, '\0') + "DICM", "DICOM", "PNG"},
      {"\1\2\3\4", "4 bytes", "expected JPEG, PNG, WebP, GIF, TIFF, AVIF, HEIC or BMP"},
      {"", "empty", "expected JPEG"},
  };
  for (const auto& [bytes, what, way_out] : cases) {
    EXPECT_THAT(message_of_file(bytes),
                AllOf(HasSubstr("street.pic"), HasSubstr(what), HasSubstr(way_out)));
  }
}

TEST(DecodeImage, ReadsHeicAsLibheifDoesOrSaysHowToReadIt) {
  for (const std::string name : {"heic_plain", "heic_orientation6"}) {
    Image image;
    try {
      image = read_image(kImageData / (name + ".heic"));
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("libheif-plugin-libde265"));
      continue;
    }
    const Image expected = read_ppm(kImageData / (name + ".ppm"));
    ASSERT_EQ(image.width, expected.width);
    ASSERT_EQ(image.height, expected.height);
    double sum = 0.0;
    for (size_t i = 0; i < image.rgb.size(); ++i) sum += std::abs(image.rgb[i] - expected.rgb[i]);
    // Versions of libheif spread colours of halved resolution differently.
    EXPECT_LT(sum / static_cast<double>(image.rgb.size()), 3.0) << name;
  }
}

TEST(DecodeImage, GoesByContentNotByName) {
  const std::string bytes = read_text(kImageData / "gif_64.gif");
  EXPECT_TRUE(decode_image(bytes_of(bytes), "photo.jpg").rgb ==
              read_ppm(kImageData / "gif_64.ppm").rgb);
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
              AllOf(HasSubstr("2147483647x2147483647"), HasSubstr("too long")));
  EXPECT_THAT(message_of_file(bmp_of_size(0, 5)), HasSubstr("0x5"));
  EXPECT_THAT(message_of_file(bmp_of_size(0xFFFFFFFF, 5)), HasSubstr("-1x5"));
  EXPECT_THAT(message_of_file(bmp_of_size(1, 0x80000000)), HasSubstr("1x2147483648"));
}

TEST(DecodeImage, RefusesASideThatIsTooLong) {
  EXPECT_THAT(
      message_of_file(bmp_of_size(1 << 28, 1)),
      AllOf(HasSubstr("268435456x1"), HasSubstr("at most 65536 pixels"), HasSubstr("cut it")));
  EXPECT_THAT(message_of_file(bmp_of_size(1, 65537)), HasSubstr("at most 65536 pixels"));
  Image longest{65536, 1, std::vector<uint8_t>(65536 * 3, 7)};
  EXPECT_EQ(decode_image(encode_png(longest), "longest.png").width, 65536);
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

TEST(ExifOrientation, IsNothingForDamageAndOneForWhatIsNoOrientation) {
  const std::string block("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0", 26);
  EXPECT_EQ(exif_orientation(bytes_of(block)), 6);
  EXPECT_EQ(exif_orientation(bytes_of(std::string("Exif\0\0Exif\0\0", 12) + block)), 6);
  for (size_t size = 0; size < 22; ++size) {
    EXPECT_EQ(exif_orientation(bytes_of(block).first(size)), std::nullopt) << size;
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
  EXPECT_EQ(exif_orientation(bytes_of(changed)), std::nullopt);
  changed = block;
  changed[0] = 'X';
  EXPECT_EQ(exif_orientation(bytes_of(changed)), std::nullopt);
}

TEST(XmpOrientation, IsTheFirstOfAttributesAndElements) {
  EXPECT_EQ(xmp_orientation("<a tiff:Orientation=\"6\"/>"), 6);
  EXPECT_EQ(xmp_orientation("<tiff:Orientation>8</tiff:Orientation>"), 8);
  EXPECT_EQ(xmp_orientation("<b tiff:Orientation='6' tiff:Orientation=\"3\"/>"), 3);
  EXPECT_EQ(xmp_orientation("<a tiff:Orientation=\"0\"/>"), 1);
  for (const char* none :
       {"", "tiff:Orientation", "tiff:Orientation=\"", "tiff:Orientation=\"x\""}) {
    EXPECT_EQ(xmp_orientation(none), std::nullopt) << none;
  }
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
