#include "verify/engine_times.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <utility>
#include <vector>

#include "verify/engine_wrapper.hpp"

namespace sam3trt {
namespace {

class WatchedEngine : public EngineWrapper {
 public:
  WatchedEngine(std::string name, std::unique_ptr<Engine> engine, EngineTimes& times)
      : EngineWrapper(std::move(engine)), name_(std::move(name)), times_(times) {}

  [[nodiscard]] std::map<std::string, Tensor> run(const TensorMap& inputs) override {
    using Clock = std::chrono::steady_clock;
    const auto begin = Clock::now();
    auto results = engine().run(inputs);
    times_.add(name_, std::chrono::duration<double>(Clock::now() - begin).count());
    return results;
  }

 private:
  std::string name_;
  EngineTimes& times_;
};

/// "8.1"
std::string in_tenths(double seconds) {
  std::array<char, 32> text{};
  static_cast<void>(std::snprintf(text.data(), text.size(), "%.1f", seconds));
  return text.data();
}

}  // namespace

std::unique_ptr<Engine> EngineTimes::watch(std::string name, std::unique_ptr<Engine> engine) {
  return std::make_unique<WatchedEngine>(std::move(name), std::move(engine), *this);
}

void EngineTimes::add(const std::string& name, double seconds) {
  calls_[name].seconds += seconds;
  ++calls_[name].count;
}

std::string EngineTimes::text() const {
  std::vector<std::pair<std::string, Calls>> sorted(calls_.begin(), calls_.end());
  std::ranges::stable_sort(
      sorted, [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  double total = 0;
  std::string parts;
  for (const auto& [name, calls] : sorted) {
    total += calls.seconds;
    parts += (parts.empty() ? ": " : ", ") + name + " " + in_tenths(calls.seconds) + " (" +
             std::to_string(calls.count) + (calls.count == 1 ? " call)" : " calls)");
  }
  return in_tenths(total) + " s" + parts;
}

}  // namespace sam3trt
