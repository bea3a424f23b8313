#include "gpu/gpu_kept.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <numeric>
#include <optional>

#include "base/error.hpp"
#include "base/half.hpp"
#include "fake_cuda.hpp"
#include "fake_driver.hpp"

namespace sam3trt {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;

using Kept = std::vector<std::shared_ptr<const KeptTensor>>;

constexpr size_t kCount = 19;

std::vector<float> numbers(size_t rows, float step) {
  std::vector<float> values(rows * kCount);
  for (size_t i = 0; i < values.size(); ++i) values[i] = step * static_cast<float>(i) - 3.0F;
  return values;
}

std::vector<uint16_t> rounded(std::span<const float> values) {
  std::vector<uint16_t> bits;
  for (const float value : values) bits.push_back(f32_to_bf16(value));
  return bits;
}

class GpuKeptTest : public testing::Test {
 protected:
  Kept keep(GpuKept& memory, const std::vector<float>& values) {
    source_.grow(stream_, values.size() * sizeof(float));
    uploader_.upload(stream_, source_.data(), std::as_bytes(std::span(values)));
    return memory.keep(stream_, uploader_, {source_.data(), DType::kF32}, values.size() / kCount,
                       kCount, "the test gave non-finite numbers");
  }

  std::vector<float> floats_at(DevicePointer address, size_t count) {
    std::vector<float> values(count);
    copy_to_host(stream_, std::as_writable_bytes(std::span(values)), address);
    uploader_.wait(stream_);
    return values;
  }

