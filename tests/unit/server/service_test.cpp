#include "server/service.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/error.hpp"
#include "fake_cuda.hpp"
#include "fake_driver.hpp"
#include "fake_graphs.hpp"
#include "fake_plan.hpp"
#include "image/image.hpp"
#include "sam3trt/session.hpp"
#include "segmenter/shared_model.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;

/// Holds the vision encoder until it is opened, and counts what goes through it.
class Gate {
 public:
  void pass(size_t images) {
    std::unique_lock lock(mutex_);
    ++runs_;
    images_ += images;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  void close() {
    const std::scoped_lock lock(mutex_);
    open_ = false;
  }
  void open() {
    const std::scoped_lock lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait_for_runs(size_t runs) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return runs_ >= runs; });
  }
  [[nodiscard]] size_t runs() {
    const std::scoped_lock lock(mutex_);
    return runs_;
  }
  [[nodiscard]] size_t images() {
    const std::scoped_lock lock(mutex_);
    return images_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
  size_t runs_ = 0;
  size_t images_ = 0;
};

std::string file_of(uint8_t shade) {
  Image image{24, 16, std::vector<uint8_t>(size_t{3} * 24 * 16, shade)};
  image.rgb[7] = 200;
  const std::vector<std::byte> bytes = encode_png(image);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class ServiceTest : public testing::Test {
 protected:
  ServiceTest() {
    limits_.warm_up = false;
    graphs_.set_damage("vision_encoder", [gate = gate_](const TensorMap& inputs, auto&) {
      gate->pass(static_cast<size_t>(inputs.begin()->second->shape().front()));
    });
  }

  [[nodiscard]] Model model() const {
    return Model(std::make_shared<const SharedModel>(
        std::make_shared<SharedEngines>(graphs_.engines()), FakeGraphs::tokenizer(),
        FakeGraphs::config(), Semantics::kHf));
  }

  /// Of two images at a time.
  [[nodiscard]] Model gpu_model() const {
    device_.make_current();
    auto gpu = std::make_shared<const GpuModel>(
        device_, fake_plans(graphs_.engines(), FakeGraphs::config(), {}), FakeGraphs::config(),
        Semantics::kHf);
    return Model(std::make_shared<const SharedModel>(std::move(gpu), FakeGraphs::tokenizer()));
  }

  [[nodiscard]] std::unique_ptr<Service> service() const {
    return std::make_unique<Service>(std::vector{model()}, "fake", limits_,
                                     RunHeader{"openvino", Semantics::kHf});
  }

  static ImageResult detect(Service& service, uint8_t shade, const std::string& text,
                            const HttpRequest& request = {}) {
    const std::vector<Prompt> prompts = {{text, {}}};
    return service.detect(service.decode(file_of(shade)), prompts, {}, request);
  }

  /// What a session of its own says.
  [[nodiscard]] std::string expected(uint8_t shade, const std::string& text) const {
    Session session(model());
    const std::string file = file_of(shade);
    const Image image = decode_image(std::as_bytes(std::span(file)), "image");
    const std::vector<Prompt> prompts = {{text, {}}};
    const ImageRequest request{view_of(image), prompts};
    return without_times(session.run({&request, 1}).front());
  }

  static std::string without_times(ImageResult result) {
    result.timings_ms = {};
    return to_json(result);
  }

  /// The status of the HttpError that the action throws; 0 without one.
  template <typename Action>
  static int status_of(const Action& action) {
    try {
      action();
    } catch (const HttpError& error) {
      return error.status();
    }
    return 0;
  }

  static void wait_until(const std::function<bool()>& condition) {
    while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  FakeGraphs graphs_;
  CudaDevice device_{0, fake_driver()};
  ServiceLimits limits_;
};

TEST_F(ServiceTest, AnswersAsASessionDoes) {
  const auto service = this->service();
  for (const char* text : {"dog", "red circle"}) {
    EXPECT_EQ(without_times(detect(*service, 40, text)), expected(40, text));
  }
}

TEST_F(ServiceTest, BeforeItIsReadyTheModelHasDoneAllThatItWillBeAskedFor) {
  limits_.warm_up = true;
  std::atomic<size_t> detections = 0;
  std::atomic<size_t> clicks = 0;
  graphs_.set_damage("detector", [&](const TensorMap&, auto&) { ++detections; });
  graphs_.set_damage("sam_decoder", [&](const TensorMap&, auto&) { ++clicks; });
  const auto make = [&](SessionEngines engines) {
    Model model(std::make_shared<const SharedModel>(
        std::make_shared<SharedEngines>(std::move(engines)), FakeGraphs::tokenizer(),
        FakeGraphs::config(), Semantics::kHf));
    const auto service = std::make_unique<Service>(std::vector{std::move(model)}, "fake", limits_,
                                                   RunHeader{"openvino", Semantics::kHf});
    wait_until([&] { return service->ready(); });
  };
  make(graphs_.engines());
  EXPECT_EQ(std::pair(detections.load(), clicks.load()), std::pair(size_t{1}, size_t{0}));
  make(graphs_.all_engines());
  EXPECT_EQ(std::pair(detections.load(), clicks.load()), std::pair(size_t{2}, size_t{1}));
}

TEST_F(ServiceTest, AnImageIsEncodedOnceHoweverOftenItIsAsked) {
  const auto service = this->service();
  for (const char* text : {"dog", "cat", "dog"}) static_cast<void>(detect(*service, 40, text));
  EXPECT_EQ(gate_->runs(), 1U);
  const ServiceStats stats = service->stats();
  EXPECT_EQ(stats.cache_misses, 1U);
  EXPECT_EQ(stats.cache_hits, 2U);
  EXPECT_EQ(stats.cache_images, 1U);
}

TEST_F(ServiceTest, CallsThatWaitGoThroughTheModelTogetherAndGetWhatTheyWouldAlone) {
  limits_.sessions = 1;
  const auto service = std::make_unique<Service>(std::vector{gpu_model()}, "fake", limits_,
                                                 RunHeader{"tensorrt", Semantics::kHf});
  gate_->close();
  std::thread first([&] { static_cast<void>(detect(*service, 1, "dog")); });
  gate_->wait_for_runs(1);
  std::array<std::string, 6> found;
  std::vector<std::thread> clients;
  for (size_t i = 0; i < found.size(); ++i) {
    clients.emplace_back([&, i] {
      const auto shade = static_cast<uint8_t>(10 + i / 3);  // two images of three texts
      found.at(i) = without_times(detect(*service, shade, i % 3 == 0 ? "dog" : "red circle"));
    });
  }
  wait_until([&] { return service->stats().waiting == found.size(); });
  gate_->open();
  first.join();
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(service->stats().batches, (std::map<size_t, uint64_t>{{1, 1}, {2, 1}}));
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found.at(i),
              expected(static_cast<uint8_t>(10 + i / 3), i % 3 == 0 ? "dog" : "red circle"))
        << i;
  }
}

