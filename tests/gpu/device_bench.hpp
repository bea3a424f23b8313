#pragma once

#include <functional>
#include <span>
#include <vector>

#include "cuda/buffer.hpp"
#include "kernel_cases.hpp"

namespace sam3trt {

/// What all cases share: data to the device and back, and kernels run and timed.
class DeviceBench {
 public:
  DeviceBench(const CudaDevice& device, const CaseOptions& options)
      : device_(device), options_(options), stream_(device) {}

  [[nodiscard]] const CaseOptions& options() const { return options_; }
  [[nodiscard]] const Stream& stream() const { return stream_; }

  template <typename T>
  [[nodiscard]] DeviceBuffer upload(const std::vector<T>& values) const {
    DeviceBuffer buffer = make<T>(values.size());
    copy_to_device(stream_, buffer.data(), std::as_bytes(std::span(values)));
    stream_.synchronize();
    return buffer;
  }

  template <typename T>
  [[nodiscard]] DeviceBuffer make(size_t count) const {
    return DeviceBuffer(device_, count * sizeof(T));
  }

  template <typename T>
  [[nodiscard]] std::vector<T> download(const DeviceBuffer& buffer, size_t count) const {
    std::vector<T> values(count);
    copy_to_host(stream_, std::as_writable_bytes(std::span(values)), buffer.data());
    stream_.synchronize();
    return values;
  }

  /// Runs `launch` once, and as often as asked for to time it; returns microseconds of one launch.
  double run(const std::function<void()>& launch) const {
    launch();
    stream_.synchronize();
    if (options_.timed_launches == 0) return 0;
    const Event begin(device_);
    const Event end(device_);
    stream_.record(begin);
    for (int i = 0; i < options_.timed_launches; ++i) launch();
    stream_.record(end);
    end.synchronize();
    return 1000.0 * static_cast<double>(end.milliseconds_since(begin)) / options_.timed_launches;
  }

 private:
  const CudaDevice& device_;
  CaseOptions options_;
  Stream stream_;
};

/// Runs `run(bench, sizes)` for small sizes and, when launches are timed, for those that are timed.
template <typename Cases, typename Timed, typename Run>
void run_cases(const CudaDevice& device, const CaseOptions& options, const Cases& cases,
               const Timed& timed, const Run& run) {
  for (const auto& sizes : cases) run(DeviceBench(device, {}), sizes);
  if (options.timed_launches == 0) return;
  for (const auto& sizes : timed) {
    run(DeviceBench(device, {.exact = false, .timed_launches = options.timed_launches}), sizes);
  }
}

}  // namespace sam3trt
