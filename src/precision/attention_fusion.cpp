#include "precision/attention_fusion.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "base/error.hpp"
#include "base/own_operators.hpp"
#include "precision/recipe.hpp"

namespace sam3trt {
namespace {

struct Step {
  const char* name;
  const char* op;
  std::vector<const char*> inputs;  ///< Tensors below the path; "cos", "sin", or null: a constant.
};

/// What src/model/vision_encoder.cpp writes between the packed projections and the joined heads.
const std::vector<Step>& steps() {
  static const std::vector<Step> kSteps = {{"heads", "Reshape", {"qkv", nullptr}},
                                           {"order", "Transpose", {"heads"}},
                                           {"split", "Split", {"order", nullptr}},
                                           {"q_in", "Squeeze", {"split.0", nullptr}},
                                           {"q/halves", "Split", {"q_in", nullptr}},
                                           {"q/ac", "Mul", {"q/halves.0", "cos"}},
                                           {"q/bs", "Mul", {"q/halves.1", "sin"}},
                                           {"q/as", "Mul", {"q/halves.0", "sin"}},
                                           {"q/bc", "Mul", {"q/halves.1", "cos"}},
                                           {"q/first", "Sub", {"q/ac", "q/bs"}},
                                           {"q/second", "Add", {"q/as", "q/bc"}},
                                           {"q", "Concat", {"q/first", "q/second"}},
                                           {"k_in", "Squeeze", {"split.1", nullptr}},
                                           {"k/halves", "Split", {"k_in", nullptr}},
                                           {"k/ac", "Mul", {"k/halves.0", "cos"}},
                                           {"k/bs", "Mul", {"k/halves.1", "sin"}},
                                           {"k/as", "Mul", {"k/halves.0", "sin"}},
                                           {"k/bc", "Mul", {"k/halves.1", "cos"}},
                                           {"k/first", "Sub", {"k/ac", "k/bs"}},
                                           {"k/second", "Add", {"k/as", "k/bc"}},
                                           {"k", "Concat", {"k/first", "k/second"}},
                                           {"v", "Squeeze", {"split.2", nullptr}},
                                           {"k_t", "Transpose", {"k"}},
                                           {"scores", "MatMul", {"q", "k_t"}},
                                           {"softmax", "Softmax", {"scores"}},
                                           {"mix", "MatMul", {"softmax", "v"}},
                                           {"join", "Transpose", {"mix"}},
                                           {"flat", "Reshape", {"join", nullptr}}};
  return kSteps;
}

class Fusion {
 public:
  Fusion(onnx::GraphProto& graph, std::string where) : graph_(graph), where_(std::move(where)) {
    for (const auto& node : graph.node()) nodes_[node.name()] = &node;
    for (const auto& tensor : graph.initializer()) constants_[tensor.name()] = &tensor;
  }

  /// Notes the nodes to be removed and what takes their place.
  void add(const std::string& path) {
    const std::vector<int64_t> shape = heads_shape(path);
    if (!has_attention_kernel(shape[4])) return;
    std::map<std::string, std::string> tables;
    std::set<std::string> removed;
    for (const Step& step : steps()) {
      const onnx::NodeProto& node = node_of(path, step);
      for (size_t i = 0; i < step.inputs.size(); ++i) {
        check_input(path, step, node.input(static_cast<int>(i)), i, tables);
      }
      removed.insert(node.name());
    }
    check_uses(path, removed);
    onnx::NodeProto fused;
    fused.set_name(path + "/rotary_mha");
    fused.set_op_type(kRotaryAttention);
    fused.set_domain(kOwnDomain);
    fused.add_input(path + "/qkv");
    fused.add_input(tables.at("cos"));
    fused.add_input(tables.at("sin"));
    fused.add_output(path + "/flat");
    add_attribute(fused, "window", shape[1]);
    add_attribute(fused, "heads", shape[3]);
    add_attribute(fused, "head_dim", shape[4]);
    fused_[path + "/flat"] = std::move(fused);
    removed_.merge(removed);
  }

  int64_t apply() {
    onnx::GraphProto result = graph_;
    result.clear_node();
    for (const auto& node : graph_.node()) {
      if (const auto found = fused_.find(node.name()); found != fused_.end()) {
        *result.add_node() = found->second;
      } else if (!removed_.contains(node.name())) {
        *result.add_node() = node;
      }
    }
    drop_unused_constants(result);
    graph_ = std::move(result);
    return static_cast<int64_t>(fused_.size());
  }

