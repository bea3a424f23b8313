#include "image/resize.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "base/error.hpp"
#include "image/resize_taps.hpp"
#include "picture_files.hpp"

namespace sam3trt {
namespace {

TEST(ResizeAntialias, EqualsTorchvisionBitForBit) {
  ASSERT_FALSE(image_goldens()["resize"].empty());
  for (const auto& entry : image_goldens()["resize"]) {
    const auto expected_name = entry["expected"].get<std::string>();
    SCOPED_TRACE(expected_name);
    const Image expected = read_ppm(kImageData / expected_name);
    const Image source =
        read_image(std::filesystem::path(SAM3TRT_SOURCE_DIR) / entry["source"].get<std::string>());
    const Image resized = resize_antialias(source, expected.width, expected.height);
    ASSERT_EQ(resized.width, expected.width);
    ASSERT_EQ(resized.height, expected.height);
    EXPECT_TRUE(resized.rgb == expected.rgb);
  }
}

TEST(ResizeAntialias, KeepsAConstantPictureConstant) {
  for (const auto& [width, height] : {std::pair{1, 4000}, {4000, 1}, {4001, 3001}}) {
    Image image{width, height, {}};
    image.rgb.assign(static_cast<size_t>(width) * static_cast<size_t>(height) * 3, 255);
    const Image resized = resize_antialias(image, 504, 252);
    ASSERT_EQ(resized.rgb.size(), size_t{504 * 252 * 3});
    // Rounded weights of one output can sum to a little less than one.
    EXPECT_GE(*std::min_element(resized.rgb.begin(), resized.rgb.end()), 254);
  }
}

TEST(ResizeAntialias, ReturnsAnEqualPictureForTheSameSize) {
  const Image image = read_image(kImageData / "jpeg_444.jpg");
  EXPECT_TRUE(resize_antialias(image, image.width, image.height).rgb == image.rgb);
}

TEST(ResizeAntialias, RefusesEmptySizes) {
  const Image image = read_image(kImageData / "jpeg_444.jpg");
  EXPECT_THROW((void)resize_antialias(image, 0, 5), Error);
  EXPECT_THROW((void)resize_antialias(image, 5, -1), Error);
  EXPECT_THROW((void)resize_antialias(Image{}, 5, 5), Error);
}

TEST(ResizeAntialias, RefusesSidesAndBuffersThatDoNotFit) {
  const Image small{2, 2, std::vector<uint8_t>(12, 3)};
  EXPECT_THROW((void)resize_antialias(small, 65537, 2), Error);
  EXPECT_THROW((void)resize_antialias(small, 60000, 60000), Error);
  EXPECT_THROW((void)resize_antialias(Image{int64_t{1} << 28, 1, {1, 2, 3}}, 5, 5), Error);
  EXPECT_THROW((void)resize_antialias(Image{20, 20, std::vector<uint8_t>(12, 3)}, 5, 5), Error);
  EXPECT_THROW((void)make_resize_taps(int64_t{1} << 28, 1008), Error);
  EXPECT_EQ(make_resize_taps(65536, 1008).size.size(), 1008U);
}

TEST(ToPixelValues, EqualsTorchvisionsNormalisation) {
  const auto& golden = image_goldens()["pixel_values"];
  const Image image = read_image(kImageData / golden["source"].get<std::string>());
  const Tensor values =
      to_pixel_values(image, golden["rescale_factor"], golden["mean"], golden["std"]);
  EXPECT_EQ(values.shape(), (Shape{1, 3, image.height, image.width}));
  const std::vector<float> expected = read_floats("pixel_values.f32");
  ASSERT_EQ(values.f32().size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    // Values reach 3; torchvision rounds to float after each of three steps, this only once.
    // Measured: 3.6e-7 at most.
    EXPECT_NEAR(values.f32()[i], expected[i], 1e-6F);
  }
}

TEST(ResizeBilinear, EqualsInterpolate) {
  const std::vector<float> blob = read_floats("bilinear.f32");
  for (const auto& entry : image_goldens()["bilinear"]) {
    SCOPED_TRACE(entry.dump());
    const int64_t in_height = entry["in"][0];
    const int64_t in_width = entry["in"][1];
    const int64_t out_height = entry["out"][0];
    const int64_t out_width = entry["out"][1];
    const auto in_size = static_cast<size_t>(in_height * in_width);
    const auto out_size = static_cast<size_t>(out_height * out_width);
    const std::span<const float> all(blob);
    const auto source = all.subspan(entry["offset"].get<size_t>(), in_size);
    const auto expected = all.subspan(entry["offset"].get<size_t>() + in_size, out_size);
    std::vector<float> result(out_size);
    resize_bilinear(source, in_height, in_width, result, out_height, out_width);
    for (size_t i = 0; i < out_size; ++i) {
      // Values reach 25, where a float's last bit is 1.9e-6; PyTorch contracts the position's
      // product and sum for some sizes. Measured: 1.3e-5 at most.
      EXPECT_NEAR(result[i], expected[i], 4e-5F) << i;
    }
  }
}

/// (7 i + 3 j) mod 11 - 5
std::vector<float> pattern(int64_t height, int64_t width) {
  std::vector<float> values;
  for (int64_t i = 0; i < height; ++i) {
    for (int64_t j = 0; j < width; ++j) {
      values.push_back(static_cast<float>((i * 7 + j * 3) % 11) - 5.0F);
    }
  }
  return values;
}

// Expected values are those of PyTorch's interpolate(mode="bilinear", antialias=True).
TEST(ResizeBilinearAntialias, EqualsInterpolateWhereItShrinks) {
  std::vector<float> result(12);
  resize_bilinear_antialias(pattern(5, 7), 5, 7, result, 3, 4);
  const std::vector<float> expected = {-0.653061271F, 0.468571544F,  -0.422857046F, -1.06122434F,
                                       0.735449672F,  0.573333383F,  -1.04444444F,  1.10052919F,
                                       1.74149644F,   -0.788571298F, 0.0799996704F, 0.136054441F};
  for (size_t i = 0; i < result.size(); ++i) EXPECT_EQ(result[i], expected[i]) << i;
}

TEST(ResizeBilinearAntialias, EqualsInterpolateToTheLastBitForManyTaps) {
  std::vector<float> result(3);
  resize_bilinear_antialias(pattern(1, 23), 1, 23, result, 1, 3);
  EXPECT_EQ(result, (std::vector<float>{-0.129870161F, -0.214689255F, 0.201298758F}));
  std::vector<float> columns(6);
  resize_bilinear_antialias(pattern(23, 2), 23, 2, columns, 3, 2);
  EXPECT_EQ(columns, (std::vector<float>{0.292207778F, 0.2207793F, -0.21468921F, 0.0508474596F,
                                         -0.220779017F, -0.50649333F}));
}

TEST(ResizeBilinearAntialias, IsThePlainResizeWhereItGrows) {
  std::vector<float> result(90);
  std::vector<float> plain(90);
  resize_bilinear_antialias(pattern(5, 7), 5, 7, result, 9, 10);
  resize_bilinear(pattern(5, 7), 5, 7, plain, 9, 10);
  for (size_t i = 0; i < result.size(); ++i) EXPECT_NEAR(result[i], plain[i], 5e-6F) << i;
}

TEST(ResizeBilinearAntialias, RefusesBuffersThatDoNotFit) {
  std::vector<float> four(4);
  std::vector<float> six(6);
  EXPECT_THROW(resize_bilinear_antialias(four, 2, 3, six, 2, 3), Error);
  EXPECT_THROW(resize_bilinear_antialias({}, 0, 0, six, 2, 3), Error);
}

TEST(ResizeBilinear, RefusesBuffersThatDoNotFit) {
  std::vector<float> four(4);
  std::vector<float> six(6);
  EXPECT_THROW(resize_bilinear(four, 2, 3, six, 2, 3), Error);
  EXPECT_THROW(resize_bilinear(four, 2, 2, six, 2, 2), Error);
  EXPECT_THROW(resize_bilinear(four, -2, -2, six, 2, 3), Error);
  EXPECT_THROW(resize_bilinear({}, 0, 0, six, 2, 3), Error);
}

}  // namespace
}  // namespace sam3trt
