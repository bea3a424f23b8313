#include "bench_times.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

namespace sam3trt {

double milliseconds(BenchClock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

nlohmann::ordered_json to_json(const Statistics& statistics) {
  const auto rounded = [](double value) { return std::round(value * 1e4) / 1e4; };
  return {{"median_ms", rounded(statistics.median)}, {"p95_ms", rounded(statistics.p95)}};
}

}  // namespace sam3trt
