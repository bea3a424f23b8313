#include <algorithm>
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
/// of order one: probabilities and results are rounded to the type. Measured 9.4e-4 in float16 and
/// 6.1e-3 in bfloat16 over the cases below.
double tolerance_of(DType type) { return type == DType::kF16 ? 2e-3 : 1.2e-2; }

struct Sizes {
  DType type;
  int64_t batches;
  int64_t windows;
  int64_t window;
  int64_t heads;
  int64_t head_dim;
};

/// Odd sizes, a single token, exactly one tile and one more than that, more tiles than stages.
constexpr std::array<Sizes, 11> kCases = {{{DType::kF16, 2, 2, 35, 2, 16},
                                           {DType::kBF16, 1, 3, 17, 3, 16},
                                           {DType::kF16, 1, 2, 64, 2, 32},
                                           {DType::kBF16, 1, 1, 65, 1, 32},
                                           {DType::kF16, 1, 1, 150, 2, 64},
                                           {DType::kBF16, 1, 1, 129, 1, 64},
                                           {DType::kF16, 1, 1, 128, 1, 64},
                                           {DType::kF16, 1, 2, 200, 1, 64},
                                           {DType::kF16, 1, 1, 420, 1, 64},
                                           {DType::kBF16, 1, 1, 1, 2, 64},
                                           {DType::kF16, 3, 1, 1, 1, 32}}};

/// Those of SAM 3's vision encoder.
constexpr std::array<Sizes, 3> kTimed = {{{DType::kF16, 1, 9, 576, 16, 64},
                                          {DType::kF16, 1, 1, 5184, 16, 64},
                                          {DType::kF16, 8, 9, 576, 16, 64}}};

uint16_t round_to(DType type, float value) {
  return type == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
}

float value_of(DType type, uint16_t bits) {
  return type == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

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
          largest = std::max(largest, difference(w, h, n, keys, values, result));
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
      x.push_back(static_cast<double>(value_of(sizes_.type, qkv_[static_cast<size_t>(first + i)])));
    }
    if (part == 2) return x;
    for (int64_t i = 0; i < d / 2; ++i) {
      const auto angle = static_cast<size_t>(n * d / 2 + i);
      const auto low = static_cast<size_t>(i);
      const auto high = static_cast<size_t>(i + d / 2);
      const double c = static_cast<double>(cos_[angle]);
      const double s = static_cast<double>(sin_[angle]);
      const double a = x[low];
      const double b = x[high];
      x[low] = rounded(a * c - b * s);
      x[high] = rounded(a * s + b * c);
    }
    return x;
  }

  [[nodiscard]] double rounded(double value) const {
    const uint16_t bits = round_to(sizes_.type, static_cast<float>(value));
    return static_cast<double>(value_of(sizes_.type, bits));
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
    const double top = *std::ranges::max_element(scores);
    double total = 0;
    for (double& score : scores) total += score = std::exp(score - top);
    double largest = 0;
    const int64_t first = ((w * sizes_.window + n) * sizes_.heads + h) * sizes_.head_dim;
    for (size_t i = 0; i < query.size(); ++i) {
      double mixed = 0;
      for (size_t k = 0; k < scores.size(); ++k) mixed += scores[k] / total * values[k][i];
      const float found = value_of(sizes_.type, result[static_cast<size_t>(first) + i]);
      const double off = std::abs(mixed - static_cast<double>(found));
      largest = off <= largest ? largest : off;  // NaN counts as larger
    }
    return largest;
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

template <typename T>
DeviceBuffer upload(const CudaDevice& device, const Stream& stream, const std::vector<T>& values) {
  DeviceBuffer buffer(device, values.size() * sizeof(T));
  copy_to_device(stream, buffer.data(), std::as_bytes(std::span(values)));
  stream.synchronize();
  return buffer;
}

CaseResult run_case(const CudaDevice& device, const AttentionKernels& kernels, const Sizes& sizes,
                    AttentionForm form, int timed_launches) {
  const Problem problem(sizes);
  const Stream stream(device);
  const DeviceBuffer qkv = upload(device, stream, problem.qkv());
  const DeviceBuffer cos = upload(device, stream, problem.cos());
  const DeviceBuffer sin = upload(device, stream, problem.sin());
  const DeviceBuffer result(device, problem.values() * sizeof(uint16_t));
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
  const DeviceBuffer scratch(device, call.scratch_bytes());
  call.scratch = scratch.data();
  kernels.launch(call, stream.handle(), form);
  std::vector<uint16_t> found(problem.values());
  copy_to_host(stream, std::as_writable_bytes(std::span(found)), result.data());
  stream.synchronize();
  CaseResult report;
  report.name = name_of(sizes) + (form == AttentionForm::kWarpgroup ? ", wgmma" : "");
  report.values = found.size();
  report.largest = problem.largest_difference(found);
  report.passed = report.largest <= tolerance_of(sizes.type);
  report.differing = report.passed ? 0 : 1;
  if (timed_launches == 0) return report;
  const Event begin(device);
  const Event end(device);
  stream.record(begin);
  for (int i = 0; i < timed_launches; ++i) {
    kernels.launch(call, stream.handle(), form);
  }
  stream.record(end);
  end.synchronize();
  report.microseconds =
      1000.0 * static_cast<double>(end.milliseconds_since(begin)) / timed_launches;
  return report;
}

}  // namespace

void run_attention_cases(const CudaDevice& device, const CaseOptions& options,
                         const std::function<void(const CaseResult&)>& report) {
  const AttentionKernels kernels(device.driver());
  const auto run = [&](const Sizes& sizes, int timed_launches) {
    report(run_case(device, kernels, sizes, AttentionForm::kMma, timed_launches));
    RotaryAttention call;
    call.head_dim = sizes.head_dim;
    if (kernels.best_form(call) == AttentionForm::kMma) return;
    report(run_case(device, kernels, sizes, AttentionForm::kWarpgroup, timed_launches));
  };
  for (const Sizes& sizes : kCases) run(sizes, 0);
  if (options.timed_launches == 0) return;
  for (const Sizes& sizes : kTimed) run(sizes, options.timed_launches);
}

}  // namespace sam3trt
