#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>

#include "trt/plan_timer.hpp"

namespace sam3trt {

using BenchClock = std::chrono::steady_clock;

[[nodiscard]] double milliseconds(BenchClock::duration duration);

/// {"median_ms": .., "p95_ms": ..}, to four digits after the point.
[[nodiscard]] nlohmann::ordered_json to_json(const Statistics& statistics);

}  // namespace sam3trt
