#include "gpu/gpu_bits.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/pack_above.hpp"
#include "fake_driver.hpp"
#include "runtime/stage.hpp"

namespace sam3trt {
namespace {

class GpuBitsTest : public testing::Test {
 protected:
  std::vector<std::vector<uint64_t>> run(const std::vector<float>& logits, size_t size,
                                         const std::vector<size_t>& planes) {
    DeviceBuffer values(device_, logits.size() * sizeof(float));
    uploader_.upload(stream_, values.data(), std::as_bytes(std::span(logits)));
    std::vector<DevicePointer> addresses;
    for (const size_t plane : planes) {
      addresses.push_back(values.data() + plane * size * sizeof(float));
    }
    return bits_.run(stream_, uploader_, addresses, static_cast<int64_t>(size), "not finite");
  }

  CudaDevice device_{0, fake_driver()};
  KernelLibrary kernels_{device_};
  Stream stream_{device_};
  Uploader uploader_{device_};
  GpuBits bits_{device_, kernels_};
};

TEST_F(GpuBitsTest, AreThoseOfTheHostForEachPlaneThatIsAskedFor) {
  for (const size_t size : {1U, 63U, 64U, 65U, 81U, 20000U}) {
    std::vector<float> logits(3 * size);
    for (size_t i = 0; i < logits.size(); ++i) {
      logits[i] = static_cast<float>(i * 7 % 11) - 5.0F;
      if (i % 13 == 0) logits[i] = std::numeric_limits<float>::denorm_min();
      if (i % 17 == 0) logits[i] = -0.0F;
    }
    const std::vector<size_t> planes = {2, 0, 2};
    const auto found = run(logits, size, planes);
    ASSERT_EQ(found.size(), planes.size());
    for (size_t i = 0; i < planes.size(); ++i) {
      EXPECT_EQ(found[i], pack_above(std::span(logits).subspan(planes[i] * size, size), 0.0F))
          << size;
    }
  }
  EXPECT_TRUE(run({1.0F}, 1, {}).empty());
}

TEST_F(GpuBitsTest, NumbersThatAreNotFiniteAreAnErrorWhereTheyAreLookedAt) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> logits(3 * 70, 1.0F);
    logits[70 + 69] = bad;
    EXPECT_THROW(static_cast<void>(run(logits, 70, {0, 1})), NonFiniteError);
    EXPECT_EQ(run(logits, 70, {2, 0}).size(), 2U);
  }
}

}  // namespace
}  // namespace sam3trt
