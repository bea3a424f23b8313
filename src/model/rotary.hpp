#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/layers.hpp"
#include "model/position.hpp"

namespace sam3trt {

/// Constants of a rotary embedding.
struct Rotation {
  Value cos;
  Value sin;
};

/// The tables as constants of that shape: the rows, and in the last axis half the head's channels.
Rotation add_rotation_tables(Graph& graph, const std::string& name, const Shape& shape,
                             const RotaryTables& tables);

/// Rotates pairs of channels of the last axis, whose first half holds the first channel of every
/// pair and its second half the second (rotary_rows); the tables broadcast.
Value add_rotation(Graph& graph, const std::string& name, const Value& x, const Rotation& tables);

/// Rows of a projection to heads in that order: row i is row result[i] of the reference, in which
/// the pairs are neighbours. Products of two that are reordered stay what they were.
[[nodiscard]] std::vector<int64_t> rotary_rows(int64_t width, int64_t head_dim);

}  // namespace sam3trt
