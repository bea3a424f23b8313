#include "precision/fusion.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/own_operators.hpp"
#include "precision/fusion_forms.hpp"
#include "precision/graph_rewriter.hpp"
#include "precision/mask_fusion.hpp"
#include "precision/recipe.hpp"
#include "precision/vision_fusion.hpp"

namespace sam3trt {
namespace {

using Attributes = std::vector<std::pair<std::string, int64_t>>;

const FusionForm& form_of(const std::string& path) {
  for (const FusionForm* form :
       {&rotated_form(), &memory_form(), &self_form(), &grid_form(), &position_form(),
        &qkv_product_form(), &projection_form(), &mlp_form(), &mlp_output_form()}) {
    if (path.starts_with(form->beginning) && path.ends_with(form->ending)) return *form;
  }
  return rotary_form();
}

class Fusion {
 public:
  Fusion(onnx::GraphProto& graph, std::string where) : graph_(graph), where_(std::move(where)) {
    for (const auto& node : graph.node()) nodes_[node.name()] = &node;
    for (const auto& tensor : graph.initializer()) constants_[tensor.name()] = &tensor;
  }

  /// Notes the nodes to be removed and what takes their place.
  void add(const std::string& path) {
    const FusionForm& form = form_of(path);
    const std::string base = path.substr(0, path.size() - form.ending.size());
    std::map<std::string, std::string> named;
    std::set<std::string> removed;
    for (const FusionStep& step : form.steps) {
      const onnx::NodeProto& node = node_of(path, base, step);
      for (size_t i = 0; i < step.inputs.size(); ++i) {
        check_input(path, base, node, step.inputs[i], node.input(static_cast<int>(i)), named);
      }
      removed.insert(node.name());
    }
    const std::string output = base + "/" + form.output;
    check_uses(path, output, removed);
    const auto attributes = attributes_of(path, form, named);
    if (!attributes) return;
    onnx::NodeProto fused;
    fused.set_name(base + "/" + form.name);
    fused.set_op_type(form.op);
    fused.set_domain(kOwnDomain);
    for (const std::string& input : form.inputs) {
      fused.add_input(is_named(input) ? named.at(input) : base + "/" + input);
    }
    fused.add_output(output);
    set_attributes(fused, *attributes);
    fused_[output] = std::move(fused);
    removed_.merge(removed);
  }