  CudaDevice device_{0, fake_driver()};
  KernelLibrary kernels_{device_};
  Stream stream_{device_};
  Uploader uploader_{device_};
  DeviceBuffer source_{device_};
};

TEST_F(GpuKeptTest, KeepsRoundedRowsAndPutsThemOneAfterAnother) {
  GpuKept memory(device_, kernels_);
  const std::vector<float> values = numbers(3, 0.37F);
  const Kept kept = keep(memory, values);
  ASSERT_EQ(kept.size(), 3U);
  for (size_t row = 0; row < 3; ++row) {
    EXPECT_EQ(kept[row]->count(), kCount);
    EXPECT_EQ(kept[row]->size_bytes(), 2 * kCount);
    EXPECT_THAT(kept[row]->bf16(),
                ElementsAreArray(rounded(std::span(values).subspan(row * kCount, kCount))));
  }
  const Kept asked = {kept[2], kept[0], kept[2]};
  const auto at = memory.gather(stream_, uploader_, "features", asked, 3 * kCount, DType::kF32);
  std::vector<float> wanted;
  for (const auto& tensor : asked) {
    for (const uint16_t bits : tensor->bf16()) wanted.push_back(bf16_to_f32(bits));
  }
  EXPECT_THAT(floats_at(at, wanted.size()), ElementsAreArray(wanted));
  EXPECT_EQ(memory.gather(stream_, uploader_, "features", kept, 3 * kCount, DType::kF16), at);
}

TEST_F(GpuKeptTest, ASlotThatNobodyNeedsIsTakenAgain) {
  GpuKept memory(device_, kernels_);
  EXPECT_EQ(memory.size_bytes(), 0U);
  std::deque<Kept> window;
  size_t bytes = 0;
  int objects = 0;
  for (int round = 0; round < 200; ++round) {
    const std::vector<float> values = numbers(2, static_cast<float>(round));
    window.push_back(keep(memory, values));
    if (window.size() > 7) window.pop_front();
    EXPECT_THAT(window.back()[1]->bf16(),
                ElementsAreArray(rounded(std::span(values).last(kCount))));
    if (round == 8) bytes = memory.size_bytes();
    if (round == 8) objects = fake_cuda_live_objects();
  }
  EXPECT_THAT(window.front()[0]->bf16(), ElementsAreArray(rounded(numbers(1, 193.0F))));
  EXPECT_EQ(memory.size_bytes(), bytes);
  EXPECT_EQ(fake_cuda_live_objects(), objects);
}

TEST_F(GpuKeptTest, WhatIsReadLaterIsWhatWasThereWhenTheWorkWasQueued) {
  GpuKept memory(device_, kernels_);
  const std::vector<float> values = numbers(1, 0.5F);
  Kept kept = keep(memory, values);
  const auto at = memory.gather(stream_, uploader_, "features", kept, kCount, DType::kF32);
  kept.clear();
  const Kept others = keep(memory, numbers(1, 0.25F));  // takes its slot, after it was read
  EXPECT_THAT(floats_at(at, kCount), ElementsAreArray(values));
  EXPECT_THAT(others[0]->bf16(), ElementsAreArray(rounded(numbers(1, 0.25F))));
}

TEST_F(GpuKeptTest, WhatIsKeptOutlivesItsBackendAndFreesTheMemoryAtTheEnd) {
  const std::vector<float> values = numbers(2, 0.5F);
  Kept kept = keep(*std::make_unique<GpuKept>(device_, kernels_), values);
  const int before = fake_cuda_live_objects();
  kept.pop_back();
  EXPECT_THAT(kept[0]->bf16(), ElementsAreArray(rounded(std::span(values).first(kCount))));
  EXPECT_EQ(fake_cuda_live_objects(), before);
  kept.clear();
  EXPECT_EQ(fake_cuda_live_objects(), before - 2);  // slots and event
}

TEST_F(GpuKeptTest, RefusesWhatIsNotItsOwnOrHasAnotherSize) {
  GpuKept memory(device_, kernels_);
  GpuKept other(device_, kernels_);
  const Kept own = keep(memory, numbers(1, 1.0F));
  const auto refusal = [&](const Kept& kept, size_t count) -> std::string {
    try {
      (void)memory.gather(stream_, uploader_, "features", kept, count, DType::kF32);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInternal);
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal(own, kCount), "");
  EXPECT_THAT(refusal(keep(other, numbers(1, 1.0F)), kCount), HasSubstr("another backend's"));
  EXPECT_THAT(
      refusal({std::make_shared<const HostKeptTensor>(std::vector<uint16_t>(kCount))}, kCount),
      HasSubstr("another backend's"));
  EXPECT_THAT(refusal(own, kCount + 1), HasSubstr("not 20 numbers"));
  EXPECT_THAT(refusal({}, 0), HasSubstr("features"));
  EXPECT_THROW((void)memory.restore(stream_, uploader_, std::vector<uint16_t>(3)), Error);
  EXPECT_THROW((void)memory.gather(stream_, uploader_, "f", own, kCount, DType::kI64), Error);
}

TEST_F(GpuKeptTest, NothingIsZerosAmongWhatIsKept) {
  GpuKept memory(device_, kernels_);
  const Kept own = keep(memory, numbers(1, 1.0F));
  const DevicePointer found = memory.gather(stream_, uploader_, "features", Kept{own[0], nullptr},
                                            2 * kCount, DType::kBF16);
  std::vector<uint16_t> values(2 * kCount);
  copy_to_host(stream_, std::as_writable_bytes(std::span(values)), found);
  uploader_.wait(stream_);
  std::vector<uint16_t> expected = rounded(numbers(1, 1.0F));
  expected.resize(2 * kCount);
  EXPECT_EQ(values, expected);
}

TEST_F(GpuKeptTest, ABackendThatKeptNothingHasNoZerosToGive) {
  GpuKept memory(device_, kernels_);
  EXPECT_THROW((void)memory.gather(stream_, uploader_, "f", Kept{nullptr}, kCount, DType::kF32),
               Error);
}

TEST_F(GpuKeptTest, RestoresWhatAnotherOneKept) {
  GpuKept memory(device_, kernels_);
  const std::vector<uint16_t> values = rounded(numbers(1, 0.125F));
  EXPECT_EQ(memory.restore(stream_, uploader_, values)->bf16(), values);
}

TEST_F(GpuKeptTest, NumbersThatAreNotFiniteAreAnErrorAndKeepNothing) {
  GpuKept memory(device_, kernels_);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> values = numbers(3, 1.0F);
    values[kCount + 4] = bad;
    try {
      (void)keep(memory, values);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInternal);
      EXPECT_THAT(error.what(), HasSubstr("the test gave non-finite numbers"));
    }
  }
  const size_t bytes = memory.size_bytes();
  const Kept kept = keep(memory, numbers(8, 1.0F));
  EXPECT_EQ(memory.size_bytes(), bytes);
}

TEST_F(GpuKeptTest, EveryFailureLeavesWhatIsKeptAsItWas) {
  int64_t failed = 0;
  for (int64_t number = 1;; ++number) {
    GpuKept memory(device_, kernels_);
    const std::vector<float> first = numbers(7, 0.75F);
    const std::vector<float> second = numbers(3, 0.5F);
    const Kept kept = keep(memory, first);
    std::optional<Kept> more;
    fake_cuda_fail_call(number);
    try {
      more = keep(memory, second);
      (void)memory.restore(stream_, uploader_, more->front()->bf16());
    } catch (const Error&) {
      ++failed;
    }
    const bool reached = fake_cuda_counted_calls() >= number;
    fake_cuda_fail_call(0);
    uploader_.wait(stream_);
    more = keep(memory, second);
    const size_t bytes = memory.size_bytes();
    for (size_t row = 0; row < 3; ++row) {
      EXPECT_THAT((*more)[row]->bf16(),
                  ElementsAreArray(rounded(std::span(second).subspan(row * kCount, kCount))));
    }
    for (size_t row = 0; row < 7; ++row) {
      EXPECT_THAT(kept[row]->bf16(),
                  ElementsAreArray(rounded(std::span(first).subspan(row * kCount, kCount))));
    }
    const Kept rest = keep(memory, numbers(6, 1.0F));  // of two blocks: nothing is lost
    EXPECT_EQ(memory.size_bytes(), bytes);
    if (!reached || HasFailure()) break;
  }
  EXPECT_GT(failed, 8);
}

