#include "gpu/gpu_masks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/error.hpp"
#include "fake_cuda.hpp"
#include "fake_driver.hpp"
#include "image/rle.hpp"
#include "runtime/postprocess.hpp"

namespace sam3trt {
namespace {

using ::testing::ElementsAre;

constexpr float kThreshold = 0.5F;

class GpuMasksTest : public ::testing::Test {
 protected:
  std::vector<FoundMask> run(int64_t side, const std::vector<MaskRequest>& requests,
                             const std::vector<float>& logits) {
    const auto planes = static_cast<int64_t>(logits.size()) / (side * side);
    logits_.reserve(logits.size() * sizeof(float));
    copy_to_device(stream_, logits_.data(), std::as_bytes(std::span(logits)));
    std::vector<FoundMask> results = masks_.run(stream_, uploader_, logits_.data(), planes, side,
                                                requests, mask_cut(Semantics::kMeta, kThreshold));
    return results;
  }

  /// Runs and compares with the CPU path; returns the number of runs.
  size_t check(int64_t side, const std::vector<MaskRequest>& requests,
               const std::vector<float>& logits) {
    const std::vector<FoundMask> results = run(side, requests, logits);
    EXPECT_EQ(results.size(), requests.size());
    size_t runs = 0;
    for (size_t i = 0; i < results.size(); ++i) {
      const MaskRequest& request = requests[i];
      const auto plane = static_cast<size_t>(side * side);
      const std::vector<uint8_t> mask =
          binary_mask(std::span(logits).subspan(request.plane * plane, plane), side, request.width,
                      request.height, Semantics::kMeta, kThreshold);
      EXPECT_TRUE(results[i].counts == rle_counts(mask, request.height, request.width)) << i;
      EXPECT_EQ(results[i].area, std::ranges::count(mask, 1)) << i;
      runs += results[i].counts.size();
    }
    return runs;
  }

  CudaDevice device_{0, fake_driver()};
  KernelLibrary kernels_{device_};
  Stream stream_{device_};
  Uploader uploader_{device_};
  DeviceBuffer logits_{device_};
  GpuMasks masks_{device_, kernels_, Semantics::kMeta};
};

/// A plane whose rows are inside and outside in turn: at its own size every pixel is a run.
std::vector<float> stripes(int64_t side) {
  std::vector<float> logits(static_cast<size_t>(side * side));
  for (size_t i = 0; i < logits.size(); ++i) {
    logits[i] = i / static_cast<size_t>(side) % 2 == 0 ? 4.0F : -4.0F;
  }
  return logits;
}

TEST_F(GpuMasksTest, CountsAsCocoDoes) {
  const std::vector<float> logits = {-1, -1, -1, -1,   // empty
                                     1,  1,  1,  1,    // full
                                     1,  -1, -1, -1,   // its first pixel
                                     -1, 1,  -1, 1,    // its last column
                                     1,  1,  -1, -1};  // its first row
  const auto results =
      run(2, {{0, 2, 2}, {1, 2, 2}, {2, 2, 2}, {3, 2, 2}, {4, 2, 2}, {1, 3, 5}}, logits);
  ASSERT_EQ(results.size(), 6U);
  EXPECT_THAT(results[0].counts, ElementsAre(4));
  EXPECT_THAT(results[1].counts, ElementsAre(0, 4));
  EXPECT_THAT(results[2].counts, ElementsAre(0, 1, 3));
  EXPECT_THAT(results[3].counts, ElementsAre(2, 2));
  EXPECT_THAT(results[4].counts, ElementsAre(0, 1, 1, 1, 1));
  EXPECT_THAT(results[5].counts, ElementsAre(0, 15));
}

TEST_F(GpuMasksTest, BringsWhatIsBeyondTheFirstCopy) {
  EXPECT_GT(check(301, {{0, 301, 301}, {0, 17, 40}, {0, 301, 301}}, stripes(301)),
            size_t{1} << 16U);
}

TEST_F(GpuMasksTest, GrowsWithTheRunsAndStaysRight) {
  EXPECT_GT(check(1101, {{0, 1101, 1101}, {0, 5, 1101}}, stripes(1101)), size_t{1} << 20U);
  EXPECT_EQ(check(2, {{0, 3, 2}}, {1, 1, -1, -1}), 5U);
  EXPECT_GT(check(1101, {{0, 1101, 1101}}, stripes(1101)), size_t{1} << 20U);
}

TEST_F(GpuMasksTest, KeepsTheRunsOfMasksApartThatSeveralThreadsCopy) {
  const int64_t side = 1101;
  const std::vector<MaskRequest> requests = {
      {0, side, side}, {1, side, side}, {0, side, side}, {0, side, 7}, {0, side, side}};
  std::vector<float> logits = stripes(side);
  logits.resize(2 * logits.size(), 1.0F);  // a full mask between those of stripes
  EXPECT_GT(check(side, requests, logits), 3 * (size_t{1} << 20U));
}

TEST_F(GpuMasksTest, MakesMoreMasksThanFitOneLaunch) {
  std::vector<MaskRequest> requests;
  for (int64_t i = 0; i < 5000; ++i) requests.push_back({0, 1 + i % 13, 1 + i % 7});
  check(5, requests, stripes(5));
}

TEST_F(GpuMasksTest, CanRunAgainWhenThereWasNoMemoryToGrow) {
  std::vector<float> logits = stripes(1101);
  logits.resize(2 * logits.size(), 1.0F);
  const std::vector<MaskRequest> many_runs = {{0, 1101, 1101}};
  const std::vector<MaskRequest> few_runs = {{1, 1101, 1101}};
  EXPECT_EQ(check(1101, few_runs, logits), 2U);  // all other memory is there from now on
  for (const char* allocation : {"cuMemAlloc_v2", "cuMemHostAlloc"}) {
    fake_cuda_fail_next(allocation, 2);
    EXPECT_THROW((void)run(1101, many_runs, logits), Error) << allocation;
    EXPECT_EQ(check(1101, few_runs, logits), 2U) << allocation;
  }
  EXPECT_GT(check(1101, many_runs, logits), size_t{1} << 20U);
}

TEST_F(GpuMasksTest, SaysWhichMasksAreNotFinite) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const auto results = run(2, {{0, 2, 2}, {1, 2, 2}, {2, 2, 2}, {1, 3, 3}},
                           {1, 1, 1, -1, 1, 1, 1, kNan, -1, 1, 1, 1});
  ASSERT_EQ(results.size(), 4U);
  EXPECT_TRUE(results[0].finite);
  EXPECT_THAT(results[0].counts, ElementsAre(0, 3, 1));
  EXPECT_FALSE(results[1].finite);
  EXPECT_TRUE(results[2].finite);
  EXPECT_THAT(results[2].counts, ElementsAre(1, 3));
  EXPECT_FALSE(results[3].finite);
  EXPECT_EQ(check(2, {{0, 2, 2}}, {1, 1, 1, 1}), 2U);
}

}  // namespace
}  // namespace sam3trt
