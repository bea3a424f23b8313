#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <span>
#include <vector>

#include "attention_reference.hpp"
#include "cuda/operators.hpp"
#include "device_bench.hpp"

namespace sam3trt {
namespace {

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
          largest = larger(largest, difference(p, h, q, result));
        }
      }
    }
    return largest;
  }

 private:
  [[nodiscard]] std::vector<uint16_t> narrow(int64_t tokens) {
    return random_values(random_, sizes_.type, tokens * sizes_.width(), 0.7F);
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
    const int64_t first = (p * sizes_.queries + q) * sizes_.width() + h * sizes_.head_dim;
    return difference_to_attention(
        sizes_.type, std::move(scores),
        [&](size_t cell, size_t channel) {
          return at(value_, p * sizes_.cells() + static_cast<int64_t>(cell), h,
                    static_cast<int64_t>(channel));
        },
        result.subspan(static_cast<size_t>(first), static_cast<size_t>(sizes_.head_dim)));
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

CaseResult run_case(const DeviceBench& bench, const OperatorKernels& kernels, const Sizes& sizes) {
  const Problem problem(sizes);
  const DeviceBuffer query = bench.upload(problem.query());
  const DeviceBuffer key = bench.upload(problem.key());
  const DeviceBuffer value = bench.upload(problem.value());
  const DeviceBuffer rows = bench.upload(problem.rows());
  const DeviceBuffer columns = bench.upload(problem.columns());
  const DeviceBuffer result = bench.make<uint16_t>(problem.query().size());
  const GridAttention call{sizes.type,     query.data(),  key.data(),    value.data(),  rows.data(),
                           columns.data(), result.data(), sizes.prompts, sizes.queries, sizes.rows,
                           sizes.columns,  sizes.heads,   sizes.head_dim};
  const double microseconds = bench.run([&] { kernels.launch(call, bench.stream().handle()); });
  const auto found = bench.download<uint16_t>(result, problem.query().size());
  return attention_result(name_of(sizes), sizes.type, found.size(),
                          problem.largest_difference(found), microseconds);
}

}  // namespace

void run_grid_attention_cases(const CudaDevice& device, const CaseOptions& options,
                              const std::function<void(const CaseResult&)>& report) {
  const OperatorKernels kernels(device.driver());
  run_cases(device, options, kCases, kTimed, [&](const DeviceBench& bench, const Sizes& sizes) {
    report(run_case(bench, kernels, sizes));
  });
}

}  // namespace sam3trt
