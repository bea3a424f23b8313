#include "fake_driver.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.hpp"
#include "cuda/buffer.hpp"
#include "fake_cuda.hpp"

namespace sam3trt {
namespace {

/// What the other tests rely on: the fake driver forgives no more than a GPU does.
class FakeDriver : public testing::Test {
 protected:
  FakeDriver() { std::memset(pinned_.data(), 1, 8); }

  void upload() { copy_to_device(stream_, memory_.data(), {pinned_.data(), 8}); }

  CudaDevice device_{0, fake_driver()};
  Stream stream_{device_};
  PinnedBuffer pinned_{device_, 8};
  PinnedBuffer back_{device_, 8};
  DeviceBuffer memory_{device_, 8};
};

TEST_F(FakeDriver, RunsWorkWhenSomebodyWaitsForIt) {
  upload();
  copy_to_host(stream_, {back_.data(), 8}, memory_.data());
  EXPECT_NE(back_.data()[7], std::byte{1});
  stream_.synchronize();
  EXPECT_EQ(back_.data()[7], std::byte{1});
}

TEST_F(FakeDriver, RunsWhatComesBeforeAnEventOfAnotherStream) {
  Stream other(device_);
  const Event uploaded(device_);
  upload();
  stream_.record(uploaded);
  other.wait(uploaded);
  copy_to_host(other, {back_.data(), 8}, memory_.data());
  other.synchronize();
  EXPECT_EQ(back_.data()[0], std::byte{1});
}

TEST_F(FakeDriver, SeesStagingMemoryThatIsWrittenToTooEarly) {
  EXPECT_DEATH(
      {
        upload();
        pinned_.data()[3] = std::byte{9};
        stream_.synchronize();
      },
      "written to meanwhile");
}

TEST_F(FakeDriver, SeesMemoryThatIsUsedAfterItWasFreed) {
  EXPECT_DEATH(
      {
        const DevicePointer gone = memory_.data();
        memory_ = DeviceBuffer(device_, 8);
        copy_to_host(stream_, {back_.data(), 8}, gone);
        stream_.synchronize();
      },
      "memory that was freed");
}

TEST_F(FakeDriver, FailsTheCallThatATestAsksFor) {
  fake_cuda_fail_call(2);
  upload();
  EXPECT_THROW(upload(), Error);
  upload();
  fake_cuda_fail_call(0);
  stream_.synchronize();
}

TEST_F(FakeDriver, RefusesToAllocateOrToWaitWhileTheThreadRecords) {
  const auto allocate = [&] { const DeviceBuffer more(device_, 8); };
  EXPECT_THROW(CudaGraph(stream_, allocate), Error);
  EXPECT_THROW(CudaGraph(stream_, [&] { stream_.synchronize(); }), Error);
  EXPECT_NO_THROW(allocate());
}

}  // namespace
}  // namespace sam3trt
