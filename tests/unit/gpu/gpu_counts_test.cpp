#include "gpu/gpu_counts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "fake_cuda.hpp"
#include "fake_driver.hpp"
#include "runtime/stage.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class GpuCountsTest : public testing::Test {
 protected:
  std::vector<std::array<int64_t, 2>> run(const std::vector<float>& logits, int64_t size,
                                          const std::vector<size_t>& planes) {
    logits_.reserve(logits.size() * sizeof(float));
    copy_to_device(stream_, logits_.data(), std::as_bytes(std::span(logits)));
    return counts_.run(stream_, uploader_, logits_.data(), size, planes, 0.5F, -0.5F);
  }

  CudaDevice device_{0, fake_driver()};
  KernelLibrary kernels_{device_};
  Stream stream_{device_};
  Uploader uploader_{device_};
  DeviceBuffer logits_{device_};
  GpuCounts counts_{device_, kernels_};
};

TEST_F(GpuCountsTest, CountsTheLogitsOfThePlanesThatAreAskedFor) {
  const std::vector<float> logits = {9, 9, 9, 0.6F, 0.5F, -0.4F, -0.5F, -1, 2};
  EXPECT_THAT(run(logits, 3, {2, 1}),
              ElementsAre(std::array<int64_t, 2>{1, 1}, std::array<int64_t, 2>{1, 3}));
  EXPECT_THAT(run(logits, 3, {}), testing::IsEmpty());
  EXPECT_THAT(run(logits, 9, {0}), ElementsAre(std::array<int64_t, 2>{5, 7}));
}

TEST_F(GpuCountsTest, RefusesLogitsThatAreNoNumbersInThesePlanesOnly) {
  std::vector<float> logits(12, 1.0F);
  logits[5] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(run(logits, 4, {0, 2}),
              ElementsAre(std::array<int64_t, 2>{4, 4}, std::array<int64_t, 2>{4, 4}));
  try {
    static_cast<void>(run(logits, 4, {0, 1}));
    FAIL();
  } catch (const NonFiniteError& error) {
    EXPECT_THAT(error.what(), HasSubstr("the sam_decoder gave non-finite numbers in sam_masks"));
  }
}

}  // namespace
}  // namespace sam3trt
