#include "precision/mask_fusion.hpp"

#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/own_operators.hpp"

namespace sam3trt {
namespace {

constexpr const char* kConstant = "$";
constexpr const char* kTensor = "@";
constexpr std::array<std::string_view, 2> kSteps = {"/mask/pixel.0", "/mask/pixel.1"};
constexpr std::array<std::string_view, 2> kLevels = {"/mask/level1", "/mask/level0"};

onnx::NodeProto make_node(const std::string& op, const std::string& name,
                          const std::vector<std::string>& inputs,
                          const std::vector<std::string>& outputs) {
  onnx::NodeProto node;
  node.set_op_type(op);
  node.set_name(name);
  if (is_own_operator(op)) node.set_domain(kOwnDomain);
  for (const std::string& input : inputs) node.add_input(input);
  for (const std::string& output : outputs) node.add_output(output);
  return node;
}

void set_int(onnx::NodeProto& node, const std::string& name, int64_t value) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INT);
  attribute->set_i(value);
}

class MaskFusion {
 public:
  MaskFusion(const onnx::GraphProto& graph, const std::string& where)
      : graph_(graph), where_(where) {
    for (const auto& node : graph.node()) nodes_[node.name()] = &node;
    for (const auto& tensor : graph.initializer()) constants_[tensor.name()] = &tensor;
  }

  [[nodiscard]] bool is_mask_head() const { return nodes_.contains(kMaskPixels); }

  /// Notes what takes whose place, and throws when something is not what export writes.
  void read() {
    const auto& memory = expect("/mask/memory", "Gather", {kTensor, kTensor});
    const auto& norm =
        expect("/mask/prompt_norm", "LayerNormalization", {memory.name(), kConstant, kConstant});
    remove(norm);
    auto& gathered = replace(memory, kGatheredNorm, "/mask/gathered_norm",
                             {memory.input(0), memory.input(1), norm.input(1), norm.input(2)},
                             {norm.output(0), memory.output(0)});
    set_int(gathered, "epsilon", epsilon_of(norm));
    remove(expect("/mask/channels", "Transpose", {"/mask/prompted"}));
    remove(expect("/mask/map", "Reshape", {"/mask/channels", kConstant}));
    std::string map = "/mask/map";
    std::string tokens = "/mask/prompted";
    for (size_t i = 0; i < kSteps.size(); ++i) {
      std::tie(map, tokens) =
          read_step(std::string(kSteps[i]), std::string(kLevels[i]), map, tokens);
    }
    read_end(map, tokens);
    check_uses();
  }

  /// Whether all sizes have kernels.
  [[nodiscard]] bool fits() const {
    for (const std::string_view step : kSteps) {
      const auto [groups, channels, area] = sizes_of(std::string(step));
      if (groups < 1 || groups > kMostNormGroups || channels > kMostNormalisedColumns ||
          channels % kLowColumns != 0 || channels % (4 * groups) != 0 || area % 8 != 0) {
        return false;
      }
    }
    return true;
  }

  [[nodiscard]] int64_t own_operators() const {
    int64_t count = 0;
    for (const auto& [name, nodes] : replacements_) {
      for (const auto& node : nodes) count += is_own_operator(node.op_type()) ? 1 : 0;
    }
    return count;
  }

  [[nodiscard]] onnx::GraphProto result() const {
    onnx::GraphProto result = graph_;
    result.clear_node();
    for (const auto& node : graph_.node()) {
      if (const auto found = replacements_.find(node.name()); found != replacements_.end()) {
        for (const auto& each : found->second) *result.add_node() = each;
      } else if (!removed_.contains(node.name())) {
        *result.add_node() = node;
      }
    }
    std::set<std::string> used;
    for (const auto& node : result.node()) used.insert(node.input().begin(), node.input().end());
    result.clear_initializer();
    for (const auto& tensor : graph_.initializer()) {
      if (used.contains(tensor.name())) *result.add_initializer() = tensor;
    }
    for (const auto& tensor : shapes_) *result.add_initializer() = tensor;
    return result;
  }

 private:
  struct Sizes {
    int64_t groups;
    int64_t channels;
    int64_t area;
  };

  [[noreturn]] void fail(const std::string& what) const {
    throw_bad_input(where_ + ": " + kMaskPixels +
                    " cannot have its channels side by side: " + what + "; export the graph again");
  }