  /// The same of a LayerNormalization and the residual sum before it; where there is none, or no
  /// kernel for the size, nothing.
  void add_norm(const onnx::NodeProto& norm) {
    if (norm.input_size() != 3 || norm.output_size() != 1) return;
    const auto found = nodes_.find(norm.input(0));  // a node has the name of its output
    if (found == nodes_.end()) return;
    const onnx::NodeProto& sum = *found->second;
    if (sum.op_type() != "Add" || sum.name().find("/residual") == std::string::npos) return;
    if (sum.input_size() != 2 || sum.output_size() != 1 || sum.output(0) != sum.name()) return;
    // The type of an output of the graph is not that of a node.
    if (is_output(sum.output(0)) || is_output(norm.output(0))) return;
    const int64_t columns = count_of(norm.name(), norm.input(1));
    if (columns > kMostNormalisedColumns || columns % kLowColumns != 0) return;
    onnx::NodeProto fused;
    fused.set_name(norm.name() + "/residual_norm");
    fused.set_op_type(kResidualNorm);
    fused.set_domain(kOwnDomain);
    for (const std::string& input : {sum.input(1), sum.input(0), norm.input(1), norm.input(2)}) {
      fused.add_input(input);
    }
    fused.add_output(norm.output(0));
    fused.add_output(sum.output(0));
    set_attributes(fused, {{"epsilon", epsilon_of(norm.name(), norm)}});
    fused_[sum.name()] = std::move(fused);
    removed_.insert(norm.name());
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
  [[nodiscard]] bool is_output(const std::string& tensor) const {
    return std::ranges::any_of(graph_.output(),
                               [&](const auto& output) { return output.name() == tensor; });
  }

  static void set_attributes(onnx::NodeProto& node, const Attributes& attributes) {
    for (const auto& [name, value] : attributes) set_int(node, name, value);
  }

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

  [[noreturn]] void fail(const std::string& path, const std::string& what) const {
    throw_bad_input(where_ + ": " + path + " cannot become one kernel: " + what +
                    "; export the graph again");
  }

  /// Those of the operator; none where it has no kernel for these sizes.
  [[nodiscard]] std::optional<Attributes> attributes_of(
      const std::string& path, const FusionForm& form,
      const std::map<std::string, std::string>& named) const {
    if (form.op == kQueryPosition) {
      const auto sizes = dims_of(path, named.at("$hidden_weight"));
      if (sizes[0] % 8 != 0 || sizes[0] > kMaxQueryPositionInputs ||
          sizes[1] > kMaxQueryPositionHidden) {
        return std::nullopt;
      }
      return Attributes{{"unboxed", dims_of(path, "/decoder/zeros")[0]}};
    }
    if (form.op == kMemoryAttention || form.op == kRotatedAttention) return memory_sizes(path);
    if (is_own_product(form.op)) return product_attributes(path, form, named);
    const bool windows = form.op == kRotaryAttention;
    const std::string shape_name = path + (windows ? "/heads/shape" : "/q_heads/shape");
    const std::vector<int64_t> shape = heads_shape(path, shape_name, windows);
    const int64_t head_dim = shape.back();
    if (!has_attention_kernel(head_dim)) return std::nullopt;
    Attributes attributes = {{"heads", shape[shape.size() - 2]}, {"head_dim", head_dim}};
    if (windows) attributes.emplace_back("window", shape[1]);
    if (form.op == kGridAttention) {
      for (const char* weight : {"$y.hidden_weight", "$x.hidden_weight"}) {
        if (dims_of(path, named.at(weight))[1] > kMaxBoxBiasHidden) return std::nullopt;
      }
      const int64_t lines = dims_of(path, named.at("$coordinates"))[0];
      attributes.insert(attributes.end(), {{"rows", lines}, {"columns", lines}});
    }
    return attributes;
  }

  /// Those of products; none where their columns are not what the library takes in any type.
  [[nodiscard]] std::optional<Attributes> product_attributes(
      const std::string& path, const FusionForm& form,
      const std::map<std::string, std::string>& named) const {
    Attributes attributes = {{"fp8", 0}};
    for (const char* weight : {"$weight", "$hidden_weight"}) {
      if (!named.contains(weight)) continue;
      for (const int64_t size : dims_of(path, named.at(weight))) {
        if (size % kFp8Columns != 0) return std::nullopt;
      }
    }
    if (!named.contains("$gain")) return attributes;
    if (count_of(path, named.at("$gain")) > kMostNormalisedColumns) return std::nullopt;
    // The LayerNormalization is the first of the form.
    const std::string base = path.substr(0, path.size() - form.ending.size());
    attributes.emplace_back("epsilon", epsilon_of(path, node_of(path, base, form.steps.front())));
    return attributes;
  }

  /// The bits of a LayerNormalization's.
  [[nodiscard]] int32_t epsilon_of(const std::string& path, const onnx::NodeProto& norm) const {
    if (const auto bits = epsilon_bits(norm)) return *bits;
    fail(path, norm.name() + " has no epsilon");
  }

  /// Values of a constant vector.
  [[nodiscard]] int64_t count_of(const std::string& path, const std::string& name) const {
    const auto found = constants_.find(name);
    if (found != constants_.end() && found->second->dims_size() == 1) {
      return found->second->dims(0);
    }
    fail(path, name + " is not a vector");
  }

  [[nodiscard]] std::optional<Attributes> memory_sizes(const std::string& path) const {
    const std::vector<int64_t> heads = shape_of(path, path + "/q/heads/shape", 4);
    const std::vector<int64_t> flat = shape_of(path, path + "/flat/shape", 3);
    if (heads[2] < 1) fail(path, "its heads are not [batch, tokens, heads, size]");
    if (!has_memory_kernel(heads[2], heads[3], flat[2] / heads[2])) return std::nullopt;
    return Attributes{{"head_dim", heads[3]}, {"value_dim", flat[2]}};
  }

  /// Both sizes of a constant matrix.
  [[nodiscard]] std::array<int64_t, 2> dims_of(const std::string& path,
                                               const std::string& name) const {
    const auto found = constants_.find(name);
    if (found != constants_.end() && found->second->dims_size() == 2 &&
        found->second->dims(0) > 0 && found->second->dims(1) > 0) {
      return {found->second->dims(0), found->second->dims(1)};
    }
    fail(path, name + " is not a matrix");
  }

  /// A constant of `count` numbers.
  [[nodiscard]] std::vector<int64_t> shape_of(const std::string& path, const std::string& name,
                                              size_t count) const {
    const auto found = constants_.find(name);
    if (found != constants_.end()) {
      if (auto shape = int64_values(*found->second, count)) return std::move(*shape);
    }
    fail(path, "there is no " + name + " of " + std::to_string(count) + " numbers");
  }

  /// [-1, N, 3, H, D] or [0, N, H, D].
  [[nodiscard]] std::vector<int64_t> heads_shape(const std::string& path, const std::string& name,
                                                 bool windows) const {
    std::vector<int64_t> shape = shape_of(path, name, windows ? 5 : 4);
    const bool positive =
        std::all_of(shape.begin() + 1, shape.end(), [](int64_t n) { return n > 0; });
    if (!positive || (windows && shape[2] != 3)) {
      fail(path, windows ? "its heads are not [batch, window, 3, heads, size]"
                         : "its heads are not [batch, tokens, heads, size]");
    }
    return shape;
  }

  [[nodiscard]] const onnx::NodeProto& node_of(const std::string& path, const std::string& base,
                                               const FusionStep& step) const {
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

/// "/vision/blocks.0/attn" of "/vision/blocks.0/attn/softmax"; "/decoder/layers.0/query_position".
std::optional<std::string> path_of(const onnx::NodeProto& node) {
  constexpr std::string_view kEnd = "/softmax";
  const std::string& name = node.name();
  if (node.op_type() == "Softmax" && name.ends_with(kEnd)) {
    return name.substr(0, name.size() - kEnd.size());
  }
  if (name.ends_with(position_form().ending)) return name;
  if (!name.starts_with(qkv_product_form().beginning)) return std::nullopt;
  for (const FusionForm* form : {&qkv_product_form(), &projection_form(), &mlp_output_form()}) {
    if (name.ends_with(form->ending)) return name;
  }
  constexpr std::string_view kActivation = "/act";
  if (node.op_type() == "Gelu" && name.ends_with(mlp_form().ending + std::string(kActivation))) {
    return name.substr(0, name.size() - kActivation.size());
  }
  return std::nullopt;
}

}  // namespace

int64_t fuse_nodes(onnx::GraphProto& graph, const std::vector<std::string>& patterns,
                   const std::string& where) {
  Fusion fusion(graph, where);
  const auto is_wanted = [&](const std::string& path) {
    return std::ranges::any_of(
        patterns, [&](const std::string& pattern) { return matches_path(pattern, path); });
  };
  for (const auto& node : graph.node()) {
    if (node.op_type() == "LayerNormalization") {
      if (is_wanted(node.name())) fusion.add_norm(node);
      continue;
    }
    const auto path = path_of(node);
    if (path && is_wanted(*path)) fusion.add(*path);
  }
  int64_t fused = fusion.apply();
  if (is_wanted(kMaskPixels)) fused += fuse_mask_pixels(graph, where);
  if (is_wanted(kPatchEmbedding)) fused += fuse_patch_embedding(graph, where);
  if (is_wanted(kVisionMap)) fused += fuse_vision_map(graph, where);
  return fused;
}

}  // namespace sam3trt
