#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cuda/buffer.hpp"
#include "cuda/device.hpp"
#include "trt/api.hpp"

namespace sam3trt {

/// Of some measured values.
struct Statistics {
  double median = 0;
  double p95 = 0;
};

/// `values` must not be empty.
[[nodiscard]] Statistics statistics_of(std::vector<double> values);

/// Times one plan with inputs that stay on the GPU, so that only the plan is timed.
class PlanTimer {
 public:
  struct Calls {
    int warm_up = 5;
    int measured = 30;
  };

  /// Milliseconds per call.
  struct Times {
    Statistics graph;  ///< Launched as a CUDA graph; `plain` for an engine that cannot be recorded.
    Statistics plain;
  };

  /// Whether the first axis of that input counts what a batch is made of.
  using IsBatched = std::function<bool(const std::string& input)>;

  /// The device must outlive the timer, which has a context of its own.
  /// Without `is_batched`, all inputs whose shape is not fixed are batched. The first axis of the
  /// others is 1, or the smallest that the plan takes.
  PlanTimer(const CudaDevice& device, const LoadedPlan& plan, IsBatched is_batched = {});

  /// Largest batch that the plan takes.
  [[nodiscard]] int64_t largest_batch() const;

  /// Milliseconds per plain call with that batch, or as much of it as the plan takes.
  [[nodiscard]] Statistics time_plain(int64_t batch, const Calls& calls);

  /// The same, and as a CUDA graph.
  [[nodiscard]] Times time(int64_t batch, const Calls& calls);

  /// Medians of the layers, in the order of their run. Slows the timer down for good
  /// (PlanContext::time_layers).
  [[nodiscard]] std::vector<LayerTime> time_layers(int64_t batch, const Calls& calls);

 private:
  [[nodiscard]] bool is_batched(const std::string& input) const;
  void prepare(int64_t batch);
  DeviceBuffer& buffer_of(const std::string& name);

  const CudaDevice& device_;
  std::unique_ptr<PlanContext> context_;
  const LoadedPlan& plan_;
  IsBatched is_batched_;
  Stream stream_;
  std::map<std::string, DeviceBuffer> buffers_;
};

}  // namespace sam3trt
