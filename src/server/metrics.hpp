#pragma once

#include <memory>

#include <string>

#include "server/http.hpp"
#include "server/http_server.hpp"
#include "server/service.hpp"

namespace sam3trt {

/// Counts requests, and tells Prometheus of them and of the service.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// May be called from several threads.
  void add(const RequestRecord& record);

  /// The text format of Prometheus.
  [[nodiscard]] std::string text(const ServiceStats& stats) const;

 private:
  struct Registry;
  std::unique_ptr<Registry> registry_;
};

/// /metrics; both must outlive the routes.
void add_metrics_route(Routes& routes, const Metrics& metrics, const Service& service);

}  // namespace sam3trt
