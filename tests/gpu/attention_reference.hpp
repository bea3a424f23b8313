#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <vector>

#include "base/half.hpp"
#include "base/tensor.hpp"
#include "kernel_cases.hpp"

namespace sam3trt {

inline uint16_t round_to(DType type, float value) {
  return type == DType::kF16 ? f32_to_f16(value) : f32_to_bf16(value);
}

inline double value_of(DType type, uint16_t bits) {
  return static_cast<double>(type == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits));
}

/// Normally distributed numbers, rounded to the type.
inline std::vector<uint16_t> random_values(std::mt19937& random, DType type, int64_t count,
                                           float scale) {
  std::normal_distribution<float> normal;
  std::vector<uint16_t> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(round_to(type, scale * normal(random)));
  return values;
}

/// Rotates channel i of a row with channel i + dim / 2, by the cosines and sines from `angle` on,
/// and rounds to the type as the kernels do.
inline void rotate(DType type, std::span<double> row, std::span<const float> cos,
                   std::span<const float> sin, size_t angle) {
  const size_t half = row.size() / 2;
  const auto rounded = [&](double value) {
    return value_of(type, round_to(type, static_cast<float>(value)));
  };
  for (size_t i = 0; i < half; ++i) {
    const double c = static_cast<double>(cos[angle + i]);
    const double s = static_cast<double>(sin[angle + i]);
    const double a = row[i];
    const double b = row[i + half];
    row[i] = rounded(a * c - b * s);
    row[i + half] = rounded(a * s + b * c);
  }
}

/// Largest difference of a query's result to attention in float64: softmax of its scores, and
/// value(key, channel) mixed by it.
inline double difference_to_attention(DType type, std::vector<double> scores,
                                      const std::function<double(size_t, size_t)>& value,
                                      std::span<const uint16_t> result) {
  const double top = *std::ranges::max_element(scores);
  double total = 0;
  for (double& score : scores) total += score = std::exp(score - top);
  double largest = 0;
  for (size_t channel = 0; channel < result.size(); ++channel) {
    double mixed = 0;
    for (size_t key = 0; key < scores.size(); ++key) {
      mixed += scores[key] / total * value(key, channel);
    }
    largest = larger(largest, std::abs(mixed - value_of(type, result[channel])));
  }
  return largest;
}

/// What a case found. Allowed is a difference to attention in float64 of the same rounded inputs,
/// whose values are of order one, of 2e-3 in float16 and 1.2e-2 in bfloat16: probabilities and
/// results are rounded to the type. Measured over all cases: 9.4e-4 and 7.2e-3.
inline CaseResult attention_result(std::string name, DType type, size_t values, double largest,
                                   double microseconds) {
  CaseResult result;
  result.name = std::move(name);
  result.values = values;
  result.largest = largest;
  result.passed = largest <= (type == DType::kF16 ? 2e-3 : 1.2e-2);
  result.differing = result.passed ? 0 : 1;
  result.microseconds = microseconds;
  return result;
}

}  // namespace sam3trt
