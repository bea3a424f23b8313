#pragma once

#include <triton/core/tritonserver.h>

namespace sam3trt {

/// A number among those of Triton's /metrics; of all instances together, and nothing where Triton
/// has no metrics.
class Metric {
 public:
  enum class Kind { kCounter, kGauge };

  Metric(const char* name, const char* description, Kind kind);
  ~Metric();
  Metric(const Metric&) = delete;
  Metric& operator=(const Metric&) = delete;

  void add(double value) noexcept;

 private:
  TRITONSERVER_MetricFamily* family_ = nullptr;
  TRITONSERVER_Metric* metric_ = nullptr;
};

}  // namespace sam3trt
