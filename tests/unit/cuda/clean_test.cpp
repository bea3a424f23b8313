#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "cuda/kernels/clean.hpp"
#include "fake_driver.hpp"
#include "image/mask_cleanup.hpp"
#include "kernel_cases.hpp"

namespace sam3trt {
namespace {

TEST(CleanKernels, EqualTheHostsMasks) {
  const CudaDevice device(0, fake_driver());
  int cases = 0;
  run_clean_cases(device, {.exact = true, .timed_launches = 0}, [&](const CaseResult& result) {
    ++cases;
    EXPECT_TRUE(result.passed) << result.name << ": " << result.differing << " of "
                               << result.values;
    EXPECT_GT(result.values, 0U) << result.name;
  });
  EXPECT_GT(cases, 20);
}

/// Every body on every pixel, by several threads at once, each in an order of its own.
void run_on_threads(const CleanArgs& args, void (*body)(const CleanArgs&, KernelThread)) {
  constexpr unsigned kThreads = 4;
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < kThreads; ++n) {
    threads.emplace_back([&args, body, n] {
      std::vector<unsigned> pixels;
      for (unsigned i = n; i < args.side * args.side; i += kThreads) pixels.push_back(i);
      std::ranges::shuffle(pixels, std::mt19937(n));
      for (const unsigned pixel : pixels) {
        body(args, {pixel % kBlockThreads, pixel / kBlockThreads});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(CleanKernels, GiveTheSameInWhateverOrderThreadsRun) {
  constexpr int64_t kSide = 96;
  constexpr size_t kPixels = kSide * kSide;
  constexpr int64_t kMost = 40;
  std::mt19937 random(5);
  for (int repeat = 0; repeat < 12; ++repeat) {
    std::vector<float> mask(kPixels);
    for (float& value : mask) value = static_cast<int>(random() % 12) < repeat ? 1.0F : -1.0F;
    std::vector<float> expected = mask;
    clean_mask(expected, kSide, kMost);
    float* plane = mask.data();
    std::vector<uint64_t> words(static_cast<size_t>(kSide * above_words(kSide)));
    std::vector<uint32_t> labels(kPixels);
    std::vector<uint32_t> areas(kPixels);
    uint32_t total = 0;
    for (const int32_t foreground : {0, 1}) {
      const CleanArgs args{&plane,       kSide,         kMost,        foreground,
                           words.data(), labels.data(), areas.data(), &total};
      for (auto* body : {clean_words_body, clean_begin_body, clean_join_body, clean_count_body,
                         clean_apply_body}) {
        run_on_threads(args, body);
      }
    }
    EXPECT_EQ(mask, expected) << repeat;
  }
}

TEST(CleanKernels, LeaveNumbersThatAreNotFinite) {
  const float bad = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> mask = {1, 1, 1, 1, bad, 1, 1, 1, 1};
  float* plane = mask.data();
  std::vector<uint64_t> words(3);
  std::vector<uint32_t> labels(9);
  std::vector<uint32_t> areas(9);
  uint32_t total = 0;
  const CleanArgs args{&plane, 3, 4, 0, words.data(), labels.data(), areas.data(), &total};
  for (auto* body :
       {clean_words_body, clean_begin_body, clean_join_body, clean_count_body, clean_apply_body}) {
    run_on_threads(args, body);
  }
  EXPECT_TRUE(std::isnan(mask[4]));
}

}  // namespace
}  // namespace sam3trt
