#include "metrics.hpp"

namespace sam3trt {
namespace {

/// Metrics may be switched off; then there is nothing to count for.
bool succeeded(TRITONSERVER_Error* error) noexcept {
  if (error == nullptr) return true;
  TRITONSERVER_ErrorDelete(error);
  return false;
}

}  // namespace

Metric::Metric(const char* name, const char* description, Kind kind) {
  const auto triton_kind =
      kind == Kind::kCounter ? TRITONSERVER_METRIC_KIND_COUNTER : TRITONSERVER_METRIC_KIND_GAUGE;
  if (!succeeded(TRITONSERVER_MetricFamilyNew(&family_, triton_kind, name, description))) {
    family_ = nullptr;
  } else if (!succeeded(TRITONSERVER_MetricNew(&metric_, family_, nullptr, 0))) {
    metric_ = nullptr;
  }
}

Metric::~Metric() {
  if (metric_ != nullptr) succeeded(TRITONSERVER_MetricDelete(metric_));
  if (family_ != nullptr) succeeded(TRITONSERVER_MetricFamilyDelete(family_));
}

void Metric::add(double value) noexcept {
  if (metric_ != nullptr) succeeded(TRITONSERVER_MetricIncrement(metric_, value));
}

}  // namespace sam3trt
