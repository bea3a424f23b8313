#include "precision/graph_rewriter.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "base/own_operators.hpp"

namespace sam3trt {

GraphRewriter::GraphRewriter(const onnx::GraphProto& graph, std::string where, std::string what)
    : graph_(graph), where_(std::move(where)), what_(std::move(what)) {
  for (const auto& node : graph.node()) nodes_[node.name()] = &node;
  for (const auto& tensor : graph.initializer()) constants_[tensor.name()] = &tensor;
}

void GraphRewriter::fail(const std::string& problem) const {
  throw_bad_input(where_ + ": " + what_ + " cannot become operators of this program: " + problem +
                  "; export the graph again");
}

const onnx::NodeProto& GraphRewriter::expect(const std::string& name, const std::string& op,
                                             const std::vector<std::string>& inputs) const {
  const auto found = nodes_.find(name);
  bool right = found != nodes_.end() && found->second->op_type() == op &&
               found->second->input_size() == static_cast<int>(inputs.size()) &&
               found->second->output_size() == 1 && found->second->output(0) == name;
  for (size_t i = 0; right && i < inputs.size(); ++i) {
    const std::string& input = found->second->input(static_cast<int>(i));
    const bool constant = constants_.contains(input);
    right = inputs[i] == kConstant ? constant
            : inputs[i] == kTensor ? !constant
                                   : input == inputs[i];
  }
  if (!right) fail("expected a node " + name + " (" + op + ")");
  return *found->second;
}

onnx::NodeProto& GraphRewriter::replace(const onnx::NodeProto& node, const std::string& op,
                                        const std::string& name,
                                        const std::vector<std::string>& inputs,
                                        const std::vector<std::string>& outputs) {
  onnx::NodeProto& added = replacements_[node.name()].emplace_back();
  added.set_op_type(op);
  added.set_name(name);
  if (is_own_operator(op)) added.set_domain(kOwnDomain);
  for (const std::string& input : inputs) added.add_input(input);
  for (const std::string& output : outputs) added.add_output(output);
  return added;
}

std::string GraphRewriter::add_numbers(const std::string& name,
                                       const std::vector<int64_t>& numbers) {
  onnx::TensorProto& tensor = new_constants_.emplace_back();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::INT64);
  tensor.add_dims(static_cast<int64_t>(numbers.size()));
  tensor.set_raw_data(numbers.data(), numbers.size() * sizeof(int64_t));
  return name;
}

std::string GraphRewriter::add_zeros(const std::string& name, const std::vector<int64_t>& shape) {
  onnx::TensorProto& tensor = new_constants_.emplace_back();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  size_t count = 1;
  for (const int64_t size : shape) {
    tensor.add_dims(size);
    count *= static_cast<size_t>(size);
  }
  tensor.set_raw_data(std::string(count * sizeof(float), '\0'));
  return name;
}

std::vector<int64_t> GraphRewriter::numbers_of(const std::string& name, size_t count) const {
  const auto found = constants_.find(name);
  if (found != constants_.end()) {
    if (auto numbers = int64_values(*found->second, count)) return std::move(*numbers);
  }
  fail("there is no " + name + " of " + std::to_string(count) + " numbers");
}

std::vector<int64_t> GraphRewriter::shape_of(const std::string& name) const {
  const auto found = constants_.find(name);
  if (found == constants_.end()) fail("there is no constant " + name);
  return {found->second->dims().begin(), found->second->dims().end()};
}

int32_t GraphRewriter::epsilon_of(const onnx::NodeProto& norm) const {
  if (const auto bits = epsilon_bits(norm)) return *bits;
  fail(norm.name() + " has no epsilon");
}

int64_t GraphRewriter::own_operators() const {
  int64_t count = 0;
  for (const auto& [name, nodes] : replacements_) {
    for (const auto& node : nodes) count += is_own_operator(node.op_type()) ? 1 : 0;
  }
  return count;
}

onnx::GraphProto GraphRewriter::result() const {
  check_uses();
  onnx::GraphProto result = graph_;
  result.clear_node();
  for (const auto& node : graph_.node()) {
    if (const auto found = replacements_.find(node.name()); found != replacements_.end()) {
      for (const auto& each : found->second) *result.add_node() = each;
    } else if (!removed_.contains(node.name())) {
      *result.add_node() = node;
    }
  }
  drop_unused_constants(result);
  for (const auto& tensor : new_constants_) *result.add_initializer() = tensor;
  return result;
}

void GraphRewriter::check_uses() const {
  std::set<std::string> made;
  for (const auto& [name, nodes] : replacements_) {
    for (const auto& node : nodes) made.insert(node.output().begin(), node.output().end());
  }
  const auto stays = [&](const onnx::NodeProto& node) {
    return !removed_.contains(node.name()) && !replacements_.contains(node.name());
  };
  std::set<std::string> gone;
  for (const auto& node : graph_.node()) {
    if (stays(node)) continue;
    for (const std::string& output : node.output()) {
      if (!made.contains(output)) gone.insert(output);
    }
  }
  for (const auto& node : graph_.node()) {
    if (!stays(node)) continue;
    for (const std::string& input : node.input()) {
      if (gone.contains(input)) fail("node " + node.name() + " uses '" + input + "'");
    }
  }
  for (const auto& output : graph_.output()) {
    if (gone.contains(output.name())) fail("'" + output.name() + "' is an output");
  }
}

std::optional<int32_t> epsilon_bits(const onnx::NodeProto& norm) {
  for (const auto& attribute : norm.attribute()) {
    if (attribute.name() == "epsilon") return std::bit_cast<int32_t>(attribute.f());
  }
  return std::nullopt;
}

std::optional<std::vector<int64_t>> int64_values(const onnx::TensorProto& constant, size_t count) {
  std::vector<int64_t> values(count);
  const size_t bytes = count * sizeof(int64_t);
  if (constant.data_type() != onnx::TensorProto::INT64 || constant.raw_data().size() != bytes) {
    return std::nullopt;
  }
  std::memcpy(values.data(), constant.raw_data().data(), bytes);
  return values;
}

void drop_unused_constants(onnx::GraphProto& graph) {
  std::set<std::string> used;
  for (const auto& node : graph.node()) used.insert(node.input().begin(), node.input().end());
  auto* constants = graph.mutable_initializer();
  constants->erase(
      std::remove_if(constants->begin(), constants->end(),
                     [&](const auto& tensor) { return !used.contains(tensor.name()); }),
      constants->end());
}

void set_int(onnx::NodeProto& node, const std::string& name, int64_t value) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INT);
  attribute->set_i(value);
}

void set_order(onnx::NodeProto& transpose, const std::vector<int64_t>& order) {
  auto* attribute = transpose.add_attribute();
  attribute->set_name("perm");
  attribute->set_type(onnx::AttributeProto::INTS);
  for (const int64_t axis : order) attribute->add_ints(axis);
}

}  // namespace sam3trt
