#include "precision/attention_fusion.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "base/error.hpp"
#include "base/own_operators.hpp"
#include "precision/recipe.hpp"

namespace sam3trt {
namespace {

struct Step {
  std::string name;
  std::string op;
  /// Tensors below the base, or "/PATH"; "": any constant; "$NAME": a constant, "@NAME": a tensor,
  /// the same wherever the name occurs.
  std::vector<std::string> inputs;
};

bool is_named(std::string_view input) { return input.starts_with('$') || input.starts_with('@'); }

/// A form of attention and the operator that takes its place. Names are relative to a base.
struct Form {
  std::string_view attention;  ///< "/image_attn" below the base, or empty.
  std::vector<Step> steps;
  std::string heads_shape;  ///< Ends with heads and size of a head.
  std::string op;
  std::string name;
  std::vector<std::string> inputs;
  std::string output;
  bool windows;  ///< The heads' shape is [-1, window, 3, heads, size].
};

/// What src/model/vision_encoder.cpp writes between the packed projections and the joined heads.
const Form& rotary_form() {
  static const Form kForm = {"",
                             {{"heads", "Reshape", {"qkv", ""}},
                              {"order", "Transpose", {"heads"}},
                              {"split", "Split", {"order", ""}},
                              {"q_in", "Squeeze", {"split.0", ""}},
                              {"q/halves", "Split", {"q_in", ""}},
                              {"q/ac", "Mul", {"q/halves.0", "$cos"}},
                              {"q/bs", "Mul", {"q/halves.1", "$sin"}},
                              {"q/as", "Mul", {"q/halves.0", "$sin"}},
                              {"q/bc", "Mul", {"q/halves.1", "$cos"}},
                              {"q/first", "Sub", {"q/ac", "q/bs"}},
                              {"q/second", "Add", {"q/as", "q/bc"}},
                              {"q", "Concat", {"q/first", "q/second"}},
                              {"k_in", "Squeeze", {"split.1", ""}},
                              {"k/halves", "Split", {"k_in", ""}},
                              {"k/ac", "Mul", {"k/halves.0", "$cos"}},
                              {"k/bs", "Mul", {"k/halves.1", "$sin"}},
                              {"k/as", "Mul", {"k/halves.0", "$sin"}},
                              {"k/bc", "Mul", {"k/halves.1", "$cos"}},
                              {"k/first", "Sub", {"k/ac", "k/bs"}},
                              {"k/second", "Add", {"k/as", "k/bc"}},
                              {"k", "Concat", {"k/first", "k/second"}},
                              {"v", "Squeeze", {"split.2", ""}},
                              {"k_t", "Transpose", {"k"}},
                              {"scores", "MatMul", {"q", "k_t"}},
                              {"softmax", "Softmax", {"scores"}},
                              {"mix", "MatMul", {"softmax", "v"}},
                              {"join", "Transpose", {"mix"}},
                              {"flat", "Reshape", {"join", ""}}},
                             "heads/shape",
                             kRotaryAttention,
                             "rotary_mha",
                             {"qkv", "$cos", "$sin"},
                             "flat",
                             true};
  return kForm;
}

/// What src/model/detector.cpp writes of the bias of rows ("y") or columns ("x").
std::vector<Step> edge_steps(const std::string& axis) {
  const std::string at = "bias/" + axis + "/";
  const auto weight = [&](const char* name) { return "$" + axis + "." + name; };
  return {
      {at + "center", "Slice", {"@boxes", "", "", ""}},
      {at + "extent", "Slice", {"@boxes", "", "", ""}},
      {at + "offset", "Mul", {at + "extent", ""}},
      {at + "low", "Sub", {at + "center", at + "offset"}},
      {at + "high", "Add", {at + "center", at + "offset"}},
      {at + "edges", "Concat", {at + "low", at + "high"}},
      {at + "edges_row", "Unsqueeze", {at + "edges", ""}},
      {at + "distance", "Sub", {"$coordinates", at + "edges_row"}},
      {at + "scaled", "Mul", {at + "distance", ""}},
      {at + "abs", "Abs", {at + "scaled"}},
      {at + "shifted", "Add", {at + "abs", ""}},
      {at + "log", "Log", {at + "shifted"}},
      {at + "log8", "Mul", {at + "log", ""}},
      {at + "sign", "Sign", {at + "scaled"}},
      {at + "signed", "Mul", {at + "sign", at + "log8"}},
      {at + "mlp/layer0/matmul", "MatMul", {at + "signed", weight("hidden_weight")}},
      {at + "mlp/layer0", "Add", {at + "mlp/layer0/matmul", weight("hidden_bias")}},
      {at + "mlp/layer0/relu", "Relu", {at + "mlp/layer0"}},
      {at + "mlp/layer1/matmul", "MatMul", {at + "mlp/layer0/relu", weight("weight")}},
      {at + "mlp/layer1", "Add", {at + "mlp/layer1/matmul", weight("bias")}},
      {at + "per_head", "Transpose", {at + "mlp/layer1"}},
      {at + "with_presence", "Concat", {"/decoder/zero_bias", at + "per_head"}},
  };
}

/// What src/model/detector.cpp writes of the decoder's attention to the picture, after the
/// projections.
Form make_grid_form() {
  Form form{"/image_attn",
            {{"image_attn/q_heads", "Reshape", {"image_attn/q_proj", ""}},
             {"image_attn/q", "Transpose", {"image_attn/q_heads"}},
             {"image_attn/k_heads", "Reshape", {"image_attn/k_proj", ""}},
             {"image_attn/k", "Transpose", {"image_attn/k_heads"}},
             {"image_attn/v_heads", "Reshape", {"image_attn/v_proj", ""}},
             {"image_attn/v", "Transpose", {"image_attn/v_heads"}},
             {"bias/rows", "Unsqueeze", {"bias/y/with_presence", ""}},
             {"bias/columns", "Unsqueeze", {"bias/x/with_presence", ""}},
             {"bias/sum", "Add", {"bias/rows", "bias/columns"}},
             {"bias", "Reshape", {"bias/sum", ""}},
             {"image_attn/scores", "MatMul", {"image_attn/q", "image_attn/k"}},
             {"image_attn/masked", "Add", {"image_attn/scores", "bias"}},
             {"image_attn/softmax", "Softmax", {"image_attn/masked"}},
             {"image_attn/mix", "MatMul", {"image_attn/softmax", "image_attn/v"}},
             {"image_attn/join", "Transpose", {"image_attn/mix"}},
             {"image_attn/flat", "Reshape", {"image_attn/join", ""}}},
            "image_attn/q_heads/shape",
            kGridAttention,
            "image_attn/grid_mha",
            {"image_attn/q_proj", "image_attn/k_proj", "image_attn/v_proj", "@boxes"},
            "image_attn/flat",
            false};
  for (const std::string axis : {"y", "x"}) {
    for (Step& step : edge_steps(axis)) form.steps.push_back(std::move(step));
    for (const char* name : {"hidden_weight", "hidden_bias", "weight", "bias"}) {
      form.inputs.push_back("$" + axis + "." + name);
    }
  }
  return form;
}

const Form& grid_form() {
  static const Form kForm = make_grid_form();
  return kForm;
}

class Fusion {
 public:
  Fusion(onnx::GraphProto& graph, std::string where) : graph_(graph), where_(std::move(where)) {
    for (const auto& node : graph.node()) nodes_[node.name()] = &node;
    for (const auto& tensor : graph.initializer()) constants_[tensor.name()] = &tensor;
  }

