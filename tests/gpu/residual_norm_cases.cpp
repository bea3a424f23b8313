#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "base/half.hpp"
#include "base/tensor_cast.hpp"
#include "cuda/operators.hpp"
#include "device_bench.hpp"

namespace sam3trt {
namespace {

struct Sizes {
  DType type;
  int64_t rows;
  int64_t columns;
};

/// Each kernel with all of its columns and with fewer; rows that do not fill a block.
constexpr std::array<Sizes, 9> kCases = {{{DType::kF16, 9, 256},
                                          {DType::kBF16, 4, 256},
                                          {DType::kF16, 1, 8},
                                          {DType::kBF16, 3, 248},
                                          {DType::kF16, 5, 264},
                                          {DType::kF16, 2, 1024},
                                          {DType::kBF16, 7, 1032},
                                          {DType::kF16, 1, 2048},
                                          {DType::kBF16, 129, 96}}};

/// Those of the fusion encoder and of memory attention, for one prompt and for eight.
constexpr std::array<Sizes, 2> kTimed = {{{DType::kF16, 5184, 256}, {DType::kF16, 8 * 5184, 256}}};

CaseResult run_case(const DeviceBench& bench, const OperatorKernels& kernels, const Sizes& sizes) {
  constexpr float kEpsilon = 1e-5F;
  std::mt19937 random(23);
  std::normal_distribution<float> normal;
  const auto numbers = [&](int64_t count, float scale, float shift) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = scale * normal(random) + shift;
    return values;
  };
  const int64_t count = sizes.rows * sizes.columns;
  Tensor wide(DType::kF32, {count});
  std::ranges::copy(numbers(count, 2, 0.5F), wide.f32().begin());
  const Tensor low = cast_tensor(wide, sizes.type);
  const Tensor added = cast_tensor(low, DType::kF32);
  const std::vector<float> residual = numbers(count, 3, -1);
  const std::vector<float> gain = numbers(sizes.columns, 0.2F, 1);
  const std::vector<float> shift = numbers(sizes.columns, 0.3F, 0);

  const DeviceBuffer on_added =
      bench.upload(std::vector<std::byte>(low.bytes().begin(), low.bytes().end()));
  const DeviceBuffer on_residual = bench.upload(residual);
  const DeviceBuffer on_gain = bench.upload(gain);
  const DeviceBuffer on_shift = bench.upload(shift);
  const auto size = static_cast<size_t>(count);
  const DeviceBuffer on_result = bench.upload(std::vector<uint16_t>(size, 0xFFFF));  // NaN
  const DeviceBuffer on_sum = bench.upload(std::vector<float>(size, std::nanf("")));
  ResidualNorm call;
  call.type = sizes.type;
  call.added = on_added.data();
  call.residual = on_residual.data();
  call.gain = on_gain.data();
  call.shift = on_shift.data();
  call.result = on_result.data();
  call.sum = on_sum.data();
  call.epsilon = kEpsilon;
  call.rows = sizes.rows;
  call.columns = sizes.columns;

  CaseResult result;
  result.name = "residual norm " + std::string(name_of(sizes.type)) + " " +
                std::to_string(sizes.rows) + " x " + std::to_string(sizes.columns);
  result.microseconds = bench.run([&] { kernels.launch(call, bench.stream().handle()); });
  const std::vector<float> sums = bench.download<float>(on_sum, size);
  const std::vector<uint16_t> found = bench.download<uint16_t>(on_result, size);
  // Half a step of the type, and what float32 sums of a row lose.
  const double step = sizes.type == DType::kF16 ? 4.9e-4 : 3.9e-3;
  result.passed = true;
  for (int64_t row = 0; row < sizes.rows; ++row) {
    const auto first = static_cast<size_t>(row * sizes.columns);
    const auto columns = static_cast<size_t>(sizes.columns);
    double mean = 0;
    double squares = 0;
    std::vector<double> values(columns);
    for (size_t k = 0; k < columns; ++k) {
      const float sum = added.f32()[first + k] + residual[first + k];
      if (sums[first + k] != sum) ++result.differing;
      values[k] = static_cast<double>(sum);
      mean += values[k] / static_cast<double>(columns);
    }
    for (const double value : values) squares += (value - mean) * (value - mean);
    const double scale =
        1 / std::sqrt(squares / static_cast<double>(columns) + static_cast<double>(kEpsilon));
    for (size_t k = 0; k < columns; ++k) {
      const double wanted =
          (values[k] - mean) * scale * static_cast<double>(gain[k]) + static_cast<double>(shift[k]);
      const uint16_t bits = found[first + k];
      const auto value =
          static_cast<double>(sizes.type == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits));
      const double difference = std::abs(value - wanted);
      result.largest = larger(result.largest, difference);
      ++result.values;
      if (!(difference <= std::abs(wanted) * step * 1.01 + 2e-6)) ++result.differing;
    }
  }
  result.passed = result.differing == 0;
  return result;
}

}  // namespace

void run_residual_norm_cases(const CudaDevice& device, const CaseOptions& options,
                             const std::function<void(const CaseResult&)>& report) {
  const OperatorKernels kernels(device.driver());
  run_cases(device, options, kCases, kTimed, [&](const DeviceBench& bench, const Sizes& sizes) {
    report(run_case(bench, kernels, sizes));
  });
}

}  // namespace sam3trt
