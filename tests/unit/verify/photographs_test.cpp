#include "verify/photographs.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/mapped_file.hpp"

namespace sam3trt {
namespace {

TEST(Photographs, ThoseInsideTheProgramAreTheFilesOfTestImages) {
  const auto files = builtin_photographs();
  ASSERT_EQ(files.size(), 3U);
  for (const EmbeddedFile& file : files) {
    const MappedFile source(std::filesystem::path(SAM3TRT_SOURCE_DIR) / "test_images" / file.name);
    EXPECT_TRUE(std::ranges::equal(file.bytes, source.bytes())) << file.name;
  }
  EXPECT_EQ(default_photographs().front().width, 451);
}

TEST(Photographs, AHashTellsSizeAndPixelsApart) {
  const Image wide{2, 1, {1, 2, 3, 4, 5, 6}};
  const Image high{1, 2, {1, 2, 3, 4, 5, 6}};
  const Image other{2, 1, {1, 2, 3, 4, 5, 7}};
  EXPECT_NE(hash_image(wide), hash_image(high));
  EXPECT_NE(hash_image(wide), hash_image(other));
  const std::vector<Image> images = {wide, other, wide};
  const std::vector<Image> turned = {other, wide};
  EXPECT_EQ(hash_images(images).size(), 2U);
  EXPECT_EQ(hash_images(images), hash_images(turned));
}

}  // namespace
}  // namespace sam3trt
