#include "cuda/driver.hpp"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "cuda/device.hpp"

namespace sam3trt {
namespace {

TEST(CudaDriver, AMissingDriverIsUnavailableWithAdvice) {
  void* library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) {
    ::dlclose(library);
    GTEST_SKIP() << "this machine has NVIDIA's driver, so it cannot be missing";
  }
  for (int attempt = 0; attempt < 2; ++attempt) {  // the failure is not remembered as success
    try {
      const CudaDevice device;
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
      EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("libcuda.so.1"),
                                               testing::HasSubstr("--backend openvino")));
    }
  }
}

TEST(CudaDeviceInfo, WritesItsComputeCapability) {
  EXPECT_EQ((CudaDeviceInfo{0, "GPU", 12, 1, 0}.compute_capability()), "12.1");
}

}  // namespace
}  // namespace sam3trt
