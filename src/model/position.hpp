#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "onnx/graph.hpp"

namespace sam3trt {

/// Angular frequencies 2*pi / T^(2j / n) for j = 0 .. n/2 - 1, T = 10000, n features per
/// coordinate: Meta's `model/position_encoding.py`.
[[nodiscard]] std::vector<float> sine_frequencies(int64_t features);

/// Sine position encoding of a grid x grid map as tokens [grid*grid, width]: channels [y | x], each
/// interleaved sin, cos of (i + 1) / (grid + 1e-6) * 2*pi / T^(2j / n), n = width / 2.
[[nodiscard]] std::vector<float> sine_position_tokens(int64_t grid, int64_t width);

/// Divisors T^(2 * (j / 2) / n) of the one-dimensional sine encoding, j = 0 .. n - 1, T = 10000:
/// pairs share one (transformers, get_1d_sine_pe).
[[nodiscard]] std::vector<float> sine_divisors(int64_t features);

/// Cosines and sines of the vision encoder's rotary embedding, one row per token, head_dim / 2
/// columns: the first half of the columns rotates with x, the second with y.
struct RotaryTables {
  std::vector<float> cos;
  std::vector<float> sin;
};

/// Tables of a side x side grid whose positions are multiplied by `position_scale`; `order` lists
/// the token (y * side + x) of every row.
[[nodiscard]] RotaryTables rotary_tables(int64_t side, double position_scale, int64_t head_dim,
                                         double theta, const std::vector<int64_t>& order);

/// Tokens [grid*grid, 2 * features] of the encoding of every cell's centre by a random matrix
/// [2, features]: sines, then cosines, of 2*pi * (2 * centre - 1) * matrix with centre (x, y) in
/// 0..1 (SAM's prompt encoder).
[[nodiscard]] std::vector<float> random_position_tokens(int64_t grid,
                                                        const std::vector<float>& matrix);

/// Weights [out, in] of PyTorch's antialiased bilinear resize of one axis, align_corners = False
/// (aten, UpSampleKernel.cpp): a triangle as wide as the larger of both steps.
[[nodiscard]] std::vector<float> resize_weights(int64_t in, int64_t out);

/// 0, 1, ..., count - 1.
[[nodiscard]] std::vector<int64_t> raster_order(int64_t count);

/// Tokens of a grid x grid map window by window (window x window each), row by row inside.
[[nodiscard]] std::vector<int64_t> window_order(int64_t grid, int64_t window);

/// Sine encoding of coordinates x [P, n] (in 0..1), `features` per coordinate, in the order
/// [sin(f0) .. sin(fm) | cos(f0) .. cos(fm)]: [P, n, features]. Weights that follow must have their
/// columns in this order (deinterleaved_columns).
Value add_sine_encoding(Graph& graph, const std::string& name, const Value& x, int64_t features);

/// Column i of the encoding above is column result[i] of the interleaved one of the reference code.
[[nodiscard]] std::vector<int64_t> deinterleaved_columns(int64_t features, int64_t coordinates);

/// Columns of a row-major [rows, columns.size()] matrix, reordered.
[[nodiscard]] std::vector<float> select_columns(const std::vector<float>& values, int64_t rows,
                                                const std::vector<int64_t>& columns);

}  // namespace sam3trt
