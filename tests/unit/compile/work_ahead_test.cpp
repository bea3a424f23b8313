#include "compile/work_ahead.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <stop_token>
#include <string>

#include "base/error.hpp"
#include "base/stop.hpp"

namespace sam3trt {
namespace {

/// What one side waits for.
class Signal {
 public:
  void give() {
    const std::lock_guard lock(mutex_);
    given_ = true;
    changed_.notify_all();
  }
  void wait(const std::stop_token& stop = {}) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [this] { return given_; });
    throw_if_stopped(stop, "the verification");
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool given_ = false;
};

TEST(WorkAhead, RunsWhileTheCallerDoesSomethingElse) {
  Signal compiling;
  Signal done;
  int pieces = 0;
  WorkAhead ahead({[&] { compiling.wait(); }, [&] { ++pieces; },
                   [&] {
                     ++pieces;
                     done.give();
                   }},
                  [] {});
  compiling.give();  // would never be, if the work ran in this thread
  done.wait();
  ahead.finish();
  EXPECT_EQ(pieces, 2);
  EXPECT_FALSE(ahead.failed());
  EXPECT_NO_THROW(ahead.check());
}

TEST(WorkAhead, AnErrorEndsItAndIsTheCallersWhenItAsks) {
  bool went_on = false;
  WorkAhead ahead(
      {[] { throw Error(ErrorCode::kBadInput, "tensor x is damaged"); }, [&] { went_on = true; }},
      [] {});
  ahead.finish();
  EXPECT_TRUE(ahead.failed());
  EXPECT_FALSE(went_on);
  try {
    ahead.check();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "tensor x is damaged");
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
  }
}

TEST(WorkAhead, WhatIsNotDoneIsCancelledWithItsOwner) {
  std::stop_source cancel;
  Signal started;
  Signal never;
  std::atomic<bool> stopped = false;
  std::atomic<bool> went_on = false;
  {
    const WorkAhead ahead({[&] {
                             started.give();
                             try {
                               never.wait(cancel.get_token());
                             } catch (const StoppedError&) {
                               stopped = true;
                               throw;
                             }
                           },
                           [&] { went_on = true; }},
                          [&] { cancel.request_stop(); });
    started.wait();
  }
  EXPECT_TRUE(stopped);
  EXPECT_FALSE(went_on);
}

}  // namespace
}  // namespace sam3trt
