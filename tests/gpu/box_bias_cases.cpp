#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "cuda/operators.hpp"
#include "device_bench.hpp"

namespace sam3trt {
namespace {

struct Sizes {
  int64_t prompts;
  int64_t queries;
  int64_t boxed;
  int64_t rows;
  int64_t columns;
  int64_t hidden;
  int64_t heads;
};

/// Odd sizes; more heads than one thread has; no boxes; boxes for all; one line.
constexpr std::array<Sizes, 5> kCases = {{{2, 37, 36, 9, 7, 96, 3},
                                          {1, 5, 4, 13, 30, 17, 11},
                                          {3, 4, 0, 5, 6, 8, 8},
                                          {1, 300, 300, 4, 4, 5, 16},
                                          {1, 1, 1, 1, 1, 1, 1}}};

/// Those of SAM 3's decoder.
constexpr std::array<Sizes, 2> kTimed = {
    {{1, 201, 200, 72, 72, 256, 8}, {8, 201, 200, 72, 72, 256, 8}}};

/// Weights of rows or columns.
struct Mlp {
  std::vector<float> hidden_weight;
  std::vector<float> hidden_bias;
  std::vector<float> weight;
  std::vector<float> bias;
};

/// Inputs and what the definition gives for them.
class Problem {
 public:
  explicit Problem(const Sizes& sizes) : sizes_(sizes), rows_(mlp()), columns_(mlp()) {
    std::uniform_real_distribution<float> uniform(0.0F, 1.0F);
    for (int64_t i = 0; i < sizes.prompts * sizes.boxed * 4; ++i)
      boxes_.push_back(uniform(random_));
  }

  [[nodiscard]] const std::vector<float>& boxes() const { return boxes_; }
  [[nodiscard]] const Mlp& rows() const { return rows_; }
  [[nodiscard]] const Mlp& columns() const { return columns_; }

  /// Largest difference to the definition in float64 of one axis: center 1 are rows, 0 columns.
  [[nodiscard]] double largest_difference(const Mlp& mlp, size_t center, int64_t lines,
                                          std::span<const float> found) const {
    double largest = 0;
    size_t index = 0;
    const int64_t first_boxed = sizes_.queries - sizes_.boxed;
    for (int64_t p = 0; p < sizes_.prompts; ++p) {
      for (int64_t h = 0; h < sizes_.heads; ++h) {
        for (int64_t q = 0; q < sizes_.queries; ++q) {
          const int64_t box = (p * sizes_.boxed + q - first_boxed) * 4;
          for (int64_t line = 0; line < lines; ++line, ++index) {
            const double at = static_cast<double>(line) / static_cast<double>(lines);
            const double expected =
                q < first_boxed ? 0.0 : bias(mlp, static_cast<size_t>(box) + center, at, h);
            largest = larger(largest, std::abs(expected - static_cast<double>(found[index])));
          }
        }
      }
    }
    return largest;
  }

 private:
  [[nodiscard]] std::vector<float> values(int64_t count, float scale) {
    std::normal_distribution<float> normal;
    std::vector<float> result;
    for (int64_t i = 0; i < count; ++i) result.push_back(scale * normal(random_));
    return result;
  }

  [[nodiscard]] Mlp mlp() {
    const float scale = 1.0F / std::sqrt(static_cast<float>(sizes_.hidden));
    return {values(2 * sizes_.hidden, 1), values(sizes_.hidden, 1),
            values(sizes_.hidden * sizes_.heads, scale), values(sizes_.heads, 1)};
  }

