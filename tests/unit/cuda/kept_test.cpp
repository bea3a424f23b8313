#include <gtest/gtest.h>

#include "base/error.hpp"
#include "cuda/kernels.hpp"
#include "fake_driver.hpp"
#include "kernel_cases.hpp"

namespace sam3trt {
namespace {

TEST(KeptKernels, EqualTheHostsNumbersToTheBit) {
  const CudaDevice device(0, fake_driver());
  int cases = 0;
  run_kept_cases(device, {.exact = true, .timed_launches = 0}, [&](const CaseResult& result) {
    ++cases;
    EXPECT_TRUE(result.passed) << result.name << ": " << result.differing << " of " << result.values
                               << " differ by up to " << result.largest;
    EXPECT_GT(result.values, 0U) << result.name;
  });
  EXPECT_GT(cases, 200);
}

TEST(KeptKernels, RefuseArgumentsThatMakeNoSense) {
  const CudaDevice device(0, fake_driver());
  const Stream stream(device);
  const KernelLibrary kernels(device);
  EXPECT_THROW(kernels.keep_rows(stream, {}), Error);
  EXPECT_THROW(kernels.gather_rows(stream, {}), Error);
  EnlargeArgs args;
  args.planes = 1;
  args.from = 4;
  args.to = 3;
  EXPECT_THROW(kernels.enlarge(stream, args), Error);
  args.to = 4;
  args.through = 5;
  EXPECT_THROW(kernels.enlarge(stream, args), Error);
}

}  // namespace
}  // namespace sam3trt
