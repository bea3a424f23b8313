#include "model/rotary.hpp"

#include "onnx/ops.hpp"

namespace sam3trt {

Rotation add_rotation_tables(Graph& graph, const std::string& name, const Shape& shape,
                             const RotaryTables& tables) {
  return {graph.add_constant_f32(name + "/cos", shape, tables.cos),
          graph.add_constant_f32(name + "/sin", shape, tables.sin)};
}

Value add_rotation(Graph& graph, const std::string& name, const Value& x, const Rotation& tables) {
  const auto axis = static_cast<int64_t>(x.rank()) - 1;
  const std::vector<Value> halves = add_split(graph, name + "/halves", x, axis, 2);
  const auto times = [&](const std::string& part, const Value& a, const Value& b) {
    return add_mul(graph, name + "/" + part, a, b);
  };
  const Value first = add_sub(graph, name + "/first", times("ac", halves[0], tables.cos),
                              times("bs", halves[1], tables.sin));
  const Value second = add_add(graph, name + "/second", times("as", halves[0], tables.sin),
                               times("bc", halves[1], tables.cos));
  return add_concat(graph, name, {first, second}, axis);
}

std::vector<int64_t> rotary_rows(int64_t width, int64_t head_dim) {
  std::vector<int64_t> rows;
  const int64_t half = head_dim / 2;
  for (int64_t row = 0; row < width; ++row) {
    const int64_t channel = row % head_dim;
    const int64_t source = channel < half ? 2 * channel : 2 * (channel - half) + 1;
    rows.push_back(row - channel + source);
  }
  return rows;
}

}  // namespace sam3trt
