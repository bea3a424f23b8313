#include "server/thread_group.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

namespace sam3trt {
namespace {

TEST(ThreadGroup, RefusesWorkWhenAllThreadsAreBusyAndTakesItAgainLater) {
  ThreadGroup group(2);
  std::latch hold(1);
  std::latch done(2);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(group.start([&] {
      hold.wait();
      done.count_down();
    }));
  }
  EXPECT_TRUE(group.is_full());
  EXPECT_FALSE(group.start([] {}));
  hold.count_down();
  done.wait();
  while (group.is_full()) std::this_thread::yield();
  EXPECT_TRUE(group.start([] {}));
}

TEST(ThreadGroup, WaitsForAllWorkAtItsEnd) {
  std::atomic<int> done = 0;
  {
    ThreadGroup group(8);
    for (int i = 0; i < 1000; ++i) {
      while (!group.start([&] { ++done; })) std::this_thread::yield();
    }
  }
  EXPECT_EQ(done, 1000);
}

}  // namespace
}  // namespace sam3trt