TEST_F(GpuKeptTest, ResizesPlanesOfSeveralWaysAsTheHostDoes) {
  GpuKept memory(device_, kernels_);
  std::vector<float> values(9 * 9);
  std::iota(values.begin(), values.end(), -40.0F);
  const auto plane = [&](int64_t side, int64_t through) {
    const auto some = std::span(values).first(static_cast<size_t>(side * side));
    return ResizedPlane{LogitPlane({some.begin(), some.end()}), side, through};
  };
  std::vector<ResizedPlane> planes = {plane(3, 5), plane(2, 5), plane(2, 0), plane(3, 0),
                                      plane(7, 0), plane(7, 0), plane(9, 0), plane(3, 9),
                                      plane(3, 5), plane(3, 5), plane(3, 7)};
  const Tensor wanted = resize_planes(planes, 7);
  for (const size_t i : {3U, 8U}) {
    planes[i].plane = memory.keep_plane(stream_, uploader_, planes[i].plane.values());
  }
  for (int round = 0; round < 2; ++round) {
    const auto at = memory.resize(stream_, uploader_, "masks", planes, 7);
    EXPECT_THAT(floats_at(at, wanted.f32().size()), ElementsAreArray(wanted.f32()));
  }
  EXPECT_THROW((void)memory.resize(stream_, uploader_, "masks", {}, 7), Error);
}

TEST_F(GpuKeptTest, PlanesAreCopiedAsTheyAreAndReadBackAtAnyTime) {
  auto memory = std::make_unique<GpuKept>(device_, kernels_);
  std::vector<float> values = numbers(4, 0.5F);
  values[2 * kCount + 1] = NAN;
  source_.grow(stream_, values.size() * sizeof(float));
  uploader_.upload(stream_, source_.data(), std::as_bytes(std::span(values)));
  const std::vector<size_t> wanted = {3, 0, 2};
  std::vector<LogitPlane> planes = memory->keep_planes(stream_, source_.data(), wanted, kCount);
  fill_bytes(stream_, source_.data(), std::byte{0}, values.size() * sizeof(float));
  planes.push_back(
      memory->keep_plane(stream_, uploader_, std::span(values).subspan(kCount, kCount)));
  ASSERT_EQ(planes.size(), 4U);
  for (const size_t i : {0U, 1U, 3U}) {
    const size_t row = i == 3 ? 1 : wanted[i];
    EXPECT_EQ(planes[i].size(), kCount);
    EXPECT_THAT(planes[i].values(),
                ElementsAreArray(std::span(values).subspan(row * kCount, kCount)));
  }
  EXPECT_TRUE(std::isnan(planes[2].values()[1]));
  EXPECT_TRUE(memory->keep_planes(stream_, source_.data(), {}, kCount).empty());
  EXPECT_THROW((void)memory->keep_plane(stream_, uploader_, std::vector<float>(3)), Error);
  const LogitPlane last = memory->keep_plane(stream_, uploader_, std::vector<float>(kCount, 7.0F));
  memory.reset();
  EXPECT_THAT(last.values(), testing::Each(7.0F));
}

TEST_F(GpuKeptTest, APlaneIsPlacedFromWhereverItIs) {
  GpuKept memory(device_, kernels_);
  GpuKept other(device_, kernels_);
  const std::vector<float> values = numbers(1, 0.25F);
  for (const LogitPlane& plane : {LogitPlane(values), memory.keep_plane(stream_, uploader_, values),
                                  other.keep_plane(stream_, uploader_, values)}) {
    source_.grow(stream_, kCount * sizeof(float));
    fill_bytes(stream_, source_.data(), std::byte{0}, kCount * sizeof(float));
    memory.place(stream_, uploader_, source_.data(), plane);
    EXPECT_THAT(floats_at(source_.data(), kCount), ElementsAreArray(values));
  }
}

TEST_F(GpuKeptTest, APlaneThatNobodyHoldsGivesItsMemoryToTheNext) {
  GpuKept memory(device_, kernels_);
  const std::vector<float> first = numbers(1, 0.5F);
  source_.grow(stream_, kCount * sizeof(float));
  LogitPlane plane = memory.keep_plane(stream_, uploader_, first);
  const int objects = fake_cuda_live_objects();
  for (int round = 0; round < 100; ++round) {
    memory.place(stream_, uploader_, source_.data(), plane);
    const std::vector<float> values = numbers(1, static_cast<float>(round));
    plane = memory.keep_plane(stream_, uploader_, values);
    EXPECT_THAT(plane.values(), ElementsAreArray(values));
  }
  EXPECT_EQ(fake_cuda_live_objects(), objects);
}

}  // namespace
}  // namespace sam3trt