 private:
  static void drop_unused_constants(onnx::GraphProto& graph) {
    std::set<std::string> used;
    for (const auto& node : graph.node()) used.insert(node.input().begin(), node.input().end());
    auto* constants = graph.mutable_initializer();
    constants->erase(
        std::remove_if(constants->begin(), constants->end(),
                       [&](const auto& tensor) { return !used.contains(tensor.name()); }),
        constants->end());
  }

  [[noreturn]] void fail(const std::string& path, const std::string& what) const {
    throw_bad_input(where_ + ": the attention " + path + " cannot become one kernel: " + what +
                    "; export the graph again");
  }

  static void add_attribute(onnx::NodeProto& node, const std::string& name, int64_t value) {
    auto* attribute = node.add_attribute();
    attribute->set_name(name);
    attribute->set_type(onnx::AttributeProto::INT);
    attribute->set_i(value);
  }

  /// [-1, N, 3, H, D] of the first step.
  [[nodiscard]] std::vector<int64_t> heads_shape(const std::string& path) const {
    const auto found = constants_.find(path + "/heads/shape");
    std::vector<int64_t> shape(5);
    const size_t bytes = shape.size() * sizeof(int64_t);
    if (found == constants_.end() || found->second->data_type() != onnx::TensorProto::INT64 ||
        found->second->raw_data().size() != bytes) {
      fail(path, "there is no " + path + "/heads/shape of 5 numbers");
    }
    std::memcpy(shape.data(), found->second->raw_data().data(), bytes);
    if (shape[1] <= 0 || shape[2] != 3 || shape[3] <= 0 || shape[4] <= 0) {
      fail(path, "its heads are not [batch, window, 3, heads, size]");
    }
    return shape;
  }

  [[nodiscard]] const onnx::NodeProto& node_of(const std::string& path, const Step& step) const {
    const auto found = nodes_.find(path + "/" + step.name);
    if (found == nodes_.end() || found->second->op_type() != step.op ||
        found->second->input_size() != static_cast<int>(step.inputs.size())) {
      fail(path, "expected a node " + path + "/" + step.name + " (" + step.op + ")");
    }
    return *found->second;
  }

  void check_input(const std::string& path, const Step& step, const std::string& input,
                   size_t index, std::map<std::string, std::string>& tables) const {
    const char* expected = step.inputs[index];
    const bool constant = constants_.contains(input);
    bool right = constant;
    if (expected != nullptr) {
      const std::string name = expected;
      if (name == "cos" || name == "sin") {
        right = constant && tables.try_emplace(name, input).first->second == input;
      } else {
        right = input == path + "/" + name;
      }
    }
    if (!right) fail(path, "node " + path + "/" + step.name + " uses '" + input + "'");
  }

  /// Nothing else may use what lies between.
  void check_uses(const std::string& path, const std::set<std::string>& removed) const {
    std::set<std::string> inner;
    for (const std::string& name : removed) {
      if (name == path + "/flat") continue;
      for (const std::string& output : nodes_.at(name)->output()) inner.insert(output);
    }
    for (const auto& node : graph_.node()) {
      if (removed.contains(node.name())) continue;
      for (const std::string& input : node.input()) {
        if (inner.contains(input)) fail(path, "node " + node.name() + " uses '" + input + "'");
      }
    }
    for (const auto& output : graph_.output()) {
      if (inner.contains(output.name())) fail(path, "'" + output.name() + "' is an output");
    }
  }

  onnx::GraphProto& graph_;
  std::string where_;
  std::map<std::string, const onnx::NodeProto*> nodes_;
  std::map<std::string, const onnx::TensorProto*> constants_;
  std::map<std::string, onnx::NodeProto> fused_;  ///< By the node whose place they take.
  std::set<std::string> removed_;
};

/// "/vision/blocks.0/attn" of "/vision/blocks.0/attn/softmax".
std::optional<std::string> attention_path(const onnx::NodeProto& node) {
  constexpr std::string_view kEnd = "/softmax";
  const std::string& name = node.name();
  if (node.op_type() != "Softmax" || !name.ends_with(kEnd)) return std::nullopt;
  return name.substr(0, name.size() - kEnd.size());
}

}  // namespace

int64_t fuse_rotary_attention(onnx::GraphProto& graph, const std::vector<std::string>& patterns,
                              const std::string& where) {
  Fusion fusion(graph, where);
  for (const auto& node : graph.node()) {
    const auto path = attention_path(node);
    if (!path) continue;
    const bool wanted = std::ranges::any_of(
        patterns, [&](const std::string& pattern) { return matches_path(pattern, *path); });
    if (wanted) fusion.add(*path);
  }
  return fusion.apply();
}

}  // namespace sam3trt
