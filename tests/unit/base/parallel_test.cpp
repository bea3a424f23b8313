#include "base/parallel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace sam3trt {
namespace {

TEST(RunParallel, CallsEachOnceWhateverTheNumber) {
  for (const size_t count : {0U, 1U, 2U, 7U, 1000U}) {
    for (const size_t each : {0U, 1U, 3U, 5000U}) {
      std::vector<std::atomic<int>> calls(count);
      run_parallel(count, each, [&](size_t i) { ++calls[i]; });
      for (const auto& call : calls) EXPECT_EQ(call, 1);
    }
  }
}

TEST(RunParallel, ThrowsWhatACallThrowsWhenAllThreadsAreDone) {
  for (const size_t bad : {0U, 57U, 99U}) {
    std::atomic<int> running = 0;
    const auto work = [&](size_t i) {
      ++running;
      const bool fails = i == bad;
      --running;
      if (fails) throw std::runtime_error("that one");
    };
    EXPECT_THROW(run_parallel(100, 1, work), std::runtime_error);
    EXPECT_EQ(running, 0);
  }
}

}  // namespace
}  // namespace sam3trt
