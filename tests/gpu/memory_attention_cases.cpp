#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "attention_reference.hpp"
#include "base/own_operators.hpp"
#include "cuda/operators.hpp"
#include "device_bench.hpp"

namespace sam3trt {
namespace {

struct Sizes {
  DType type;
  int64_t batches;
  int64_t queries;
  int64_t frames;
  int64_t plain_keys;
  int64_t value_dim;
  /// So many frames and other keys less has each batch than the one before it, but one frame.
  int64_t fewer_frames = 0;
  int64_t fewer_keys = 0;
  bool rises = false;  ///< Later keys have much larger scores.

  [[nodiscard]] int64_t keys() const { return frames * queries + plain_keys; }
  [[nodiscard]] bool has_bias() const { return fewer_frames > 0 || fewer_keys > 0; }
  /// Whether a batch has that key.
  [[nodiscard]] bool has(int64_t batch, int64_t key) const {
    const int64_t plain = key - frames * queries;
    return plain < 0 ? key < std::max<int64_t>(frames - batch * fewer_frames, 1) * queries
                     : plain < plain_keys - batch * fewer_keys;
  }
};

/// One query, a whole tile of keys and one more, tiles that blocks share and tiles that they do
/// not, no further keys, more query tiles than blocks; batches with unequally many keys;
/// scores that rise from tile to tile.
constexpr std::array<Sizes, 14> kCases = {{{DType::kF16, 1, 1, 1, 0, 64},
                                           {DType::kF16, 1, 30, 2, 4, 64},
                                           {DType::kBF16, 2, 65, 1, 0, 256},
                                           {DType::kF16, 1, 130, 2, 8, 64},
                                           {DType::kF16, 3, 20, 3, 5, 256},
                                           {DType::kBF16, 1, 100, 3, 12, 64},
                                           {DType::kF16, 5, 64, 1, 0, 256},
                                           {DType::kF16, 2, 193, 2, 16, 64},
                                           {DType::kF16, 3, 30, 3, 8, 64, 1, 4},
                                           {DType::kBF16, 2, 65, 2, 3, 256, 1, 0},
                                           {DType::kF16, 4, 193, 4, 12, 64, 2, 5},
                                           {DType::kF16, 1, 193, 3, 8, 64, 0, 0, true},
                                           {DType::kBF16, 2, 70, 4, 5, 64, 1, 1, true},
                                           {DType::kF16, 1, 130, 3, 4, 256, 0, 0, true}}};

/// Those of SAM 3's memory attention: an image to itself; one and four objects with seven frames;
/// four with 7, 5, 3 and 1.
constexpr std::array<Sizes, 5> kTimed = {{{DType::kF16, 1, 5184, 1, 0, 256},
                                          {DType::kF16, 4, 5184, 1, 0, 256},
                                          {DType::kF16, 1, 5184, 7, 64, 64},
                                          {DType::kF16, 4, 5184, 7, 64, 64},
                                          {DType::kF16, 4, 5184, 7, 64, 64, 2, 16}}};

/// Inputs and what the definition gives for them.
class Problem {
 public:
  explicit Problem(const Sizes& sizes) : sizes_(sizes) {
    query = narrow(sizes.batches * sizes.queries * kMemoryHeadDim, 0.25F);
    rotated = narrow(sizes.batches * sizes.frames * sizes.queries * kMemoryHeadDim, 0.7F);
    if (sizes.rises) raise();
    plain = narrow(sizes.batches * sizes.plain_keys * kMemoryHeadDim, 0.7F);
    value = narrow(sizes.batches * sizes.keys() * sizes.value_dim, 0.7F);
    for (int64_t b = 0; sizes.has_bias() && b < sizes.batches; ++b) {
      for (int64_t k = 0; k < sizes.keys(); ++k) {
        bias.push_back(sizes.has(b, k) ? 0 : kAbsentBias);
        if (!sizes.has(b, k)) break_key(b, k);
      }
    }
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < sizes.queries * kMemoryHeadDim / 2; ++i) {
      const float angle = 2 * normal(random_);
      cos.push_back(std::cos(angle));
      sin.push_back(std::sin(angle));
    }
  }

  /// Largest difference of `result` to the definition; of some queries where there are many.
  [[nodiscard]] double largest_difference(std::span<const uint16_t> result) const {
    double largest = 0;
    const int64_t most = sizes_.queries > 1000 ? 6 : 30;
    const int64_t step = std::max<int64_t>(1, sizes_.queries / most);
    for (int64_t b = 0; b < sizes_.batches; b += std::max<int64_t>(1, sizes_.batches / 2)) {
      for (int64_t q = 0; q < sizes_.queries; q += step) {
        largest = larger(largest, difference(b, q, result));
      }
      largest = larger(largest, difference(b, sizes_.queries - 1, result));
    }
    return largest;
  }

  std::vector<uint16_t> query;
  std::vector<uint16_t> rotated;
  std::vector<uint16_t> plain;
  std::vector<uint16_t> value;
  std::vector<float> bias;
  std::vector<float> cos;
  std::vector<float> sin;

 private:
  /// The last rotated key becomes nine times as long, the others in proportion.
  void raise() {
    const int64_t keys = sizes_.frames * sizes_.queries;
    for (size_t i = 0; i < rotated.size(); ++i) {
      const int64_t key = static_cast<int64_t>(i) / kMemoryHeadDim % keys;
      const double factor = 1 + 8.0 * static_cast<double>(key) / static_cast<double>(keys);
      const double value = value_of(sizes_.type, rotated[i]);
      rotated[i] = round_to(sizes_.type, static_cast<float>(factor * value));
    }
  }

