#include <algorithm>
#include <array>
#include <random>
#include <span>
#include <string>
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
  int64_t keys;
  int64_t heads;
  int64_t head_dim;
  bool rises = false;  ///< Later keys have much larger scores.

  [[nodiscard]] int64_t width() const { return heads * head_dim; }
};

/// Odd sizes, one query, one key, more queries than a block has, whole tiles, more than there are
/// stages; scores that rise from tile to tile.
constexpr std::array<Sizes, 10> kCases = {{{DType::kF16, 2, 37, 63, 2, 16},
                                           {DType::kF16, 1, 40, 700, 2, 32},
                                           {DType::kF16, 2, 150, 150, 3, 32},
                                           {DType::kBF16, 1, 128, 64, 2, 32},
                                           {DType::kF16, 1, 1, 130, 1, 64},
                                           {DType::kBF16, 3, 5, 1, 2, 64},
                                           {DType::kBF16, 1, 40, 65, 1, 16},
                                           {DType::kF16, 1, 300, 500, 2, 64, true},
                                           {DType::kF16, 2, 200, 700, 2, 32, true},
                                           {DType::kBF16, 1, 70, 300, 1, 64, true}}};

/// Those of SAM 3's fusion encoder.
constexpr std::array<Sizes, 2> kTimed = {
    {{DType::kF16, 1, 5184, 5184, 8, 32}, {DType::kF16, 8, 5184, 5184, 8, 32}}};

/// Inputs and what the definition gives for them.
class Problem {
 public:
  explicit Problem(const Sizes& sizes) : sizes_(sizes) {
    query = narrow(sizes.queries);
    key = narrow(sizes.keys);
    if (sizes.rises) raise(key);
    value = narrow(sizes.keys);
  }

  /// Largest difference of `result` to the definition; of some queries where there are many.
  [[nodiscard]] double largest_difference(std::span<const uint16_t> result) const {
    double largest = 0;
    const int64_t step = std::max<int64_t>(1, sizes_.queries / 150);
    for (int64_t p = 0; p < sizes_.prompts; p += std::max<int64_t>(1, sizes_.prompts / 2)) {
      for (int64_t h = 0; h < sizes_.heads; h += std::max<int64_t>(1, sizes_.heads / 3)) {
        for (int64_t q = 0; q < sizes_.queries; q += step) {
          largest = larger(largest, difference(p, h, q, result));
        }
      }
    }
    return largest;
  }

  std::vector<uint16_t> query;
  std::vector<uint16_t> key;
  std::vector<uint16_t> value;

 private:
  /// The last key becomes nine times as long, the others in proportion.
  void raise(std::vector<uint16_t>& keys) const {
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto token = static_cast<int64_t>(i) / sizes_.width() % sizes_.keys;
      const double factor = 1 + 8.0 * static_cast<double>(token) / static_cast<double>(sizes_.keys);
      keys[i] = round_to(sizes_.type, static_cast<float>(factor * value_of(sizes_.type, keys[i])));
    }
  }

  [[nodiscard]] std::vector<uint16_t> narrow(int64_t tokens) {
    return random_values(random_, sizes_.type, sizes_.prompts * tokens * sizes_.width(), 0.7F);
  }

  /// Channel c of head h of a token.
  [[nodiscard]] double at(const std::vector<uint16_t>& values, int64_t token, int64_t h,
                          int64_t c) const {
    const int64_t index = token * sizes_.width() + h * sizes_.head_dim + c;
    return value_of(sizes_.type, values[static_cast<size_t>(index)]);
  }

  [[nodiscard]] double difference(int64_t p, int64_t h, int64_t q,
                                  std::span<const uint16_t> result) const {
    std::vector<double> scores;
    for (int64_t k = 0; k < sizes_.keys; ++k) {
      double score = 0;
      for (int64_t c = 0; c < sizes_.head_dim; ++c) {
        score += at(query, p * sizes_.queries + q, h, c) * at(key, p * sizes_.keys + k, h, c);
      }
      scores.push_back(score);
    }
    const int64_t first = (p * sizes_.queries + q) * sizes_.width() + h * sizes_.head_dim;
    return difference_to_attention(
        sizes_.type, std::move(scores),
        [&](size_t k, size_t channel) {
          return at(value, p * sizes_.keys + static_cast<int64_t>(k), h,
                    static_cast<int64_t>(channel));
        },
        result.subspan(static_cast<size_t>(first), static_cast<size_t>(sizes_.head_dim)));
  }

  std::mt19937 random_{41};
  Sizes sizes_;
};

CaseResult run_case(const DeviceBench& bench, const OperatorKernels& kernels, const Sizes& sizes,
                    AttentionForm form) {
  const Problem problem(sizes);
  const DeviceBuffer query = bench.upload(problem.query);
  const DeviceBuffer key = bench.upload(problem.key);
  const DeviceBuffer value = bench.upload(problem.value);
  const DeviceBuffer result = bench.make<uint16_t>(problem.query.size());
  const PlainAttention call{sizes.type,    query.data(),  key.data(), value.data(), result.data(),
                            sizes.prompts, sizes.queries, sizes.keys, sizes.heads,  sizes.head_dim};
  const double microseconds =
      bench.run([&] { kernels.launch(call, bench.stream().handle(), form); });
  const auto found = bench.download<uint16_t>(result, problem.query.size());
  const std::string name =
      "attention " + std::string(name_of(sizes.type)) + " " + std::to_string(sizes.prompts) + "x" +
      std::to_string(sizes.queries) + " queries to " + std::to_string(sizes.keys) + " keys, " +
      std::to_string(sizes.heads) + " heads of " + std::to_string(sizes.head_dim) +
      (sizes.rises ? ", scores rise" : "") + (form == AttentionForm::kWarpgroup ? ", wgmma" : "");
  return attention_result(name, sizes.type, found.size(), problem.largest_difference(found),
                          microseconds);
}

}  // namespace

void run_plain_attention_cases(const CudaDevice& device, const CaseOptions& options,
                               const std::function<void(const CaseResult&)>& report) {
  const OperatorKernels kernels(device.driver());
  run_cases(device, options, kCases, kTimed, [&](const DeviceBench& bench, const Sizes& sizes) {
    report(run_case(bench, kernels, sizes, AttentionForm::kMma));
    PlainAttention call;
    call.head_dim = sizes.head_dim;
    if (kernels.best_form(call) == AttentionForm::kMma) return;
    report(run_case(bench, kernels, sizes, AttentionForm::kWarpgroup));
  });
}

}  // namespace sam3trt