  const onnx::NodeProto& expect(const std::string& name, const std::string& op,
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

  void remove(const onnx::NodeProto& node) { removed_.insert(node.name()); }

  onnx::NodeProto& replace(const onnx::NodeProto& node, const std::string& op,
                           const std::string& name, const std::vector<std::string>& inputs,
                           const std::vector<std::string>& outputs) {
    auto& nodes = replacements_[node.name()];
    nodes.push_back(make_node(op, name, inputs, outputs));
    return nodes.back();
  }

  /// From the tokens of a coarse map to those of the map after the convolution.
  std::pair<std::string, std::string> read_step(const std::string& step,
                                                const std::string& level_name,
                                                const std::string& map, const std::string& tokens) {
    const auto& level = expect(level_name, "Gather", {kTensor, kTensor});
    const auto& up = expect(step + "/up", "Resize", {map, "", kConstant});
    const auto& sum = expect(step + "/sum", "Add", {up.name(), level.name()});
    const auto& conv = expect(step + "/conv", "Conv", {sum.name(), kConstant, kConstant});
    const auto& groups = expect(step + "/norm/groups", "Reshape", {conv.name(), kConstant});
    const auto& instance = expect(step + "/norm/instance", "InstanceNormalization",
                                  {groups.name(), kConstant, kConstant});
    const auto& ungrouped = expect(step + "/norm/map", "Reshape", {instance.name(), kConstant});
    const auto& scaled = expect(step + "/norm/scaled", "Mul", {ungrouped.name(), kConstant});
    const auto& norm = expect(step + "/norm", "Add", {scaled.name(), kConstant});
    const auto& relu = expect(step + "/relu", "Relu", {norm.name()});
    for (const auto* node : {&level, &up, &groups, &instance, &ungrouped, &scaled, &norm}) {
      remove(*node);
    }
    replace(sum, kUpsampledSum, step + "/upsampled_sum", {tokens, level.input(0), level.input(1)},
            {sum.output(0)});
    const std::string result = step + "/tokens";
    auto& fused = replace(relu, kGroupNorm, step + "/group_norm",
                          {conv.output(0), scaled.input(1), norm.input(1)}, {result});
    set_int(fused, "epsilon", epsilon_of(instance));
    set_int(fused, "groups", sizes_of(step).groups);
    return {relu.output(0), result};
  }

  /// What takes the last map: the product with the masks' embeddings and that to semantic logits.
  void read_end(const std::string& map, const std::string& tokens) {
    const auto& pixels = expect(kMaskPixels, "Reshape", {map, kConstant});
    auto& transposed = replace(pixels, "Transpose", pixels.name(), {tokens}, {pixels.output(0)});
    auto* order = transposed.add_attribute();
    order->set_name("perm");
    order->set_type(onnx::AttributeProto::INTS);
    for (const int64_t axis : {0, 2, 1}) order->add_ints(axis);
    const auto& semantic = expect("/mask/semantic", "Conv", {map, kConstant, kConstant});
    const std::string name = semantic.name();
    const auto shape = numbers_of("/mask/pixel.1/norm/map/shape", 4);
    const std::string weight = name + "/weight";
    const std::string product = name + "/product";
    replace(semantic, "Reshape", weight,
            {semantic.input(1), add_shape(weight + "/shape", {shape[1], 1})}, {weight});
    replace(semantic, "MatMul", product, {tokens, weight}, {product});
    replace(semantic, "Add", name + "/sum", {product, semantic.input(2)}, {name + "/sum"});
    replace(semantic, "Reshape", name,
            {name + "/sum", add_shape(name + "/shape", {0, 1, shape[2], shape[3]})},
            {semantic.output(0)});
  }

  std::string add_shape(const std::string& name, const std::vector<int64_t>& numbers) {
    onnx::TensorProto& tensor = shapes_.emplace_back();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::INT64);
    tensor.add_dims(static_cast<int64_t>(numbers.size()));
    tensor.set_raw_data(numbers.data(), numbers.size() * sizeof(int64_t));
    return name;
  }

  /// Nothing else may use what is no longer there, or has another layout.
  void check_uses() const {
    std::set<std::string> inner;
    std::set<std::string> made;
    for (const auto& [name, nodes] : replacements_) {
      for (const auto& node : nodes) made.insert(node.output().begin(), node.output().end());
    }
    for (const auto& node : graph_.node()) {
      if (!removed_.contains(node.name()) && !replacements_.contains(node.name())) continue;
      for (const std::string& output : node.output()) {
        if (!made.contains(output)) inner.insert(output);
      }
    }
    for (const auto& node : graph_.node()) {
      if (removed_.contains(node.name()) || replacements_.contains(node.name())) continue;
      for (const std::string& input : node.input()) {
        if (inner.contains(input)) fail("node " + node.name() + " uses '" + input + "'");
      }
    }
    for (const auto& output : graph_.output()) {
      if (inner.contains(output.name())) fail("'" + output.name() + "' is an output");
    }
  }

  /// The bits of a normalisation's.
  [[nodiscard]] int32_t epsilon_of(const onnx::NodeProto& norm) const {
    for (const auto& attribute : norm.attribute()) {
      if (attribute.name() == "epsilon") return std::bit_cast<int32_t>(attribute.f());
    }
    fail(norm.name() + " has no epsilon");
  }

  /// A constant of `count` numbers.
  [[nodiscard]] std::vector<int64_t> numbers_of(const std::string& name, size_t count) const {
    const auto found = constants_.find(name);
    std::vector<int64_t> numbers(count);
    const size_t bytes = count * sizeof(int64_t);
    if (found == constants_.end() || found->second->data_type() != onnx::TensorProto::INT64 ||
        found->second->raw_data().size() != bytes) {
      fail("there is no " + name + " of " + std::to_string(count) + " numbers");
    }
    std::memcpy(numbers.data(), found->second->raw_data().data(), bytes);
    return numbers;
  }

  /// Of [R, groups, D / groups * H * W] and [R, D, H, W].
  [[nodiscard]] Sizes sizes_of(const std::string& step) const {
    const auto groups = numbers_of(step + "/norm/groups/shape", 3);
    const auto map = numbers_of(step + "/norm/map/shape", 4);
    return {groups[1], map[1], map[2] * map[3]};
  }

  const onnx::GraphProto& graph_;
  const std::string& where_;
  std::map<std::string, const onnx::NodeProto*> nodes_;
  std::map<std::string, const onnx::TensorProto*> constants_;
  std::map<std::string, std::vector<onnx::NodeProto>> replacements_;  ///< By whose place they take.
  std::set<std::string> removed_;
  std::vector<onnx::TensorProto> shapes_;
};

}  // namespace

int64_t fuse_mask_pixels(onnx::GraphProto& graph, const std::string& where) {
  MaskFusion fusion(graph, where);
  if (!fusion.is_mask_head()) return 0;
  fusion.read();
  if (!fusion.fits()) return 0;
  graph = fusion.result();
  return fusion.own_operators();
}

}  // namespace sam3trt