  /// Notes the nodes to be removed and what takes their place.
  void add(const std::string& path) {
    const bool grid = path.ends_with(grid_form().attention);
    const Form& form = grid ? grid_form() : rotary_form();
    const std::string base = path.substr(0, path.size() - form.attention.size());
    const std::vector<int64_t> shape = heads_shape(path, base + "/" + form.heads_shape, form);
    const int64_t heads = shape[shape.size() - 2];
    const int64_t head_dim = shape.back();
    if (!has_attention_kernel(head_dim)) return;
    std::map<std::string, std::string> named;
    std::set<std::string> removed;
    for (const Step& step : form.steps) {
      const onnx::NodeProto& node = node_of(path, base, step);
      for (size_t i = 0; i < step.inputs.size(); ++i) {
        check_input(path, base, node, step.inputs[i], node.input(static_cast<int>(i)), named);
      }
      removed.insert(node.name());
    }
    const std::string output = base + "/" + form.output;
    check_uses(path, output, removed);
    onnx::NodeProto fused;
    fused.set_name(base + "/" + form.name);
    fused.set_op_type(form.op);
    fused.set_domain(kOwnDomain);
    for (const std::string& input : form.inputs) {
      fused.add_input(is_named(input) ? named.at(input) : base + "/" + input);
    }
    fused.add_output(output);
    add_attribute(fused, "heads", heads);
    add_attribute(fused, "head_dim", head_dim);
    if (form.windows) add_attribute(fused, "window", shape[1]);
    if (grid) {
      const int64_t lines = lines_of(path, named.at("$coordinates"));
      add_attribute(fused, "rows", lines);
      add_attribute(fused, "columns", lines);
    }
    fused_[output] = std::move(fused);
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
    drop_nodes_without_use(result);
    drop_unused_constants(result);
    graph_ = std::move(result);
    return static_cast<int64_t>(fused_.size());
  }

