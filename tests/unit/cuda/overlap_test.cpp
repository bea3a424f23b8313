#include <gtest/gtest.h>

#include "fake_driver.hpp"
#include "kernel_cases.hpp"

namespace sam3trt {
namespace {

TEST(OverlapKernels, EqualTheDefinition) {
  const CudaDevice device(0, fake_driver());
  int cases = 0;
  run_overlap_cases(device, {.exact = true, .timed_launches = 0}, [&](const CaseResult& result) {
    ++cases;
    EXPECT_TRUE(result.passed) << result.name << ": " << result.differing << " of "
                               << result.values;
    EXPECT_GT(result.values, 0U) << result.name;
  });
  EXPECT_EQ(cases, 10);
}

}  // namespace
}  // namespace sam3trt
