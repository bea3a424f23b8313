#include <algorithm>
#include <optional>

#include "base/error.hpp"
#include "onnx/ops.hpp"

namespace sam3trt {
namespace {

[[noreturn]] void fail(const std::string& name, const std::string& what) {
  throw Error(ErrorCode::kInternal, name + ": " + what);
}

/// Product of the static dimensions, and the symbolic ones that remain.
std::pair<int64_t, SymbolicShape> split_static(const SymbolicShape& shape) {
  int64_t product = 1;
  SymbolicShape symbolic;
  for (const Dim& dim : shape) {
    if (dim.is_static()) {
      product *= dim.value();
    } else {
      symbolic.push_back(dim);
    }
  }
  return {product, symbolic};
}

/// Whether two shapes hold the same number of elements for every value of the symbols. Covers what
/// the graphs need: equal symbolic dimensions, or one whose factor moved to or from the numbers.
bool same_element_count(const SymbolicShape& a, const SymbolicShape& b) {
  auto [static_a, symbolic_a] = split_static(a);
  auto [static_b, symbolic_b] = split_static(b);
  if (symbolic_a.size() != symbolic_b.size()) return false;
  std::optional<std::pair<Dim, Dim>> difference;
  for (size_t i = 0; i < symbolic_a.size(); ++i) {
    if (symbolic_a[i] == symbolic_b[i]) continue;
    if (difference) return false;
    difference.emplace(symbolic_a[i], symbolic_b[i]);
  }
  if (!difference) return static_a == static_b;
  return difference->first.times(static_a) == difference->second.times(static_b);
}

}  // namespace

Value add_reshape(Graph& graph, const std::string& name, const Value& x,
                  const SymbolicShape& shape) {
  if (!same_element_count(x.shape, shape)) {
    fail(name, "cannot reshape " + to_string(x.shape) + " to " + to_string(shape));
  }
  std::vector<int64_t> target;
  bool inferred = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i].is_static()) {
      target.push_back(shape[i].value());
    } else if (i < x.rank() && x.dim(i) == shape[i]) {
      target.push_back(0);
    } else if (!inferred) {
      target.push_back(-1);
      inferred = true;
    } else {
      fail(name, "two dimensions of " + to_string(shape) + " would have to be inferred");
    }
  }
  const Value dims =
      graph.add_constant_i64(name + "/shape", {static_cast<int64_t>(target.size())}, target);
  Value result{name, x.dtype, shape};
  graph.add_node("Reshape", name, {x, dims}, {result});
  return result;
}

Value add_transpose(Graph& graph, const std::string& name, const Value& x,
                    const std::vector<int64_t>& permutation) {
  if (permutation.size() != x.rank()) fail(name, "the permutation does not fit the rank");
  Value result{name, x.dtype, {}};
  for (const int64_t axis : permutation) result.shape.push_back(x.dim(static_cast<size_t>(axis)));
  graph.add_node("Transpose", name, {x}, {result}, {{"perm", permutation}});
  return result;
}

Value add_unsqueeze(Graph& graph, const std::string& name, const Value& x, int64_t axis) {
  const Value axes = graph.add_constant_i64(name + "/axes", {1}, {axis});
  Value result{name, x.dtype, x.shape};
  result.shape.insert(result.shape.begin() + axis, Dim(1));
  graph.add_node("Unsqueeze", name, {x, axes}, {result});
  return result;
}

Value add_squeeze(Graph& graph, const std::string& name, const Value& x, int64_t axis) {
  if (x.dim(static_cast<size_t>(axis)) != Dim(1)) fail(name, "the axis does not have size 1");
  const Value axes = graph.add_constant_i64(name + "/axes", {1}, {axis});
  Value result{name, x.dtype, x.shape};
  result.shape.erase(result.shape.begin() + axis);
  graph.add_node("Squeeze", name, {x, axes}, {result});
  return result;
}

Value add_concat(Graph& graph, const std::string& name, const std::vector<Value>& parts,
                 int64_t axis) {
  const auto along = static_cast<size_t>(axis);
  Value result{name, parts.at(0).dtype, parts.at(0).shape};
  for (size_t i = 1; i < parts.size(); ++i) {
    const Value& part = parts[i];
    bool fits = part.dtype == result.dtype && part.rank() == result.rank();
    for (size_t d = 0; fits && d < part.rank(); ++d) {
      fits = d == along || part.dim(d) == result.dim(d);
    }
    if (!fits) {
      fail(name, "cannot join " + to_string(parts[0].shape) + " and " + to_string(part.shape));
    }
    result.shape[along] = result.shape[along].plus(part.dim(along));
  }
  graph.add_node("Concat", name, parts, {result}, {{"axis", axis}});
  return result;
}

std::vector<Value> add_split(Graph& graph, const std::string& name, const Value& x, int64_t axis,
                             int64_t parts) {
  const int64_t size = x.dim(static_cast<size_t>(axis)).divided_by(parts).value();
  const Value sizes = graph.add_constant_i64(
      name + "/split", {parts}, std::vector<int64_t>(static_cast<size_t>(parts), size));
  std::vector<Value> results;
  for (int64_t i = 0; i < parts; ++i) {
    Value part{name + "." + std::to_string(i), x.dtype, x.shape};
    part.shape[static_cast<size_t>(axis)] = size;
    results.push_back(std::move(part));
  }
  graph.add_node("Split", name, {x, sizes}, results, {{"axis", axis}});
  return results;
}

Value add_slice(Graph& graph, const std::string& name, const Value& x, int64_t axis, int64_t start,
                int64_t end) {
  const Dim& dim = x.dim(static_cast<size_t>(axis));
  if (start < 0 || end <= start || (dim.is_static() && end > dim.value())) {
    fail(name, "the slice does not fit " + to_string(x.shape));
  }
  const Value starts = graph.add_constant_i64(name + "/start", {1}, {start});
  const Value ends = graph.add_constant_i64(name + "/end", {1}, {end});
  const Value axes = graph.add_constant_i64(name + "/axes", {1}, {axis});
  Value result{name, x.dtype, x.shape};
  result.shape[static_cast<size_t>(axis)] = end - start;
  graph.add_node("Slice", name, {x, starts, ends, axes}, {result});
  return result;
}

Value add_gather(Graph& graph, const std::string& name, const Value& data, const Value& indices,
                 int64_t axis) {
  if (indices.dtype != DType::kI64) fail(name, "indices must be int64");
  Value result{name, data.dtype, data.shape};
  const auto place = result.shape.erase(result.shape.begin() + axis);
  result.shape.insert(place, indices.shape.begin(), indices.shape.end());
  graph.add_node("Gather", name, {data, indices}, {result}, {{"axis", axis}});
  return result;
}

}  // namespace sam3trt
