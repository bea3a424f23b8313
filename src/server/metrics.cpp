#include "server/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <string>
#include <utility>
#include <vector>

namespace sam3trt {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

const prometheus::Histogram::BucketBoundaries kSeconds = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

MetricFamily value_of(std::string name, std::string help, MetricType type, double value) {
  ClientMetric metric;
  if (type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return {std::move(name), std::move(help), type, {std::move(metric)}};
}

/// Runs of the vision encoder by their number of images.
MetricFamily batches_of(const ServiceStats& stats) {
  ClientMetric metric;
  auto& histogram = metric.histogram;
  uint64_t count = 0;
  double sum = 0;
  size_t bound = 1;
  auto entry = stats.batches.begin();
  for (int bucket = 0; bucket < 8; ++bucket, bound *= 2) {
    for (; entry != stats.batches.end() && entry->first <= bound; ++entry) {
      count += entry->second;
      sum += static_cast<double>(entry->first * entry->second);
    }
    histogram.bucket.push_back({count, static_cast<double>(bound)});
  }
  for (; entry != stats.batches.end(); ++entry) {
    count += entry->second;
    sum += static_cast<double>(entry->first * entry->second);
  }
  histogram.sample_count = count;
  histogram.sample_sum = sum;
  return {"sam3trt_encoder_batch_images",
          "Images of a run of the vision encoder",
          MetricType::Histogram,
          {std::move(metric)}};
}

}  // namespace

struct Metrics::Registry {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      prometheus::BuildCounter()
          .Name("sam3trt_requests_total")
          .Help("Answered requests by route and status")
          .Register(registry);
  prometheus::Family<prometheus::Histogram>& seconds =
      prometheus::BuildHistogram()
          .Name("sam3trt_request_seconds")
          .Help("Time from the first byte of a request to the last one of its answer")
          .Register(registry);
};

Metrics::Metrics() : registry_(std::make_unique<Registry>()) {}
Metrics::~Metrics() = default;

void Metrics::add(const RequestRecord& record) {
  const std::string route = record.route.empty() ? "none" : record.route;
  registry_->requests.Add({{"route", route}, {"status", std::to_string(record.status)}})
      .Increment();
  registry_->seconds.Add({{"route", route}}, kSeconds).Observe(record.milliseconds / 1000);
}

std::string Metrics::text(const ServiceStats& stats) const {
  std::vector<MetricFamily> families = registry_->registry.Collect();
  const auto gauge = [&](const char* name, const char* help, size_t value) {
    families.push_back(value_of(name, help, MetricType::Gauge, static_cast<double>(value)));
  };
  const auto counter = [&](const char* name, const char* help, uint64_t value) {
    families.push_back(value_of(name, help, MetricType::Counter, static_cast<double>(value)));
  };
  gauge("sam3trt_queue_length", "Calls that wait for the model", stats.waiting);
  gauge("sam3trt_videos", "Videos that are tracked", stats.videos);
  gauge("sam3trt_cache_bytes", "Memory of kept features and images", stats.cache_bytes);
  gauge("sam3trt_cache_images", "Images whose features are kept", stats.cache_images);
  counter("sam3trt_cache_hits_total", "Calls whose image was encoded already", stats.cache_hits);
  counter("sam3trt_cache_misses_total", "Images that were encoded", stats.cache_misses);
  families.push_back(batches_of(stats));
  return prometheus::TextSerializer().Serialize(families);
}

void add_metrics_route(Routes& routes, const Metrics& metrics, const Service& service) {
  routes.add("GET", "/metrics", [&](const HttpRequest&) {
    HttpResponse response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = metrics.text(service.stats());
    return response;
  });
}

}  // namespace sam3trt
