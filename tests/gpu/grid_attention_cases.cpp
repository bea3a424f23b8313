#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <span>
#include <vector>

#include "base/half.hpp"
#include "cuda/attention.hpp"
#include "cuda/buffer.hpp"
#include "kernel_cases.hpp"

namespace sam3trt {
namespace {

/// Largest difference allowed to attention in float64 of the same rounded inputs, whose values are
/// of order one: probabilities and results are rounded to the type. Measured 8.7e-4 in float16 and
/// 7.2e-3 in bfloat16 over the cases below.
double tolerance_of(DType type) { return type == DType::kF16 ? 2e-3 : 1.2e-2; }

struct Sizes {
  DType type;
  int64_t prompts;
  int64_t queries;
  int64_t rows;
  int64_t columns;
  int64_t heads;
  int64_t head_dim;

  [[nodiscard]] int64_t cells() const { return rows * columns; }
  [[nodiscard]] int64_t width() const { return heads * head_dim; }
};

/// Odd sizes; fewer tiles of cells than warps; one query, one cell.
constexpr std::array<Sizes, 7> kCases = {{{DType::kF16, 2, 37, 9, 7, 2, 16},
                                          {DType::kF16, 2, 33, 13, 11, 3, 32},
                                          {DType::kBF16, 1, 64, 16, 16, 1, 32},
                                          {DType::kF16, 1, 5, 3, 30, 2, 64},
                                          {DType::kBF16, 3, 32, 5, 1, 1, 64},
                                          {DType::kF16, 1, 1, 1, 1, 1, 32},
                                          {DType::kBF16, 1, 40, 1, 100, 2, 16}}};

/// Those of SAM 3's decoder.
constexpr std::array<Sizes, 2> kTimed = {
    {{DType::kF16, 1, 201, 72, 72, 8, 32}, {DType::kF16, 8, 201, 72, 72, 8, 32}}};

uint16_t round_to(DType type, float value) {
  return type == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
}

double value_of(DType type, uint16_t bits) {
  return static_cast<double>(type == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits));
}

/// Inputs and what the definition gives for them.
class Problem {
 public:
  explicit Problem(const Sizes& sizes) : sizes_(sizes) {
    query_ = narrow(sizes.prompts * sizes.queries);
    key_ = narrow(sizes.prompts * sizes.cells());
    value_ = narrow(sizes.prompts * sizes.cells());
    rows_ = bias(sizes.rows);
    columns_ = bias(sizes.columns);
  }

  [[nodiscard]] const std::vector<uint16_t>& query() const { return query_; }
  [[nodiscard]] const std::vector<uint16_t>& key() const { return key_; }
  [[nodiscard]] const std::vector<uint16_t>& value() const { return value_; }
  [[nodiscard]] const std::vector<float>& rows() const { return rows_; }
  [[nodiscard]] const std::vector<float>& columns() const { return columns_; }

  /// Largest difference of `result` to the definition, over some heads; of some queries where the
  /// problem is large.
  [[nodiscard]] double largest_difference(std::span<const uint16_t> result) const {
    double largest = 0;
    const int64_t head_step = std::max<int64_t>(1, sizes_.heads / 3);
    const int64_t query_step = sizes_.cells() < 1000 ? 1 : 10;
    for (int64_t p = 0; p < sizes_.prompts; p += std::max<int64_t>(1, sizes_.prompts / 3)) {
      for (int64_t h = 0; h < sizes_.heads; h += head_step) {
        for (int64_t q = 0; q < sizes_.queries; q += query_step) {
          largest = std::max(largest, difference(p, h, q, result));
        }
      }
    }
    return largest;
  }

 private:
  [[nodiscard]] std::vector<uint16_t> narrow(int64_t tokens) {
    std::normal_distribution<float> normal;
    std::vector<uint16_t> values;
    for (int64_t i = 0; i < tokens * sizes_.width(); ++i) {
      values.push_back(round_to(sizes_.type, 0.7F * normal(random_)));
    }
    return values;
  }

  [[nodiscard]] std::vector<float> bias(int64_t lines) {
    std::normal_distribution<float> normal;
    std::vector<float> values;
    for (int64_t i = 0; i < sizes_.prompts * sizes_.heads * sizes_.queries * lines; ++i) {
      values.push_back(2 * normal(random_));
    }
    return values;
  }

  /// Channel c of head h of a token.
  [[nodiscard]] double at(const std::vector<uint16_t>& values, int64_t token, int64_t h,
                          int64_t c) const {
    const int64_t index = token * sizes_.width() + h * sizes_.head_dim + c;
    return value_of(sizes_.type, values[static_cast<size_t>(index)]);
  }

