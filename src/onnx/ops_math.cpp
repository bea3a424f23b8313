#include "base/error.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

Value add_binary(Graph& graph, const char* op_type, const std::string& name, const Value& a,
                 const Value& b) {
  if (a.dtype != b.dtype) throw Error(ErrorCode::kInternal, name + ": operands differ in dtype");
  Value result{name, a.dtype, broadcast(a.shape, b.shape, name)};
  graph.add_node(op_type, name, {a, b}, {result});
  return result;
}

Value add_unary(Graph& graph, const char* op_type, const std::string& name, const Value& x,
                const Attributes& attributes = {}) {
  Value result{name, x.dtype, x.shape};
  graph.add_node(op_type, name, {x}, {result}, attributes);
  return result;
}

}  // namespace

Value add_add(Graph& graph, const std::string& name, const Value& a, const Value& b) {
  return add_binary(graph, "Add", name, a, b);
}

Value add_sub(Graph& graph, const std::string& name, const Value& a, const Value& b) {
  return add_binary(graph, "Sub", name, a, b);
}

Value add_mul(Graph& graph, const std::string& name, const Value& a, const Value& b) {
  return add_binary(graph, "Mul", name, a, b);
}

Value add_div(Graph& graph, const std::string& name, const Value& a, const Value& b) {
  return add_binary(graph, "Div", name, a, b);
}

Value add_max(Graph& graph, const std::string& name, const Value& a, const Value& b) {
  return add_binary(graph, "Max", name, a, b);
}

Value add_relu(Graph& graph, const std::string& name, const Value& x) {
  return add_unary(graph, "Relu", name, x);
}

Value add_sigmoid(Graph& graph, const std::string& name, const Value& x) {
  return add_unary(graph, "Sigmoid", name, x);
}

Value add_log(Graph& graph, const std::string& name, const Value& x) {
  return add_unary(graph, "Log", name, x);
}

Value add_abs(Graph& graph, const std::string& name, const Value& x) {
  return add_unary(graph, "Abs", name, x);
}

Value add_sign(Graph& graph, const std::string& name, const Value& x) {
  return add_unary(graph, "Sign", name, x);
}

Value add_sin(Graph& graph, const std::string& name, const Value& x) {
  return add_unary(graph, "Sin", name, x);
}

Value add_cos(Graph& graph, const std::string& name, const Value& x) {
  return add_unary(graph, "Cos", name, x);
}

Value add_gelu(Graph& graph, const std::string& name, const Value& x) {
  return add_unary(graph, "Gelu", name, x, {{"approximate", std::string("none")}});
}

Value add_clip(Graph& graph, const std::string& name, const Value& x, float low, float high) {
  const Value minimum = graph.add_constant_f32(name + "/min", {}, {low});
  const Value maximum = graph.add_constant_f32(name + "/max", {}, {high});
  Value result{name, x.dtype, x.shape};
  graph.add_node("Clip", name, {x, minimum, maximum}, {result});
  return result;
}

Value add_softmax(Graph& graph, const std::string& name, const Value& x) {
  return add_unary(graph, "Softmax", name, x, {{"axis", int64_t{-1}}});
}

Value add_matmul(Graph& graph, const std::string& name, const Value& a, const Value& b) {
  const size_t rank_a = a.rank();
  const size_t rank_b = b.rank();
  if (rank_a < 2 || rank_b < 2 || a.dtype != b.dtype || a.dim(rank_a - 1) != b.dim(rank_b - 2)) {
    throw Error(ErrorCode::kInternal,
                name + ": cannot multiply " + to_string(a.shape) + " by " + to_string(b.shape));
  }
  SymbolicShape shape = broadcast(SymbolicShape(a.shape.begin(), a.shape.end() - 2),
                                  SymbolicShape(b.shape.begin(), b.shape.end() - 2), name);
  shape.push_back(a.dim(rank_a - 2));
  shape.push_back(b.dim(rank_b - 1));
  Value result{name, a.dtype, std::move(shape)};
  graph.add_node("MatMul", name, {a, b}, {result});
  return result;
}

Value add_reduce_sum(Graph& graph, const std::string& name, const Value& x, int64_t axis) {
  const Value axes = graph.add_constant_i64(name + "/axes", {1}, {axis});
  Value result{name, x.dtype, x.shape};
  result.shape.at(static_cast<size_t>(axis)) = 1;
  graph.add_node("ReduceSum", name, {x, axes}, {result}, {{"keepdims", int64_t{1}}});
  return result;
}

}  // namespace sam3trt
