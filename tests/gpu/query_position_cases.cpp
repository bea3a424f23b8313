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
  int64_t unboxed;
  int64_t frequencies;
  int64_t hidden;
  int64_t width;
};

/// Odd sizes; more columns than threads; the largest; no boxes; one of all.
constexpr std::array<Sizes, 5> kCases = {{{2, 37, 1, 24, 96, 96},
                                          {3, 9, 2, 7, 33, 300},
                                          {1, 12, 0, 64, 256, 256},
                                          {2, 3, 3, 5, 4, 8},
                                          {1, 1, 0, 1, 1, 1}}};

/// Those of SAM 3's decoder.
constexpr std::array<Sizes, 2> kTimed = {{{1, 201, 1, 64, 256, 256}, {8, 201, 1, 64, 256, 256}}};

/// Inputs and what the definition gives for them.
class Problem {
 public:
  explicit Problem(const Sizes& sizes) : sizes_(sizes) {
    std::uniform_real_distribution<float> uniform(0.0F, 1.0F);
    const int64_t boxed = sizes.queries - sizes.unboxed;
    for (int64_t i = 0; i < sizes.prompts * boxed * 4; ++i) boxes.push_back(uniform(random_));
    for (int64_t i = 0; i < sizes.frequencies; ++i) {
      const float power = static_cast<float>(i) / static_cast<float>(sizes.frequencies);
      frequencies.push_back(6.2831853F / std::pow(10000.0F, power));
    }
    const int64_t inputs = 8 * sizes.frequencies;
    hidden_weight = values(inputs * sizes.hidden, 1 / std::sqrt(static_cast<float>(inputs)));
    hidden_bias = values(sizes.hidden, 1);
    weight = values(sizes.hidden * sizes.width, 1 / std::sqrt(static_cast<float>(sizes.hidden)));
    bias = values(sizes.width, 1);
  }

  [[nodiscard]] double largest_difference(std::span<const float> found) const {
    double largest = 0;
    const float* result = found.data();
    const float* box = boxes.data();
    for (int64_t p = 0; p < sizes_.prompts; ++p) {
      for (int64_t q = 0; q < sizes_.queries; ++q, result += sizes_.width) {
        const bool boxed = q >= sizes_.unboxed;
        const std::vector<double> expected = position(boxed ? box : nullptr);
        if (boxed) box += 4;
        for (size_t i = 0; i < expected.size(); ++i) {
          largest = larger(largest, std::abs(expected[i] - static_cast<double>(result[i])));
        }
      }
    }
    return largest;
  }

  std::vector<float> boxes;
  std::vector<float> frequencies;
  std::vector<float> hidden_weight;
  std::vector<float> hidden_bias;
  std::vector<float> weight;
  std::vector<float> bias;

 private:
  [[nodiscard]] std::vector<float> values(int64_t count, float scale) {
    std::normal_distribution<float> normal;
    std::vector<float> result;
    for (int64_t i = 0; i < count; ++i) result.push_back(scale * normal(random_));
    return result;
  }

  /// rows * weights [rows, columns] + bias
  static std::vector<double> layer(const std::vector<double>& rows,
                                   const std::vector<float>& weights,
                                   const std::vector<float>& bias) {
    std::vector<double> sums(bias.begin(), bias.end());
    for (size_t k = 0; k < rows.size(); ++k) {
      for (size_t i = 0; i < sums.size(); ++i) {
        sums[i] += rows[k] * static_cast<double>(weights[k * sums.size() + i]);
      }
    }
    return sums;
  }

  [[nodiscard]] std::vector<double> position(const float* box) const {
    if (box == nullptr) return std::vector<double>(static_cast<size_t>(sizes_.width));
    std::vector<double> encoded;
    for (const int coordinate : {1, 0, 2, 3}) {
      for (const bool sine : {true, false}) {
        for (const float frequency : frequencies) {
          const double angle =
              static_cast<double>(box[coordinate]) * static_cast<double>(frequency);
          encoded.push_back(sine ? std::sin(angle) : std::cos(angle));
        }
      }
    }
    std::vector<double> hidden = layer(encoded, hidden_weight, hidden_bias);
    for (double& value : hidden) value = std::max(value, 0.0);
    return layer(hidden, weight, bias);
  }

  Sizes sizes_;
  std::mt19937 random_{37};
};

CaseResult run_case(const DeviceBench& bench, const OperatorKernels& kernels, const Sizes& sizes) {
  const Problem problem(sizes);
  const DeviceBuffer boxes =
      problem.boxes.empty() ? bench.make<float>(4) : bench.upload(problem.boxes);
  const DeviceBuffer frequencies = bench.upload(problem.frequencies);
  const DeviceBuffer hidden_weight = bench.upload(problem.hidden_weight);
  const DeviceBuffer hidden_bias = bench.upload(problem.hidden_bias);
  const DeviceBuffer weight = bench.upload(problem.weight);
  const DeviceBuffer bias = bench.upload(problem.bias);
  const auto count = static_cast<size_t>(sizes.prompts * sizes.queries * sizes.width);
  const DeviceBuffer found = bench.upload(std::vector<float>(count, std::nanf("")));
  const QueryPosition call{boxes.data(),       frequencies.data(), hidden_weight.data(),
                           hidden_bias.data(), weight.data(),      bias.data(),
                           found.data(),       sizes.prompts,      sizes.queries,
                           sizes.unboxed,      sizes.frequencies,  sizes.hidden,
                           sizes.width};
  CaseResult result;
  result.name = "query position " + std::to_string(sizes.prompts) + "x" +
                std::to_string(sizes.queries) + " queries, " + std::to_string(sizes.unboxed) +
                " without a box, " + std::to_string(sizes.frequencies) + " frequencies, " +
                std::to_string(sizes.hidden) + " hidden, " + std::to_string(sizes.width) + " wide";
  result.microseconds = bench.run([&] { kernels.launch(call, bench.stream().handle()); });
  result.values = count;
  result.largest = problem.largest_difference(bench.download<float>(found, count));
  // Values are of order one and sums of float32. Measured over all cases, on a GPU: 4.8e-6.
  result.passed = result.largest <= 8e-6;
  result.differing = result.passed ? 0 : 1;
  return result;
}

}  // namespace

void run_query_position_cases(const CudaDevice& device, const CaseOptions& options,
                              const std::function<void(const CaseResult&)>& report) {
  const OperatorKernels kernels(device.driver());
  run_cases(device, options, kCases, kTimed, [&](const DeviceBench& bench, const Sizes& sizes) {
    report(run_case(bench, kernels, sizes));
  });
}

}  // namespace sam3trt
