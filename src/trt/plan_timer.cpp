#include "trt/plan_timer.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>
#include <string>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/tensor_cast.hpp"

namespace sam3trt {
namespace {

/// Normal numbers; indices and token numbers are 0, masks 1.
Tensor make_input(const TensorInfo& info, const Shape& shape) {
  if (info.dtype != DType::kF32 && !is_16_bit_float(info.dtype)) return {info.dtype, shape};
  Tensor tensor(DType::kF32, shape);
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  const bool is_mask = info.name.ends_with("mask");
  for (float& value : tensor.f32()) value = is_mask ? 1.0F : normal(random);
  return info.dtype == DType::kF32 ? std::move(tensor) : cast_tensor(tensor, info.dtype);
}

template <typename Start>
Statistics measure(const CudaDevice& device, const Stream& stream, int calls, const Start& start) {
  std::vector<double> times;
  const Event begin(device);
  const Event end(device);
  for (int i = 0; i < calls; ++i) {
    stream.record(begin);
    start();
    stream.record(end);
    end.synchronize();
    times.push_back(static_cast<double>(end.milliseconds_since(begin)));
  }
  return statistics_of(std::move(times));
}

}  // namespace

Statistics statistics_of(std::vector<double> values) {
  std::ranges::sort(values);
  const auto at = [&](double part) {
    const long index = std::lround(part * static_cast<double>(values.size() - 1));
    return values.at(static_cast<size_t>(index));
  };
  return {at(0.5), at(0.95)};
}

PlanTimer::PlanTimer(const CudaDevice& device, const LoadedPlan& plan, IsBatched is_batched)
    : device_(device),
      context_(plan.make_context(ActivationMemory::kOwn)),
      plan_(context_->plan()),
      is_batched_(std::move(is_batched)),
      stream_(device) {}

bool PlanTimer::is_batched(const std::string& input) const {
  if (is_batched_) return is_batched_(input);
  return plan_.profile(input).min != plan_.profile(input).max;
}

int64_t PlanTimer::largest_batch() const {
  int64_t largest = 1;
  for (const TensorInfo& info : plan_.inputs()) {
    if (is_batched(info.name)) largest = std::max(largest, plan_.profile(info.name).max.at(0));
  }
  return largest;
}

void PlanTimer::prepare(int64_t batch) {
  std::map<std::string, Shape> shapes;
  for (const TensorInfo& info : plan_.inputs()) {
    const ProfileShape profile = plan_.profile(info.name);
    Shape& shape = shapes[info.name] = profile.opt;
    if (profile.min == profile.max) continue;
    const int64_t rows = is_batched(info.name) ? batch : 1;
    shape.at(0) = std::clamp(rows, profile.min[0], profile.max[0]);
  }
  context_->set_input_shapes(shapes, stream_.handle());
  for (const TensorInfo& info : plan_.inputs()) {
    const Tensor tensor = make_input(info, shapes.at(info.name));
    DeviceBuffer& buffer = buffer_of(info.name);
    buffer.reserve(std::max<size_t>(tensor.bytes().size(), 1));  // there may be no pointers
    copy_to_device(stream_, buffer.data(), tensor.bytes());
    stream_.synchronize();
    context_->bind(info.name, buffer.data());
  }
  for (const TensorInfo& info : plan_.outputs()) {
    const int64_t count = element_count(context_->output_shape(info.name));
    DeviceBuffer& buffer = buffer_of(info.name);
    buffer.reserve(static_cast<size_t>(count) * size_of(info.dtype));
    context_->bind(info.name, buffer.data());
  }
}

Statistics PlanTimer::time_plain(int64_t batch, const Calls& calls) {
  prepare(batch);
  const auto enqueue = [&] { context_->enqueue(stream_.handle()); };
  for (int i = 0; i < calls.warm_up; ++i) enqueue();
  stream_.synchronize();
  return measure(device_, stream_, calls.measured, enqueue);
}

PlanTimer::Times PlanTimer::time(int64_t batch, const Calls& calls) {
  Times times;
  times.plain = time_plain(batch, calls);
  std::optional<CudaGraph> graph;
  try {
    graph.emplace(stream_, [&] { context_->enqueue(stream_.handle()); });
  } catch (const Error& error) {
    log(LogLevel::kInfo, std::string("an engine runs without a CUDA graph: ") + error.what());
    times.graph = times.plain;
    return times;
  }
  for (int i = 0; i < calls.warm_up; ++i) graph->launch(stream_);
  stream_.synchronize();
  times.graph = measure(device_, stream_, calls.measured, [&] { graph->launch(stream_); });
  return times;
}

std::vector<LayerTime> PlanTimer::time_layers(int64_t batch, const Calls& calls) {
  prepare(batch);
  std::vector<LayerTime> layers;
  std::vector<std::vector<double>> times;
  for (int i = 0; i < calls.warm_up + calls.measured; ++i) {
    auto run = context_->time_layers(stream_.handle());
    if (layers.empty()) {
      layers = run;
      times.resize(run.size());
    }
    if (i < calls.warm_up || run.size() != layers.size()) continue;
    for (size_t n = 0; n < run.size(); ++n) times[n].push_back(run[n].milliseconds);
  }
  for (size_t n = 0; n < layers.size(); ++n) {
    layers[n].milliseconds = statistics_of(std::move(times[n])).median;
  }
  return layers;
}

DeviceBuffer& PlanTimer::buffer_of(const std::string& name) {
  return buffers_.try_emplace(name, device_).first->second;
}

}  // namespace sam3trt