  [[nodiscard]] double difference(int64_t p, int64_t h, int64_t q,
                                  std::span<const uint16_t> result) const {
    const int64_t line = (p * sizes_.heads + h) * sizes_.queries + q;
    std::vector<double> scores;
    for (int64_t cell = 0; cell < sizes_.cells(); ++cell) {
      const auto row = static_cast<size_t>(line * sizes_.rows + cell / sizes_.columns);
      const auto column = static_cast<size_t>(line * sizes_.columns + cell % sizes_.columns);
      double score = static_cast<double>(rows_[row]) + static_cast<double>(columns_[column]);
      for (int64_t c = 0; c < sizes_.head_dim; ++c) {
        score +=
            at(query_, p * sizes_.queries + q, h, c) * at(key_, p * sizes_.cells() + cell, h, c);
      }
      scores.push_back(score);
    }
    const double top = *std::ranges::max_element(scores);
    double total = 0;
    for (double& score : scores) total += score = std::exp(score - top);
    double largest = 0;
    for (int64_t c = 0; c < sizes_.head_dim; ++c) {
      double mixed = 0;
      for (int64_t cell = 0; cell < sizes_.cells(); ++cell) {
        mixed +=
            scores[static_cast<size_t>(cell)] / total * at(value_, p * sizes_.cells() + cell, h, c);
      }
      const int64_t index = (p * sizes_.queries + q) * sizes_.width() + h * sizes_.head_dim + c;
      const double off =
          std::abs(mixed - value_of(sizes_.type, result[static_cast<size_t>(index)]));
      largest = off <= largest ? largest : off;  // NaN counts as larger
    }
    return largest;
  }

  Sizes sizes_;
  std::mt19937 random_{29};
  std::vector<uint16_t> query_;
  std::vector<uint16_t> key_;
  std::vector<uint16_t> value_;
  std::vector<float> rows_;
  std::vector<float> columns_;
};

std::string name_of(const Sizes& sizes) {
  return "grid attention " + std::string(name_of(sizes.type)) + " " +
         std::to_string(sizes.prompts) + "x" + std::to_string(sizes.queries) + " queries to " +
         std::to_string(sizes.rows) + "x" + std::to_string(sizes.columns) + ", " +
         std::to_string(sizes.heads) + " heads of " + std::to_string(sizes.head_dim);
}

template <typename T>
DeviceBuffer upload(const CudaDevice& device, const Stream& stream, const std::vector<T>& values) {
  DeviceBuffer buffer(device, values.size() * sizeof(T));
  copy_to_device(stream, buffer.data(), std::as_bytes(std::span(values)));
  stream.synchronize();
  return buffer;
}

CaseResult run_case(const CudaDevice& device, const AttentionKernels& kernels, const Sizes& sizes,
                    int timed_launches) {
  const Problem problem(sizes);
  const Stream stream(device);
  const DeviceBuffer query = upload(device, stream, problem.query());
  const DeviceBuffer key = upload(device, stream, problem.key());
  const DeviceBuffer value = upload(device, stream, problem.value());
  const DeviceBuffer rows = upload(device, stream, problem.rows());
  const DeviceBuffer columns = upload(device, stream, problem.columns());
  const DeviceBuffer result(device, problem.query().size() * sizeof(uint16_t));
  const GridAttention call{sizes.type,     query.data(),  key.data(),    value.data(),  rows.data(),
                           columns.data(), result.data(), sizes.prompts, sizes.queries, sizes.rows,
                           sizes.columns,  sizes.heads,   sizes.head_dim};
  CaseResult report;
  if (timed_launches > 0) {
    kernels.launch(call, stream.handle());
    const Event begin(device);
    const Event end(device);
    stream.record(begin);
    for (int i = 0; i < timed_launches; ++i) kernels.launch(call, stream.handle());
    stream.record(end);
    end.synchronize();
    report.microseconds =
        1000.0 * static_cast<double>(end.milliseconds_since(begin)) / timed_launches;
  } else {
    kernels.launch(call, stream.handle());
  }
  std::vector<uint16_t> found(problem.query().size());
  copy_to_host(stream, std::as_writable_bytes(std::span(found)), result.data());
  stream.synchronize();
  report.name = name_of(sizes);
  report.values = found.size();
  report.largest = problem.largest_difference(found);
  report.passed = report.largest <= tolerance_of(sizes.type);
  report.differing = report.passed ? 0 : 1;
  return report;
}

}  // namespace

void run_grid_attention_cases(const CudaDevice& device, const CaseOptions& options,
                              const std::function<void(const CaseResult&)>& report) {
  const AttentionKernels kernels(device.driver());
  for (const Sizes& sizes : kCases) report(run_case(device, kernels, sizes, 0));
  if (options.timed_launches == 0) return;
  for (const Sizes& sizes : kTimed) {
    report(run_case(device, kernels, sizes, options.timed_launches));
  }
}

}  // namespace sam3trt
