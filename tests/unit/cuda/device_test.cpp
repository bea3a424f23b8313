#include "cuda/device.hpp"

#include <gtest/gtest.h>

#include "fake_cuda.hpp"
#include "fake_driver.hpp"

namespace sam3trt {
namespace {

TEST(CudaContexts, KeepStacksSmallInProgramsThatAskForIt) {
  { const CudaDevice device(0, fake_driver()); }
  EXPECT_EQ(fake_cuda_stack_bytes(), 1024U);
  const int depth = fake_cuda_context_depth();
  keep_kernel_stacks_small();
  { const CudaDevice device(0, fake_driver()); }
  EXPECT_EQ(fake_cuda_stack_bytes(), 128U);
  EXPECT_EQ(fake_cuda_context_depth(), depth);
}

}  // namespace
}  // namespace sam3trt
