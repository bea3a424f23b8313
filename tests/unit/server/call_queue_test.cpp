#include "server/call_queue.hpp"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "fake_graphs.hpp"
#include "image/image.hpp"
#include "sam3trt/session.hpp"
#include "segmenter/shared_model.hpp"
#include "server/feature_cache.hpp"

namespace sam3trt {
namespace {

ServedImage served(const std::string& digest) {
  auto image = std::make_shared<const Image>(
      Image{24, 16, std::vector<uint8_t>(size_t{3} * 24 * 16, uint8_t{50})});
  return {std::move(image), digest, 0};
}

/// What the fake graphs make of an image, and what happens when it goes.
std::shared_ptr<const Features> features_of(
    const ServedImage& image, const std::function<void()>& at_end = [] {}) {
  Session session(Model(std::make_shared<const SharedModel>(
      std::make_shared<SharedEngines>(FakeGraphs().engines()), FakeGraphs::tokenizer(),
      FakeGraphs::config(), Semantics::kHf)));
  const ImageView view = view_of(*image.image);
  return {new Features(session.encode({&view, 1})), [at_end](const Features* features) {
            at_end();
            delete features;
          }};
}

Call call_on(const ServedImage& image) {
  Call call;
  call.image = image;
  return call;
}

TEST(CallQueue, AClickOnKeptFeaturesDoesNotWaitForABatchThatMayGrow) {
  ServiceLimits limits;
  limits.batch_wait = std::chrono::milliseconds(500);
  FeatureCache cache(size_t{1} << 30);
  const ServedImage kept = served("kept");
  cache.add(0, {kept}, features_of(kept));
  CallQueue queue(limits, 2, cache);
  const CallQueue::Announcement coming(queue);
  Call fresh = call_on(served("fresh"));
  Call click = call_on(kept);
  std::thread first([&] { queue.run({&fresh, 1}, {}); });
  while (queue.waiting() < 1) std::this_thread::yield();
  std::thread second([&] { queue.run({&click, 1}, {}); });
  while (queue.waiting() < 2) std::this_thread::yield();
  for (Call* expected : {&click, &fresh}) {
    const std::vector<Call*> taken = queue.take(0);
    EXPECT_EQ(taken, std::vector{expected});
    queue.done(taken);
  }
  first.join();
  second.join();
}

TEST(CallQueue, WhatWaitedForTheModelDoesNotWaitForOthersBesides) {
  using Clock = std::chrono::steady_clock;
  ServiceLimits limits;
  limits.batch_wait = std::chrono::milliseconds(400);
  const FeatureCache cache(0);
  CallQueue queue(limits, 2, cache);
  const CallQueue::Announcement coming(queue);
  Call fresh = call_on(served("fresh"));
  std::thread client([&] { queue.run({&fresh, 1}, {}); });
  while (queue.waiting() < 1) std::this_thread::yield();
  std::this_thread::sleep_for(limits.batch_wait);
  const Clock::time_point begin = Clock::now();
  const std::vector<Call*> taken = queue.take(0);
  EXPECT_LT(Clock::now() - begin, limits.batch_wait / 2);
  queue.done(taken);
  client.join();
}

TEST(FeatureCache, OthersFindTheirsWhileTheMemoryOfOldFeaturesIsGivenBack) {
  const ServedImage old = served("old");
  const ServedImage fresh = served("fresh");
  const auto features = features_of(fresh);
  const size_t one = features->size_bytes() + fresh.image->rgb.size();
  FeatureCache cache(one);
  std::future<size_t> found;
  bool found_in_time = false;
  cache.add(0, {old}, features_of(old, [&] {
              found = std::async(std::launch::async, [&] { return cache.bytes(); });
              found_in_time = found.wait_for(std::chrono::seconds(3)) == std::future_status::ready;
            }));
  cache.add(0, {fresh}, features);
  EXPECT_TRUE(found_in_time);
  EXPECT_EQ(found.get(), one);
  EXPECT_FALSE(cache.find("old"));
  EXPECT_TRUE(cache.find("fresh"));
}

}  // namespace
}  // namespace sam3trt
