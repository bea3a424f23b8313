#include <algorithm>
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
  int64_t batches;
  int64_t windows;
  int64_t window;
  int64_t heads;
  int64_t head_dim;
};

/// Odd sizes, a single token, exactly one tile and one more than that, more tiles than stages.
constexpr std::array<Sizes, 12> kCases = {{{DType::kF16, 2, 2, 35, 2, 16},
                                           {DType::kBF16, 1, 3, 17, 3, 16},
                                           {DType::kF16, 1, 2, 64, 2, 32},
                                           {DType::kBF16, 1, 1, 65, 1, 32},
                                           {DType::kF16, 1, 1, 150, 2, 64},
                                           {DType::kBF16, 1, 1, 129, 1, 64},
                                           {DType::kF16, 1, 1, 128, 1, 64},
                                           {DType::kF16, 1, 2, 200, 1, 64},
                                           {DType::kF16, 1, 1, 420, 1, 64},
                                           {DType::kBF16, 1, 1, 577, 1, 64},
                                           {DType::kBF16, 1, 1, 1, 2, 64},
                                           {DType::kF16, 3, 1, 1, 1, 32}}};

/// Those of SAM 3's vision encoder.
constexpr std::array<Sizes, 3> kTimed = {{{DType::kF16, 1, 9, 576, 16, 64},
                                          {DType::kF16, 1, 1, 5184, 16, 64},
                                          {DType::kF16, 8, 9, 576, 16, 64}}};

/// Inputs and what the definition gives for them.
class Problem {
 public:
  explicit Problem(const Sizes& sizes) : sizes_(sizes), qkv_(values() * 3) {
    std::mt19937 random(17);
    std::normal_distribution<float> normal;
    for (uint16_t& value : qkv_) value = round_to(sizes.type, 0.7F * normal(random));
    for (int64_t i = 0; i < sizes.window * sizes.head_dim / 2; ++i) {
      const float angle = 2 * normal(random);
      cos_.push_back(std::cos(angle));
      sin_.push_back(std::sin(angle));
    }
  }

  [[nodiscard]] size_t values() const {
    return static_cast<size_t>(sizes_.batches * sizes_.windows * sizes_.window * sizes_.heads *
                               sizes_.head_dim);
  }
  [[nodiscard]] const std::vector<uint16_t>& qkv() const { return qkv_; }
  [[nodiscard]] const std::vector<float>& cos() const { return cos_; }
  [[nodiscard]] const std::vector<float>& sin() const { return sin_; }

  /// Largest difference of `result` to the definition; of at most 50 queries per head where the
  /// problem is large.
  [[nodiscard]] double largest_difference(std::span<const uint16_t> result) const {
    double largest = 0;
    const int64_t step = std::max<int64_t>(1, sizes_.window / 50);
    const int64_t all_windows = sizes_.batches * sizes_.windows;
    const int64_t window_step = std::max<int64_t>(1, all_windows / 4);
    for (int64_t w = 0; w < all_windows; w += window_step) {
      for (int64_t h = 0; h < sizes_.heads; h += std::max<int64_t>(1, sizes_.heads / 2)) {
        const auto keys = rows(w, h, 1);
        const auto values = rows(w, h, 2);
        for (int64_t n = 0; n < sizes_.window; n += step) {
          largest = larger(largest, difference(w, h, n, keys, values, result));
        }
      }
    }
    return largest;
  }

 private:
  using Rows = std::vector<std::vector<double>>;

  /// Part 0, 1, 2: rotated query, rotated key, value.
  [[nodiscard]] std::vector<double> row(int64_t w, int64_t h, int64_t n, int64_t part) const {
    const int64_t d = sizes_.head_dim;
    const int64_t first = ((w * sizes_.window + n) * 3 + part) * sizes_.heads * d + h * d;
    std::vector<double> x;
    for (int64_t i = 0; i < d; ++i) {
      x.push_back(value_of(sizes_.type, qkv_[static_cast<size_t>(first + i)]));
    }
    if (part == 2) return x;
    rotate(sizes_.type, x, cos_, sin_, static_cast<size_t>(n * d / 2));
    return x;
  }

  [[nodiscard]] Rows rows(int64_t w, int64_t h, int64_t part) const {
    Rows all;
    for (int64_t n = 0; n < sizes_.window; ++n) all.push_back(row(w, h, n, part));
    return all;
  }

  [[nodiscard]] double difference(int64_t w, int64_t h, int64_t n, const Rows& keys,
                                  const Rows& values, std::span<const uint16_t> result) const {
    const std::vector<double> query = row(w, h, n, 0);
    std::vector<double> scores;
    for (const auto& key : keys) {
      double sum = 0;
      for (size_t i = 0; i < key.size(); ++i) sum += query[i] * key[i];
      scores.push_back(sum);
    }
    const int64_t first = ((w * sizes_.window + n) * sizes_.heads + h) * sizes_.head_dim;
    return difference_to_attention(
        sizes_.type, std::move(scores),
        [&](size_t key, size_t channel) { return values[key][channel]; },
        result.subspan(static_cast<size_t>(first), static_cast<size_t>(sizes_.head_dim)));
  }

  Sizes sizes_;
  std::vector<uint16_t> qkv_;
  std::vector<float> cos_;
  std::vector<float> sin_;
};

std::string name_of(const Sizes& sizes) {
  return "attention " + std::string(name_of(sizes.type)) + " " + std::to_string(sizes.batches) +
         "x" + std::to_string(sizes.windows) + " windows of " + std::to_string(sizes.window) +
         ", " + std::to_string(sizes.heads) + " heads of " + std::to_string(sizes.head_dim);
}

CaseResult run_case(const DeviceBench& bench, const OperatorKernels& kernels, const Sizes& sizes,
                    AttentionForm form) {
  const Problem problem(sizes);
  const DeviceBuffer qkv = bench.upload(problem.qkv());
  const DeviceBuffer cos = bench.upload(problem.cos());
  const DeviceBuffer sin = bench.upload(problem.sin());
  const DeviceBuffer result = bench.make<uint16_t>(problem.values());
  RotaryAttention call;
  call.type = sizes.type;
  call.qkv = qkv.data();
  call.cos = cos.data();
  call.sin = sin.data();
  call.result = result.data();
  call.batches = sizes.batches;
  call.tokens = sizes.windows * sizes.window;
  call.window = sizes.window;
  call.heads = sizes.heads;
  call.head_dim = sizes.head_dim;
  const DeviceBuffer scratch = bench.make<std::byte>(call.scratch_bytes());
  call.scratch = scratch.data();
  const double microseconds =
      bench.run([&] { kernels.launch(call, bench.stream().handle(), form); });
  const auto found = bench.download<uint16_t>(result, problem.values());
  return attention_result(name_of(sizes) + (form == AttentionForm::kWarpgroup ? ", wgmma" : ""),
                          sizes.type, found.size(), problem.largest_difference(found),
                          microseconds);
}

}  // namespace

void run_attention_cases(const CudaDevice& device, const CaseOptions& options,
                         const std::function<void(const CaseResult&)>& report) {
  const OperatorKernels kernels(device.driver());
  run_cases(device, options, kCases, kTimed, [&](const DeviceBench& bench, const Sizes& sizes) {
    report(run_case(bench, kernels, sizes, AttentionForm::kMma));
    RotaryAttention call;
    call.head_dim = sizes.head_dim;
    if (kernels.best_form(call) == AttentionForm::kMma) return;
    report(run_case(bench, kernels, sizes, AttentionForm::kWarpgroup));
  });
}

}  // namespace sam3trt
