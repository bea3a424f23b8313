#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "attention_reference.hpp"
#include "base/e4m3.hpp"
#include "product_cases.hpp"

namespace sam3trt {

/// Numbers that look random and are quick to make: sums of two uniform ones, of variance one.
class QuickRandom {
 public:
  explicit QuickRandom(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15U + 1) {}

  float next() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    const auto low = static_cast<float>(state_ >> 40U & 0xFFFU);
    const auto high = static_cast<float>(state_ >> 52U);
    return (low + high - 4095.0F) * (2.449489743F / 4096.0F);
  }

 private:
  uint64_t state_;
};

inline double e4m3_value(uint8_t bits) {
  static const std::array<double, 256> kValues = [] {
    std::array<double, 256> values{};
    for (int i = 0; i < 256; ++i) {
      const int exponent = i >> 3 & 15;
      const int digits = i & 7;
      double value = exponent == 0 ? std::ldexp(digits, -9) : std::ldexp(8 + digits, exponent - 10);
      if ((i & 127) == 127) value = std::nan("");
      values[static_cast<size_t>(i)] = (i & 128) != 0 ? -value : value;
    }
    return values;
  }();
  return kValues[bits];
}

/// Rounded to 16 bits, or to E4M3 after a multiplication by 1 / scale, as kernels do.
inline double rounded(DType type, double value) {
  return value_of(type, round_to(type, static_cast<float>(value)));
}
inline double rounded_e4m3(double value, float scale) {
  return e4m3_value(f32_to_e4m3(static_cast<float>(value) * (1.0F / scale))) *
         static_cast<double>(scale);
}

inline double gelu_tanh(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
}
inline double gelu_erf(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }

/// A matrix of weights as a product takes it, and what it stands for.
struct TestWeights {
  std::vector<uint16_t> low;   ///< [K, N] of the type.
  std::vector<uint8_t> fp8;    ///< [N, K]
  std::vector<float> exact;    ///< [K, N] before rounding
  std::vector<float> rounded;  ///< [K, N]
  float scale = 1;
  std::vector<uint16_t> bias;  ///< [N] of the type
  int64_t inputs = 0;
  int64_t outputs = 0;

  TestWeights(QuickRandom& random, DType type, bool is_fp8, int64_t in, int64_t out)
      : inputs(in), outputs(out) {
    const auto count = static_cast<size_t>(in * out);
    const float spread = 1 / std::sqrt(static_cast<float>(in));
    float most = 0;
    exact.resize(count);
    for (float& value : exact) {
      value = spread * random.next();
      most = std::max(most, std::abs(value));
    }
    rounded.resize(count);
    for (int64_t i = 0; i < out; ++i) bias.push_back(round_to(type, 0.2F * random.next()));
    if (!is_fp8) {
      low.resize(count);
      for (size_t i = 0; i < count; ++i) {
        low[i] = round_to(type, exact[i]);
        rounded[i] = static_cast<float>(value_of(type, low[i]));
      }
      return;
    }
    scale = most / kLargestE4m3;
    fp8.resize(count);
    for (int64_t k = 0; k < in; ++k) {
      for (int64_t n = 0; n < out; ++n) {
        const auto from = static_cast<size_t>(k * out + n);
        const uint8_t bits = f32_to_e4m3(exact[from] / scale);
        fp8[static_cast<size_t>(n * in + k)] = bits;
        rounded[from] = static_cast<float>(e4m3_value(bits) * static_cast<double>(scale));
      }
    }
  }

  /// A row times `weights` (exact or rounded), and the bias.
  [[nodiscard]] std::vector<double> multiply(DType type, std::span<const double> row,
                                             const std::vector<float>& weights) const {
    std::vector<double> sums(static_cast<size_t>(outputs));
    for (size_t k = 0; k < row.size(); ++k) {
      const float* from = weights.data() + k * sums.size();
      for (size_t n = 0; n < sums.size(); ++n) sums[n] += row[k] * static_cast<double>(from[n]);
    }
    for (size_t n = 0; n < sums.size(); ++n) sums[n] += value_of(type, bias[n]);
    return sums;
  }
};

/// Differences over many values.
class Differences {
 public:
  void add(double found, double expected) {
    const double difference = std::abs(found - expected);
    largest_ = larger(largest_, difference);
    squares_ += difference * difference;
    expected_ += expected * expected;
    ++count_;
  }
  [[nodiscard]] double largest() const { return largest_; }
  [[nodiscard]] double rms() const { return std::sqrt(squares_ / expected_); }
  [[nodiscard]] uint64_t count() const { return count_; }

 private:
  double largest_ = 0;
  double squares_ = 0;
  double expected_ = 0;
  uint64_t count_ = 0;
};

/// Inputs of a product or an MLP; an input's row and channel have their own size and mean.
class ProductProblem {
 public:
  ProductProblem(const ProductCase& sizes, QuickRandom& random)
      : sizes_(sizes), input_(static_cast<size_t>(sizes.rows * sizes.inputs)) {
    size_t i = 0;
    for (int64_t row = 0; row < sizes.rows; ++row) {
      const float size = 0.5F + 0.1F * static_cast<float>(row % 11);
      for (int64_t k = 0; k < sizes.inputs; ++k) {
        input_[i++] = round_to(sizes.type, size * random.next() + 0.3F);
      }
    }
    for (int64_t k = 0; k < sizes.inputs; ++k) {
      gain_.push_back(1 + 0.2F * random.next());
      shift_.push_back(0.1F * random.next());
    }
  }

  static constexpr float kEpsilon = 1e-6F;

  [[nodiscard]] const std::vector<uint16_t>& input() const { return input_; }
  [[nodiscard]] const std::vector<float>& gain() const { return gain_; }
  [[nodiscard]] const std::vector<float>& shift() const { return shift_; }

  /// A row as it is, or normalised.
  [[nodiscard]] std::vector<double> row(int64_t index) const {
    std::vector<double> values;
    for (int64_t k = 0; k < sizes_.inputs; ++k) {
      values.push_back(
          value_of(sizes_.type, input_[static_cast<size_t>(index * sizes_.inputs + k)]));
    }
    if (!sizes_.normalised) return values;
    double mean = 0;
    for (const double value : values) mean += value / static_cast<double>(values.size());
    double variance = 0;
    for (const double value : values) {
      variance += (value - mean) * (value - mean) / static_cast<double>(values.size());
    }
    for (size_t k = 0; k < values.size(); ++k) {
      values[k] = (values[k] - mean) / std::sqrt(variance + static_cast<double>(kEpsilon)) *
                      static_cast<double>(gain_[k]) +
                  static_cast<double>(shift_[k]);
    }
    return values;
  }

  /// At most `most` rows, spread over all.
  [[nodiscard]] std::vector<int64_t> some_rows(int64_t most) const {
    std::vector<int64_t> rows;
    const int64_t step = std::max<int64_t>(1, sizes_.rows / most);
    for (int64_t row = 0; row < sizes_.rows; row += step) rows.push_back(row);
    if (rows.back() != sizes_.rows - 1) rows.push_back(sizes_.rows - 1);
    return rows;
  }

 private:
  ProductCase sizes_;
  std::vector<uint16_t> input_;
  std::vector<float> gain_;
  std::vector<float> shift_;
};

}  // namespace sam3trt
