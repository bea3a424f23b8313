#include "trt/library.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;

TEST(TensorRtLibrary, VersionsAreReadFromTheirNumber) {
  EXPECT_EQ(version_text(100600), "10.6.0");
  EXPECT_EQ(version_text(110401), "11.4.1");
  EXPECT_EQ(version_text(10701), "1.7.1");
}

TEST(TensorRtLibrary, AMissingLibraryIsNamedWithWhatToInstall) {
  if (!find_tensorrt_libraries().empty()) {
    GTEST_SKIP() << "this machine has TensorRT, so it cannot be missing";
  }
  try {
    (void)load_tensorrt(true);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(),
                testing::AllOf(HasSubstr("libnvinfer.so.11"), HasSubstr("SAM3TRT_TENSORRT_DIR")));
  }
  try {
    (void)load_tensorrt_rtx(true);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), HasSubstr("libtensorrt_rtx.so.1"));
  }
}

}  // namespace
}  // namespace sam3trt