 private:
  /// Those that only removed nodes used; a node comes after those that it uses.
  void drop_nodes_without_use(onnx::GraphProto& graph) const {
    std::set<std::string> before;
    for (const auto& node : graph_.node()) before.insert(node.input().begin(), node.input().end());
    std::set<std::string> used;
    for (const auto& output : graph.output()) used.insert(output.name());
    auto* nodes = graph.mutable_node();
    for (int i = nodes->size() - 1; i >= 0; --i) {
      const auto& node = nodes->at(i);
      const bool lost = std::ranges::all_of(node.output(), [&](const std::string& output) {
        return before.contains(output) && !used.contains(output);
      });
      if (lost) {
        nodes->DeleteSubrange(i, 1);
      } else {
        used.insert(node.input().begin(), node.input().end());
      }
    }
  }

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

  /// [-1, N, 3, H, D] or [0, N, H, D].
  [[nodiscard]] std::vector<int64_t> heads_shape(const std::string& path, const std::string& name,
                                                 const Form& form) const {
    const auto found = constants_.find(name);
    std::vector<int64_t> shape(form.windows ? 5 : 4);
    const size_t bytes = shape.size() * sizeof(int64_t);
    if (found == constants_.end() || found->second->data_type() != onnx::TensorProto::INT64 ||
        found->second->raw_data().size() != bytes) {
      fail(path, "there is no " + name + " of " + std::to_string(shape.size()) + " numbers");
    }
    std::memcpy(shape.data(), found->second->raw_data().data(), bytes);
    const bool positive =
        std::all_of(shape.begin() + 1, shape.end(), [](int64_t n) { return n > 0; });
    if (!positive || (form.windows && shape[2] != 3)) {
      fail(path, form.windows ? "its heads are not [batch, window, 3, heads, size]"
                              : "its heads are not [batch, tokens, heads, size]");
    }
    return shape;
  }

  [[nodiscard]] const onnx::NodeProto& node_of(const std::string& path, const std::string& base,
                                               const Step& step) const {
    const std::string name = base + "/" + step.name;
    const auto found = nodes_.find(name);
    if (found == nodes_.end() || found->second->op_type() != step.op ||
        found->second->input_size() != static_cast<int>(step.inputs.size())) {
      fail(path, "expected a node " + name + " (" + step.op + ")");
    }
    return *found->second;
  }

  void check_input(const std::string& path, const std::string& base, const onnx::NodeProto& node,
                   const std::string& expected, const std::string& input,
                   std::map<std::string, std::string>& named) const {
    const bool constant = constants_.contains(input);
    bool right = constant;
    if (is_named(expected)) {
      right = constant == expected.starts_with('$') &&
              named.try_emplace(expected, input).first->second == input;
    } else if (!expected.empty()) {
      right = input == (expected.starts_with('/') ? expected : base + "/" + expected);
    }
    if (!right) fail(path, "node " + node.name() + " uses '" + input + "'");
  }

  /// Rows of a grid, and columns: coordinates are [lines, 1].
  [[nodiscard]] int64_t lines_of(const std::string& path, const std::string& coordinates) const {
    const auto& tensor = *constants_.at(coordinates);
    if (tensor.dims_size() == 2 && tensor.dims(0) > 0 && tensor.dims(1) == 1) return tensor.dims(0);
    fail(path, coordinates + " is not [lines, 1]");
  }

  /// Nothing else may use what lies between.
  void check_uses(const std::string& path, const std::string& result,
                  const std::set<std::string>& removed) const {
    std::set<std::string> inner;
    for (const std::string& name : removed) {
      if (name == result) continue;
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

int64_t fuse_attentions(onnx::GraphProto& graph, const std::vector<std::string>& patterns,
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