TEST_F(ServiceTest, APromptThatCannotBeSpoilsNoOtherCall) {
  const auto service = this->service();
  gate_->close();
  std::thread first([&] { static_cast<void>(detect(*service, 1, "dog")); });
  gate_->wait_for_runs(1);
  std::string good;
  std::string message;
  std::thread client([&] { good = without_times(detect(*service, 9, "dog")); });
  std::thread other([&] {
    const std::vector<Prompt> prompts = {{std::nullopt, {{{500, 500, 600, 600}, true}}}};
    try {
      static_cast<void>(service->detect(service->decode(file_of(9)), prompts, {}, {}));
    } catch (const Error& error) {
      message = error.what();
    }
  });
  wait_until([&] { return service->stats().waiting == 2; });
  gate_->open();
  for (std::thread* thread : {&first, &client, &other}) thread->join();
  EXPECT_EQ(good, expected(9, "dog"));
  EXPECT_THAT(message, HasSubstr("box"));
}

TEST_F(ServiceTest, AFullQueueAndALongWaitAreRefusedWithATimeToComeBack) {
  limits_.queue = 1;
  limits_.timeout = std::chrono::milliseconds(300);
  const auto service = this->service();
  gate_->close();
  std::thread first([&] { static_cast<void>(detect(*service, 1, "dog")); });
  gate_->wait_for_runs(1);
  int late = 0;
  std::thread waits(
      [&] { late = status_of([&] { static_cast<void>(detect(*service, 2, "dog")); }); });
  wait_until([&] { return service->stats().waiting == 1; });
  try {
    static_cast<void>(detect(*service, 3, "dog"));
    ADD_FAILURE() << "the queue has room";
  } catch (const HttpError& error) {
    EXPECT_EQ(error.status(), 503);
    EXPECT_EQ(error.name(), "queue_full");
    EXPECT_EQ(error.retry_after(), 1);
  }
  waits.join();
  EXPECT_EQ(late, 503);
  gate_->open();
  first.join();
  EXPECT_EQ(gate_->runs(), 1U);
}

TEST_F(ServiceTest, AClientThatLeavesFreesItsPlace) {
  limits_.queue = 1;
  const auto service = this->service();
  gate_->close();
  std::thread first([&] { static_cast<void>(detect(*service, 1, "dog")); });
  gate_->wait_for_runs(1);
  std::atomic<bool> gone = false;
  HttpRequest request;
  request.gone = [&] { return gone.load(); };
  int status = 0;
  std::thread leaves(
      [&] { status = status_of([&] { static_cast<void>(detect(*service, 2, "dog", request)); }); });
  wait_until([&] { return service->stats().waiting == 1; });
  gone = true;
  leaves.join();
  EXPECT_EQ(status, 499);
  EXPECT_EQ(service->stats().waiting, 0U);
  gate_->open();
  first.join();
  EXPECT_EQ(gate_->runs(), 1U);
}

