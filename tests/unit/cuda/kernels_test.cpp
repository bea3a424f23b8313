#include "cuda/kernels.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "fake_cuda.hpp"
#include "fake_driver.hpp"
#include "kernel_cases.hpp"

namespace sam3trt {
namespace {

TEST(Kernels, EqualTheCpuPathBitForBitWhereArithmeticIsTheSame) {
  const CudaDevice device(0, fake_driver());
  int cases = 0;
  run_kernel_cases(device, {.exact = true, .timed_launches = 0}, [&](const CaseResult& result) {
    ++cases;
    EXPECT_TRUE(result.passed) << result.name << ": " << result.differing << " of " << result.values
                               << " differ by up to " << result.largest;
    EXPECT_EQ(result.differing, 0U) << result.name;
    EXPECT_GT(result.values, 0U) << result.name;
  });
  EXPECT_GT(cases, 100);
}

TEST(KernelLibrary, RefusesArgumentsThatMakeNoSense) {
  const CudaDevice device(0, fake_driver());
  const Stream stream(device);
  const KernelLibrary kernels(device);
  EXPECT_THROW(kernels.resize_image(stream, {}), Error);
  SelectArgs select;
  select.prompts = select.slots = 1;
  select.queries = kMaxQueries + 1;
  EXPECT_THROW(kernels.select_detections(stream, select), Error);
  MaskArgs mask;
  mask.side = 3;
  EXPECT_THROW(kernels.mask_run_lengths(stream, mask, {}), Error);
  mask.count = 2;
  EXPECT_THROW(kernels.mask_run_lengths(stream, mask, {MaskTask{}}), Error);
  EXPECT_THROW(kernels.count_logits(stream, {}, 1), Error);
  CountArgs count;
  count.size = 1;
  EXPECT_THROW(kernels.count_logits(stream, count, 0), Error);
  EXPECT_THROW(kernels.find_above(stream, {}, 1), Error);
  AboveArgs above;
  above.size = 1;
  EXPECT_THROW(kernels.find_above(stream, above, 0), Error);
  EXPECT_THROW(kernels.clean_planes(stream, {}, 1), Error);
  CleanArgs clean;
  clean.side = kMaxCleanSide + 1;
  EXPECT_THROW(kernels.clean_planes(stream, clean, 1), Error);
  clean.side = 1;
  EXPECT_THROW(kernels.clean_planes(stream, clean, 0), Error);
  EXPECT_THROW(kernels.count_won(stream, {}), Error);
  EXPECT_THROW(kernels.lower_planes(stream, {}, 1), Error);
  LowerArgs lower;
  lower.size = 1;
  EXPECT_THROW(kernels.lower_planes(stream, lower, 0), Error);
  EXPECT_THROW((void)pack_taps(0, 5), Error);
}

TEST(KernelLibrary, SaysThatTheGpuIsTooOldForItsMachineCode) {
  const CudaDevice device(0, fake_driver());
  fake_cuda_fail_next("cuModuleLoadData", 209);
  try {
    const KernelLibrary kernels(device);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_NE(std::string(error.what()).find("cuModuleLoadData"), std::string::npos);
  }
}

TEST(HalfPixelTable, RoundsToNearestEven) {
  PixelTable table{};
  table[0][0] = 1.0F;
  table[1][7] = 1.0F + 1.0F / 2048;  // half way to the next half: goes to the even one
  table[2][255] = 1.0F + 3.0F / 2048;
  const auto halves = half_pixel_table(table);
  EXPECT_EQ(halves[0][0], 0x3C00);
  EXPECT_EQ(halves[1][7], 0x3C00);
  EXPECT_EQ(halves[2][255], 0x3C02);
}

}  // namespace
}  // namespace sam3trt
