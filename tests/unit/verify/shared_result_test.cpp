#include "verify/shared_result.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/error.hpp"

namespace sam3trt {
namespace {

TEST(SharedResult, IsComputedOnceForAllThreads) {
  SharedResult<int> result;
  std::atomic<int> computed = 0;
  std::atomic<int> sum = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] { sum += result.get([&] { return ++computed + 6; }); });
    }
  }
  EXPECT_EQ(computed, 1);
  EXPECT_EQ(sum, 4 * 7);
}

TEST(SharedResult, WhatFailedFailsAgainWithoutRunning) {
  SharedResult<int> result;
  int computed = 0;
  const auto fail = [&]() -> int {
    ++computed;
    throw Error(ErrorCode::kBadInput, "damaged");
  };
  EXPECT_THROW(static_cast<void>(result.get(fail)), Error);
  EXPECT_THROW(static_cast<void>(result.get(fail)), Error);
  EXPECT_EQ(computed, 1);
}

}  // namespace
}  // namespace sam3trt