  [[nodiscard]] double bias(const Mlp& mlp, size_t center, double line, int64_t h) const {
    const auto distance = [&](double edge) {
      const double scaled = 8 * (line - edge);
      return std::copysign(std::log2(std::abs(scaled) + 1) / 3, scaled);
    };
    const auto hidden = static_cast<size_t>(sizes_.hidden);
    const auto middle = static_cast<double>(boxes_[center]);
    const double half = static_cast<double>(boxes_[center + 2]) / 2;
    const double low = distance(middle - half);
    const double high = distance(middle + half);
    double sum = static_cast<double>(mlp.bias[static_cast<size_t>(h)]);
    for (size_t m = 0; m < hidden; ++m) {
      const double active = low * static_cast<double>(mlp.hidden_weight[m]) +
                            high * static_cast<double>(mlp.hidden_weight[hidden + m]) +
                            static_cast<double>(mlp.hidden_bias[m]);
      const size_t of_head = m * static_cast<size_t>(sizes_.heads) + static_cast<size_t>(h);
      sum += std::max(active, 0.0) * static_cast<double>(mlp.weight[of_head]);
    }
    return sum;
  }

  Sizes sizes_;
  std::mt19937 random_{31};
  std::vector<float> boxes_;
  Mlp rows_;
  Mlp columns_;
};

/// Weights of one axis on the device, and room for its result.
struct DeviceAxis {
  DeviceAxis(const DeviceBench& bench, const Mlp& mlp, const Sizes& sizes, int64_t lines)
      : hidden_weight(bench.upload(mlp.hidden_weight)),
        hidden_bias(bench.upload(mlp.hidden_bias)),
        weight(bench.upload(mlp.weight)),
        bias(bench.upload(mlp.bias)),
        count(static_cast<size_t>(sizes.prompts * sizes.heads * sizes.queries * lines)),
        result(bench.upload(std::vector<float>(count, std::nanf("")))),
        call{hidden_weight.data(), hidden_bias.data(), weight.data(),
             bias.data(),          result.data(),      lines} {}

  DeviceBuffer hidden_weight;
  DeviceBuffer hidden_bias;
  DeviceBuffer weight;
  DeviceBuffer bias;
  size_t count;
  DeviceBuffer result;
  BoxBias::Axis call;
};

CaseResult run_case(const DeviceBench& bench, const OperatorKernels& kernels, const Sizes& sizes) {
  const Problem problem(sizes);
  const DeviceBuffer boxes =
      problem.boxes().empty() ? bench.make<float>(4) : bench.upload(problem.boxes());
  const DeviceAxis rows(bench, problem.rows(), sizes, sizes.rows);
  const DeviceAxis columns(bench, problem.columns(), sizes, sizes.columns);
  const BoxBias call{boxes.data(),  rows.call,   columns.call, sizes.prompts,
                     sizes.queries, sizes.boxed, sizes.hidden, sizes.heads};
  CaseResult result;
  result.name = "box bias " + std::to_string(sizes.prompts) + "x" + std::to_string(sizes.queries) +
                " queries, " + std::to_string(sizes.boxed) + " boxes, " +
                std::to_string(sizes.rows) + "x" + std::to_string(sizes.columns) + ", " +
                std::to_string(sizes.heads) + " heads, " + std::to_string(sizes.hidden) + " hidden";
  result.microseconds = bench.run([&] { kernels.launch(call, bench.stream().handle()); });
  result.values = rows.count + columns.count;
  result.largest =
      std::max(problem.largest_difference(problem.rows(), 1, sizes.rows,
                                          bench.download<float>(rows.result, rows.count)),
               problem.largest_difference(problem.columns(), 0, sizes.columns,
                                          bench.download<float>(columns.result, columns.count)));
  // Values are of order one and sums of float32. Measured over all cases, on a GPU: 3.3e-6.
  result.passed = result.largest <= 5e-6;
  result.differing = result.passed ? 0 : 1;
  return result;
}

}  // namespace

void run_box_bias_cases(const CudaDevice& device, const CaseOptions& options,
                        const std::function<void(const CaseResult&)>& report) {
  const OperatorKernels kernels(device.driver());
  run_cases(device, options, kCases, kTimed, [&](const DeviceBench& bench, const Sizes& sizes) {
    report(run_case(bench, kernels, sizes));
  });
}

}  // namespace sam3trt
