#include "trt/error_log.hpp"

#include <gtest/gtest.h>

#include <future>
#include <thread>

namespace sam3trt {
namespace {

using Workers = ErrorLog::Workers;

TEST(ErrorLog, ErrorsBelongToTheCallThatCausedThem) {
  ErrorLog log;
  {
    ErrorLog::Call call(log);
    EXPECT_TRUE(log.add("of the first call"));
  }
  ErrorLog::Call call(log);
  EXPECT_EQ(call.take(), "no reason given");
  log.add("one");
  log.add("two");
  EXPECT_EQ(call.take(), "one; two");
  EXPECT_EQ(call.take(), "no reason given");
}

TEST(ErrorLog, ErrorsOfAnotherThreadsCallStayThere) {
  ErrorLog log;
  ErrorLog::Call call(log);
  log.add("mine");
  auto other = std::async(std::launch::async, [&] {
    ErrorLog::Call theirs(log);
    log.add("theirs");
    return theirs.take();
  });
  EXPECT_EQ(other.get(), "theirs");
  EXPECT_EQ(call.take(), "mine");
}

TEST(ErrorLog, ThreadsOfTheLibraryReportToTheCallThatStartsSome) {
  ErrorLog log;
  ErrorLog::Call loading(log);
  ErrorLog::Call building(log, Workers::kYes);
  std::thread([&] { EXPECT_TRUE(log.add("a worker's")); }).join();
  EXPECT_EQ(building.take(), "a worker's");
  EXPECT_EQ(loading.take(), "no reason given");
}

TEST(ErrorLog, TheInnermostCallOfAThreadTakesItsErrors) {
  ErrorLog log;
  ErrorLog::Call outer(log);
  {
    ErrorLog::Call inner(log);
    log.add("inner");
    EXPECT_EQ(inner.take(), "inner");
  }
  log.add("outer");
  EXPECT_EQ(outer.take(), "outer");
}

TEST(ErrorLog, WhatNoCallCausedIsGivenBack) {
  ErrorLog log;
  EXPECT_FALSE(log.add("nobody's"));
  ErrorLog::Call call(log);
  std::thread([&] { EXPECT_FALSE(log.add("an unknown thread's")); }).join();
  EXPECT_EQ(call.take(), "no reason given");
}

TEST(ErrorLog, KeepsAFewErrorsOfACall) {
  ErrorLog log;
  ErrorLog::Call call(log);
  for (int i = 0; i < 100; ++i) log.add("e");
  EXPECT_EQ(call.take(), "e; e; e; e; e; e; e; e");
}

}  // namespace
}  // namespace sam3trt