  /// NaN, which whoever uses it finds in the result.
  void break_key(int64_t b, int64_t k) {
    const auto fill = [&](std::vector<uint16_t>& all, int64_t row, int64_t width) {
      std::fill_n(all.begin() + row * width, width, uint16_t{0x7FFF});
    };
    const int64_t rotated_keys = sizes_.frames * sizes_.queries;
    if (k < rotated_keys) {
      fill(rotated, b * rotated_keys + k, kMemoryHeadDim);
    } else {
      fill(plain, b * sizes_.plain_keys + k - rotated_keys, kMemoryHeadDim);
    }
    fill(value, b * sizes_.keys() + k, sizes_.value_dim);
  }

  [[nodiscard]] std::vector<uint16_t> narrow(int64_t count, float scale) {
    return random_values(random_, sizes_.type, count, scale);
  }

  [[nodiscard]] std::vector<double> row(const std::vector<uint16_t>& all, int64_t index,
                                        int64_t width) const {
    std::vector<double> x;
    for (int64_t i = 0; i < width; ++i) {
      x.push_back(value_of(sizes_.type, all[static_cast<size_t>(index * width + i)]));
    }
    return x;
  }

  [[nodiscard]] std::vector<double> turned(std::vector<double> x, int64_t angle_row) const {
    rotate(sizes_.type, x, cos, sin, static_cast<size_t>(angle_row * kMemoryHeadDim / 2));
    return x;
  }

  [[nodiscard]] std::vector<double> key(int64_t b, int64_t k) const {
    const int64_t count = sizes_.frames * sizes_.queries;
    if (k >= count) return row(plain, b * sizes_.plain_keys + k - count, kMemoryHeadDim);
    return turned(row(rotated, b * count + k, kMemoryHeadDim), k % sizes_.queries);
  }

  [[nodiscard]] double difference(int64_t b, int64_t q, std::span<const uint16_t> result) const {
    const auto x = turned(row(query, b * sizes_.queries + q, kMemoryHeadDim), q);
    std::vector<double> scores;
    std::vector<int64_t> keys;
    for (int64_t k = 0; k < sizes_.keys(); ++k) {
      if (!sizes_.has(b, k)) continue;
      keys.push_back(k);
      const std::vector<double> y = key(b, k);
      double score = 0;
      for (size_t c = 0; c < y.size(); ++c) score += x[c] * y[c];
      scores.push_back(score);
    }
    const int64_t first = (b * sizes_.queries + q) * sizes_.value_dim;
    return difference_to_attention(
        sizes_.type, std::move(scores),
        [&](size_t k, size_t channel) {
          const int64_t at = (b * sizes_.keys() + keys[k]) * sizes_.value_dim;
          return value_of(sizes_.type, value[static_cast<size_t>(at) + channel]);
        },
        result.subspan(static_cast<size_t>(first), static_cast<size_t>(sizes_.value_dim)));
  }

  std::mt19937 random_{43};
  Sizes sizes_;
};

CaseResult run_case(const DeviceBench& bench, const OperatorKernels& kernels, const Sizes& sizes,
                    AttentionForm form) {
  const Problem problem(sizes);
  const DeviceBuffer query = bench.upload(problem.query);
  const DeviceBuffer rotated = bench.upload(problem.rotated);
  const DeviceBuffer plain = bench.upload(problem.plain);
  const DeviceBuffer value = bench.upload(problem.value);
  const DeviceBuffer bias = bench.upload(problem.bias);
  const DeviceBuffer cos = bench.upload(problem.cos);
  const DeviceBuffer sin = bench.upload(problem.sin);
  const auto values = static_cast<size_t>(sizes.batches * sizes.queries * sizes.value_dim);
  const DeviceBuffer result = bench.make<uint16_t>(values);
  MemoryAttention call;
  call.type = sizes.type;
  call.query = query.data();
  call.rotated_key = rotated.data();
  call.plain_key = plain.data();
  call.value = value.data();
  if (sizes.has_bias()) call.bias = bias.data();
  call.cos = cos.data();
  call.sin = sin.data();
  call.result = result.data();
  call.batches = sizes.batches;
  call.queries = sizes.queries;
  call.rotated_keys = sizes.frames * sizes.queries;
  call.plain_keys = sizes.plain_keys;
  call.value_dim = sizes.value_dim;
  const DeviceBuffer scratch = bench.make<std::byte>(call.scratch_bytes());
  call.scratch = scratch.data();
  const double microseconds =
      bench.run([&] { kernels.launch(call, bench.stream().handle(), form); });
  const auto found = bench.download<uint16_t>(result, values);
  const std::string name =
      "attention to memories " + std::string(name_of(sizes.type)) + " " +
      std::to_string(sizes.batches) + "x" + std::to_string(sizes.queries) + " queries to " +
      std::to_string(sizes.frames) + " frames and " + std::to_string(sizes.plain_keys) +
      " keys, values of " + std::to_string(sizes.value_dim) +
      (sizes.has_bias() ? ", not all for each" : "") + (sizes.rises ? ", scores rise" : "") +
      (form == AttentionForm::kWarpgroup ? ", wgmma" : "");
  return attention_result(name, sizes.type, found.size(), problem.largest_difference(found),
                          microseconds);
}

}  // namespace

void run_memory_attention_cases(const CudaDevice& device, const CaseOptions& options,
                                const std::function<void(const CaseResult&)>& report) {
  const OperatorKernels kernels(device.driver());
  run_cases(device, options, kCases, kTimed, [&](const DeviceBench& bench, const Sizes& sizes) {
    report(run_case(bench, kernels, sizes, AttentionForm::kMma));
    if (kernels.best_form(MemoryAttention{}) == AttentionForm::kMma) return;
    report(run_case(bench, kernels, sizes, AttentionForm::kWarpgroup));
  });
}

}  // namespace sam3trt