TEST_F(ServiceTest, AfterStopWhatRunsIsFinishedAndTheRestRefused) {
  const auto service = this->service();
  gate_->close();
  std::string found;
  std::thread runs([&] { found = without_times(detect(*service, 1, "dog")); });
  gate_->wait_for_runs(1);
  int waiting = 0;
  std::thread waits(
      [&] { waiting = status_of([&] { static_cast<void>(detect(*service, 2, "dog")); }); });
  wait_until([&] { return service->stats().waiting == 1; });
  service->stop();
  waits.join();
  EXPECT_EQ(waiting, 503);
  EXPECT_FALSE(service->ready());
  EXPECT_EQ(status_of([&] { static_cast<void>(detect(*service, 3, "dog")); }), 503);
  gate_->open();
  runs.join();
  EXPECT_EQ(found, expected(1, "dog"));
}

TEST_F(ServiceTest, TheCacheForgetsWhatWasNotAskedForTheLongest) {
  const auto first = service();
  static_cast<void>(detect(*first, 1, "dog"));
  const size_t one = first->stats().cache_bytes;
  ASSERT_GT(one, 0U);
  limits_.cache_bytes = 2 * one;
  const auto service = this->service();
  std::vector<std::string> digests;
  for (const uint8_t shade : {uint8_t{1}, uint8_t{2}}) {
    const ServedImage image = service->decode(file_of(shade));
    digests.push_back(image.digest);
    service->encode(image, {});
  }
  static_cast<void>(service->image_of(digests[0]));
  service->encode(service->decode(file_of(3)), {});
  EXPECT_EQ(service->stats().cache_bytes, 2 * one);
  EXPECT_EQ(status_of([&] { static_cast<void>(service->image_of(digests[1])); }), 404);
  EXPECT_EQ(status_of([&] { static_cast<void>(service->image_of(digests[0])); }), 0);
  limits_.cache_bytes = 0;
  const auto none = this->service();
  EXPECT_EQ(without_times(detect(*none, 1, "dog")), expected(1, "dog"));
  EXPECT_EQ(none->stats().cache_bytes, 0U);
}

TEST_F(ServiceTest, ImagesThatAreTooLargeAndWhatIsNoImageAreRefusedApart) {
  limits_.max_pixels = 24 * 16;
  limits_.max_file_bytes = 1000;
  const auto service = this->service();
  EXPECT_EQ(status_of([&] { static_cast<void>(service->decode(file_of(1))); }), 0);
  const Image large{25, 16, std::vector<uint8_t>(size_t{3} * 25 * 16)};
  const auto bytes = encode_png(large);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  EXPECT_EQ(status_of([&] { static_cast<void>(service->decode(text)); }), 413);
  EXPECT_EQ(status_of([&] { static_cast<void>(service->decode(std::string(1001, 'x'))); }), 413);
  EXPECT_EQ(status_of([&] { static_cast<void>(service->decode("no image")); }), 415);
  EXPECT_EQ(status_of([&] { static_cast<void>(service->decode("")); }), 415);
}

TEST_F(ServiceTest, WhatIsWrongWithAnImageIsToldByTheReasonAndNotByItsName) {
  const auto service = this->service();
  for (const std::string where : {"tasks[0].data.pixels", "image which is too large"}) {
    EXPECT_EQ(status_of([&] { static_cast<void>(service->decode("no image", where)); }), 415);
  }
  // A header of 512x512 pixels, and not one of them.
  std::string bmp(54, '\0');
  bmp.replace(0, 2, "BM");
  for (const auto& [at, value] : {std::pair{10, 54}, {14, 40}, {26, 1}, {28, 24}}) {
    bmp.at(static_cast<size_t>(at)) = static_cast<char>(value);
  }
  bmp.at(19) = bmp.at(23) = 2;
  try {
    static_cast<void>(service->decode(bmp, "image"));
    ADD_FAILURE() << "decoded";
  } catch (const HttpError& error) {
    EXPECT_EQ(error.status(), 415);
    EXPECT_EQ(error.field(), "image");
    EXPECT_THAT(error.what(), HasSubstr("image: is not a readable BMP file"));
    EXPECT_THAT(error.what(), HasSubstr("too short for 512x512 pixels"));
  }
}

TEST_F(ServiceTest, PromptsAreCounted) {
  limits_.max_prompts = 2;
  const auto service = this->service();
  const ServedImage image = service->decode(file_of(1));
  const std::vector<Prompt> prompts(3, Prompt{"dog", {}});
  EXPECT_EQ(status_of([&] { static_cast<void>(service->detect(image, prompts, {}, {})); }), 422);
  EXPECT_EQ(
      status_of([&] { static_cast<void>(service->detect(image, std::vector<Prompt>{}, {}, {})); }),
      422);
  EXPECT_EQ(gate_->runs(), 0U);
}

}  // namespace
}  // namespace sam3trt
