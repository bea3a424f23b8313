#include "model/position.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

constexpr double kTemperature = 10000.0;

}  // namespace

std::vector<float> sine_frequencies(int64_t features) {
  std::vector<float> frequencies;
  for (int64_t j = 0; j < features / 2; ++j) {
    const double exponent = 2.0 * static_cast<double>(j) / static_cast<double>(features);
    frequencies.push_back(
        static_cast<float>(2.0 * std::numbers::pi / std::pow(kTemperature, exponent)));
  }
  return frequencies;
}

std::vector<float> sine_position_tokens(int64_t grid, int64_t width) {
  const int64_t features = width / 2;
  std::vector<float> row(static_cast<size_t>(grid * features));
  for (int64_t i = 0; i < grid; ++i) {
    const double position =
        static_cast<double>(i + 1) / (static_cast<double>(grid) + 1e-6) * 2.0 * std::numbers::pi;
    for (int64_t j = 0; j < features; ++j) {
      const int64_t pair = j / 2;
      const double exponent = 2.0 * static_cast<double>(pair) / static_cast<double>(features);
      const double angle = position / std::pow(kTemperature, exponent);
      row[static_cast<size_t>(i * features + j)] =
          static_cast<float>(j % 2 == 0 ? std::sin(angle) : std::cos(angle));
    }
  }
  std::vector<float> tokens;
  tokens.reserve(static_cast<size_t>(grid * grid * width));
  for (int64_t y = 0; y < grid; ++y) {
    for (int64_t x = 0; x < grid; ++x) {
      for (const int64_t i : {y, x}) {
        const auto begin = row.begin() + i * features;
        tokens.insert(tokens.end(), begin, begin + features);
      }
    }
  }
  return tokens;
}

std::vector<float> sine_divisors(int64_t features) {
  std::vector<float> divisors;
  for (int64_t j = 0; j < features; ++j) {
    const int64_t pair = j / 2;
    const double exponent = 2.0 * static_cast<double>(pair) / static_cast<double>(features);
    divisors.push_back(static_cast<float>(std::pow(kTemperature, exponent)));
  }
  return divisors;
}

std::vector<float> random_position_tokens(int64_t grid, const std::vector<float>& matrix) {
  const size_t features = matrix.size() / 2;
  const auto centre = [grid](int64_t i) {
    return 2.0 * (static_cast<double>(i) + 0.5) / static_cast<double>(grid) - 1.0;
  };
  std::vector<float> tokens;
  tokens.reserve(static_cast<size_t>(grid * grid) * 2 * features);
  for (int64_t token = 0; token < grid * grid; ++token) {
    std::vector<double> angles;
    for (size_t j = 0; j < features; ++j) {
      const double product = centre(token % grid) * static_cast<double>(matrix[j]) +
                             centre(token / grid) * static_cast<double>(matrix[features + j]);
      angles.push_back(2.0 * std::numbers::pi * product);
    }
    for (const double angle : angles) tokens.push_back(static_cast<float>(std::sin(angle)));
    for (const double angle : angles) tokens.push_back(static_cast<float>(std::cos(angle)));
  }
  return tokens;
}

std::vector<float> resize_weights(int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double support = std::max(scale, 1.0);
  std::vector<float> weights(static_cast<size_t>(in * out), 0.0F);
  for (int64_t row = 0; row < out; ++row) {
    const double centre = scale * (static_cast<double>(row) + 0.5);
    // Truncated, not rounded, as the reference does it.
    const double low = centre - support + 0.5;
    const double high = centre + support + 0.5;
    const auto first = std::max(static_cast<int64_t>(low), int64_t{0});
    const auto last = std::min(static_cast<int64_t>(high), in);
    const auto weight = [&](int64_t column) {
      const double distance = (static_cast<double>(column) - centre + 0.5) / support;
      return std::max(1.0 - std::abs(distance), 0.0);
    };
    double sum = 0;
    for (int64_t column = first; column < last; ++column) sum += weight(column);
    for (int64_t column = first; column < last; ++column) {
      weights[static_cast<size_t>(row * in + column)] = static_cast<float>(weight(column) / sum);
    }
  }
  return weights;
}

RotaryTables rotary_tables(int64_t side, double position_scale, int64_t head_dim, double theta,
                           const std::vector<int64_t>& order) {
  RotaryTables tables;
  const int64_t per_axis = head_dim / 4;
  for (const int64_t token : order) {
    for (const int64_t index : {token % side, token / side}) {
      // Rounded to float step by step, as the reference computes its angles in float32.
      const auto position = static_cast<float>(static_cast<double>(index) * position_scale);
      for (int64_t k = 0; k < per_axis; ++k) {
        const double exponent = 4.0 * static_cast<double>(k) / static_cast<double>(head_dim);
        const auto frequency = static_cast<float>(std::pow(theta, -exponent));
        const auto angle = static_cast<double>(position * frequency);
        tables.cos.push_back(static_cast<float>(std::cos(angle)));
        tables.sin.push_back(static_cast<float>(std::sin(angle)));
      }
    }
  }
  return tables;
}

std::vector<int64_t> raster_order(int64_t count) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

std::vector<int64_t> window_order(int64_t grid, int64_t window) {
  std::vector<int64_t> order;
  for (int64_t wy = 0; wy < grid; wy += window) {
    for (int64_t wx = 0; wx < grid; wx += window) {
      for (int64_t y = wy; y < wy + window; ++y) {
        for (int64_t x = wx; x < wx + window; ++x) order.push_back(y * grid + x);
      }
    }
  }
  return order;
}

Value add_sine_encoding(Graph& graph, const std::string& name, const Value& x, int64_t features) {
  const Value frequencies =
      graph.add_constant_f32(name + "/frequencies", {features / 2}, sine_frequencies(features));
  const Value column = add_unsqueeze(graph, name + "/column", x, 2);
  const Value angle = add_mul(graph, name + "/angle", column, frequencies);
  return add_concat(
      graph, name, {add_sin(graph, name + "/sin", angle), add_cos(graph, name + "/cos", angle)}, 2);
}

std::vector<int64_t> deinterleaved_columns(int64_t features, int64_t coordinates) {
  std::vector<int64_t> columns;
  for (int64_t c = 0; c < coordinates; ++c) {
    for (const int64_t phase : {0, 1}) {
      for (int64_t j = phase; j < features; j += 2) columns.push_back(c * features + j);
    }
  }
  return columns;
}

std::vector<float> select_columns(const std::vector<float>& values, int64_t rows,
                                  const std::vector<int64_t>& columns) {
  std::vector<float> result;
  result.reserve(values.size());
  const auto width = static_cast<int64_t>(columns.size());
  for (int64_t row = 0; row < rows; ++row) {
    for (const int64_t column : columns) {
      result.push_back(values[static_cast<size_t>(row * width + column)]);
    }
  }
  return result;
}

}  // namespace sam3trt
