#include "base/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>
#include <vector>

namespace sam3trt {

void run_parallel(size_t count, size_t each, const std::function<void(size_t)>& work) {
  constexpr size_t kMost = 8;
  const size_t processors = std::max<size_t>(std::thread::hardware_concurrency(), 1);
  const size_t threads = std::min({count / std::max<size_t>(each, 1), processors, kMost});
  std::atomic<size_t> next = 0;
  const auto share = [&] {
    for (size_t i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::future<void>> others;  // a future waits for its thread when it goes
  for (size_t i = 1; i < threads; ++i) others.push_back(std::async(std::launch::async, share));
  share();
  for (std::future<void>& other : others) other.get();
}

}  // namespace sam3trt
