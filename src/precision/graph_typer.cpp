#include "precision/graph_typer.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/error.hpp"
#include "base/own_operators.hpp"
#include "precision/weight_forms.hpp"

namespace sam3trt {
namespace {

using onnx::TensorProto;

constexpr const char* kFp8Zero = "/fp8/zero";

bool is_float_type(int element_type) {
  return element_type == TensorProto::FLOAT || element_type == TensorProto::FLOAT16 ||
         element_type == TensorProto::BFLOAT16;
}

DType float_dtype(int element_type) {
  if (element_type == TensorProto::FLOAT16) return DType::kF16;
  if (element_type == TensorProto::BFLOAT16) return DType::kBF16;
  return DType::kF32;
}

/// Which inputs of an operator of cuBLASLt are weights, and the products that they are factors of.
struct ProductParts {
  int first_weight;
  std::vector<std::string> names;
};

ProductParts parts_of(const onnx::NodeProto& node) {
  if (node.op_type() != kMlp) return {node.op_type() == kNormalisedProduct ? 2 : 3, {node.name()}};
  const std::string path = node.name().substr(0, node.name().rfind('/'));
  return {3, {path + "/fc1/matmul", path + "/fc2/matmul"}};
}

int64_t attribute_of(const onnx::NodeProto& node, const std::string& name) {
  for (const auto& attribute : node.attribute()) {
    if (attribute.name() == name) return attribute.i();
  }
  return 0;
}

void set_attribute(onnx::NodeProto& node, const std::string& name, int64_t value) {
  for (auto& attribute : *node.mutable_attribute()) {
    if (attribute.name() != name) continue;
    attribute.set_i(value);
    return;
  }
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(onnx::AttributeProto::INT);
  attribute->set_i(value);
}

bool fits(const TypeRule& rule, const onnx::NodeProto& node) {
  return (rule.op.empty() || rule.op == node.op_type()) &&
         (rule.nodes.empty() || matches_path(rule.nodes, node.name()));
}

}  // namespace

int element_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return TensorProto::FLOAT;
    case DType::kF16:
      return TensorProto::FLOAT16;
    case DType::kBF16:
      return TensorProto::BFLOAT16;
    default:
      throw Error(ErrorCode::kInternal, std::string(name_of(dtype)) + " is not a type of a recipe");
  }
}

GraphTyper::GraphTyper(const onnx::GraphProto& source, std::string component, const Recipe& recipe,
                       const Calibration* calibration, std::string where,
                       ProductAlgorithms algorithms)
    : source_(source),
      component_(std::move(component)),
      recipe_(recipe),
      calibration_(calibration),
      where_(std::move(where)),
      algorithms_(std::move(algorithms)) {
  const auto rules = recipe.rules.find(component_);
  if (rules != recipe.rules.end()) rules_ = &rules->second;
  const auto fp8 = recipe.fp8.find(component_);
  if (fp8 != recipe.fp8.end()) fp8_ = &fp8->second;
  rule_used_.resize(rules_ != nullptr ? rules_->size() : 0);
  fp8_used_.resize(fp8_ != nullptr ? fp8_->size() : 0);
}

onnx::GraphProto GraphTyper::run() {
  check_operators();
  result_.set_name(source_.name());
  add_inputs();
  for (const auto& node : source_.node()) add_node(node);
  if (!missing_.empty()) {
    fail("the calibration lacks these matrix products:" + missing_ +
         "\ndelete the calibration, so that it is made again with these recipes");
  }
  add_outputs();
  note_unused_rules();
  return std::move(result_);
}

void GraphTyper::fail(const std::string& text) const { throw_bad_input(where_ + ": " + text); }

void GraphTyper::check_operators() const {
  std::string unknown;
  for (const auto& node : source_.node()) {
    const bool own = is_own_operator(node.op_type());
    if (node.domain() == (own ? kOwnDomain : "") && typing_of(node.op_type())) continue;
    unknown += "\n  " + node.op_type() + " (node '" + node.name() + "')";
  }
  if (!unknown.empty()) {
    fail("operators whose types are unknown:" + unknown +
         "\nonly graphs written by 'sam3trt export' can be typed");
  }
}

void GraphTyper::add_inputs() {
  for (const auto& initializer : source_.initializer()) {
    initializers_[initializer.name()] = &initializer;
    if (initializer.data_type() == TensorProto::FLOAT) continue;
    *result_.add_initializer() = initializer;
    types_[initializer.name()] = initializer.data_type();
  }
  for (const auto& input : source_.input()) {
    auto* typed = result_.add_input();
    *typed = input;
    auto* tensor = typed->mutable_type()->mutable_tensor_type();
    const auto io = recipe_.io.find(input.name());
    if (tensor->elem_type() == TensorProto::FLOAT && io != recipe_.io.end()) {
      tensor->set_elem_type(element_type(io->second));
    }
    types_[input.name()] = tensor->elem_type();
  }
  for (const auto& output : source_.output()) outputs_.insert(output.name());
}

void GraphTyper::add_outputs() {
  for (const auto& output : source_.output()) {
    auto* typed = result_.add_output();
    *typed = output;
    const auto type = types_.find(output.name());
    if (type == types_.end()) fail("no node makes the output '" + output.name() + "'");
    typed->mutable_type()->mutable_tensor_type()->set_elem_type(type->second);
  }
}

int GraphTyper::type_of(const std::string& tensor, const onnx::NodeProto& node) const {
  const auto known = types_.find(tensor);
  if (known != types_.end()) return known->second;
  const auto weight = initializers_.find(tensor);
  if (weight != initializers_.end()) return weight->second->data_type();
  fail("node '" + node.name() + "' uses '" + tensor + "' before any node makes it");
}

bool GraphTyper::is_float(const onnx::NodeProto& node, const OperatorTyping& typing) const {
  if (typing.typed_inputs == 0) return true;
  int floats = 0;
  int others = 0;
  for (int i = 0; i < node.input_size(); ++i) {
    if (node.input(i).empty() || !typing.has_result_type(static_cast<size_t>(i))) continue;
    ++(is_float_type(type_of(node.input(i), node)) ? floats : others);
  }
  if ((floats == 0) == (others == 0)) {
    fail("node '" + node.name() + "' mixes floating-point and integer inputs, or has none");
  }
  return floats > 0;
}

DType GraphTyper::inherited(const onnx::NodeProto& node, const OperatorTyping& typing) const {
  std::optional<DType> common;
  for (int i = 0; i < node.input_size(); ++i) {
    const std::string& input = node.input(i);
    if (input.empty() || !typing.has_result_type(static_cast<size_t>(i))) continue;
    if (initializers_.contains(input)) continue;
    const DType type = float_dtype(type_of(input, node));
    if (common && *common != type) return DType::kF32;
    common = type;
  }
  return common.value_or(DType::kF32);
}

DType GraphTyper::decide(const onnx::NodeProto& node, const OperatorTyping& typing) {
  for (const std::string& output : node.output()) {
    if (!outputs_.contains(output)) continue;
    const auto io = recipe_.io.find(output);
    return io == recipe_.io.end() ? DType::kF32 : io->second;
  }
  for (size_t i = 0; i < rule_used_.size(); ++i) {
    const TypeRule& rule = (*rules_)[i];
    if (!fits(rule, node)) continue;
    rule_used_[i] = true;
    return rule.type.value_or(inherited(node, typing));
  }
  return typing.moves_data ? inherited(node, typing) : DType::kF32;
}

void GraphTyper::add_node(const onnx::NodeProto& node) {
  const OperatorTyping typing = *typing_of(node.op_type());
  onnx::NodeProto typed = node;
  int type = 0;
  if (is_float(node, typing)) {
    const DType decided = decide(node, typing);
    type = element_type(decided);
    ++report_.nodes[decided];
    const bool attends = node.op_type() == "Softmax" || is_own_attention(node.op_type());
    if (attends && decided != DType::kF32) ++report_.low_softmaxes;
    if (is_own_operator(node.op_type())) ++report_.own_operators;
    if (typing.typed_inputs == 0) set_attribute(typed, "bf16", decided == DType::kBF16 ? 1 : 0);
    const bool product = is_own_product(node.op_type());
    const bool quantised = is_quantised(product ? parts_of(node).names.front() : node.name());
    const int first_weight = product ? parts_of(node).first_weight : 1;
    for (int i = 0; i < node.input_size(); ++i) {
      const std::string& input = node.input(i);
      if (input.empty()) continue;
      if (typing.has_result_type(static_cast<size_t>(i))) {
        if (i >= first_weight && quantised) continue;
        typed.set_input(i, in_type(input, decided, node));
      } else if (is_float_type(type_of(input, node))) {
        typed.set_input(i, in_type(input, DType::kF32, node));
      }
    }
    if (product) {
      type_product(typed, node, decided);
    } else if (quantised) {
      quantise(typed, node, decided);
    }
  } else {
    type = type_of(node.input(0), node);
  }
  for (int i = 0; i < node.output_size(); ++i) {
    const bool typed_too = static_cast<size_t>(i) < typing.typed_outputs;
    types_[node.output(i)] = typed_too ? type : TensorProto::FLOAT;
  }
  *result_.add_node() = std::move(typed);
}

std::string GraphTyper::in_type(const std::string& tensor, DType type,
                                const onnx::NodeProto& node) {
  const auto source = initializers_.find(tensor);
  if (source != initializers_.end()) return weight(*source->second, type, false, node);
  if (type_of(tensor, node) == element_type(type)) return tensor;
  return cast(tensor, type);
}

std::string GraphTyper::cast(const std::string& tensor, DType type) {
  const auto [known, is_new] =
      casts_.try_emplace({tensor, type}, tensor + "/to_" + std::string(name_of(type)));
  if (is_new) {
    auto& node = add_op("Cast", known->second, {tensor}, element_type(type));
    auto* to = node.add_attribute();
    to->set_name("to");
    to->set_type(onnx::AttributeProto::INT);
    to->set_i(element_type(type));
    ++report_.casts;
  }
  return known->second;
}

std::string GraphTyper::weight(const onnx::TensorProto& source, DType type, bool fp8,
                               const onnx::NodeProto& node) {
  const std::string suffix = fp8                   ? "/f8"
                             : type == DType::kF32 ? ""
                                                   : "/" + std::string(name_of(type));
  WeightUse use{&source, source.name() + suffix, type, fp8, node.name()};
  if (weight_names_.insert(use.name).second) weights_.push_back(use);
  return use.name;
}

bool GraphTyper::is_quantised(const std::string& node) {
  bool found = false;
  for (size_t i = 0; i < fp8_used_.size(); ++i) {
    if (!matches_path((*fp8_)[i], node)) continue;
    fp8_used_[i] = true;
    found = true;
  }
  return found;
}

onnx::NodeProto& GraphTyper::add_op(const std::string& op_type, const std::string& name,
                                    const std::vector<std::string>& inputs, int result_type) {
  if (!types_.emplace(name, result_type).second) {
    throw Error(ErrorCode::kInternal, where_ + ": the typed graph has '" + name + "' twice");
  }
  auto* node = result_.add_node();
  node->set_op_type(op_type);
  node->set_name(name);
  for (const std::string& input : inputs) node->add_input(input);
  node->add_output(name);
  return *node;
}

void GraphTyper::quantise(onnx::NodeProto& product, const onnx::NodeProto& node, DType type) {
  const auto factor =
      node.input_size() == 2 ? initializers_.find(node.input(1)) : initializers_.end();
  if (node.op_type() != "MatMul" || factor == initializers_.end() ||
      factor->second->dims_size() != 2 || type == DType::kF32) {
    fail("the recipe quantises node '" + node.name() +
         "', which is not an f16 or bf16 product with a weight matrix");
  }
  const std::string& name = node.name();
  if (calibration_ == nullptr || !calibration_->amax.contains(name)) {
    missing_ += "\n  " + name;
    return;
  }
  ++report_.fp8_products;
  if (!std::exchange(has_fp8_zero_, true)) {
    auto* zero = result_.add_initializer();
    zero->set_name(kFp8Zero);
    zero->set_data_type(TensorProto::FLOAT8E4M3FN);
    zero->set_raw_data(std::string(1, '\0'));
  }
  add_scalar(name + "/scale", type, fp8_scale(calibration_->amax.at(name), type));
  add_op("QuantizeLinear", name + "/quantise", {product.input(0), name + "/scale", kFp8Zero},
         TensorProto::FLOAT8E4M3FN);
  add_op("DequantizeLinear", name + "/dequantise", {name + "/quantise", name + "/scale", kFp8Zero},
         element_type(type));
  const std::string matrix = weight(*factor->second, type, true, node);
  auto& columns =
      add_op("DequantizeLinear", name + "/weight", {matrix, matrix + "_scale"}, element_type(type));
  auto* axis = columns.add_attribute();
  axis->set_name("axis");
  axis->set_type(onnx::AttributeProto::INT);
  axis->set_i(1);
  product.set_input(0, name + "/dequantise");
  product.set_input(1, name + "/weight");
}

void GraphTyper::type_product(onnx::NodeProto& typed, const onnx::NodeProto& node, DType type) {
  if (type == DType::kF32) {
    fail("the recipe computes node '" + node.name() +
         "' in float32, in which cuBLASLt is not called");
  }
  ++report_.own_products;
  const ProductParts parts = parts_of(node);
  const bool fp8 = is_quantised(parts.names.front());
  for (const std::string& name : parts.names) {
    if (is_quantised(name) == fp8) continue;
    fail("the recipe quantises " + name + " or another product of node '" + node.name() +
         "', but not both");
  }
  const std::string scales = node.name() + "/scales";
  typed.add_input(scales);
  set_attribute(typed, "fp8", fp8 ? 1 : 0);
  add_algorithms(typed, node, type, fp8);
  if (fp8) {
    for (size_t i = 0; i < parts.names.size(); ++i) quantise_factor(typed, node, i, parts.names[i]);
    return;
  }
  const int64_t rows = 3 * static_cast<int64_t>(parts.names.size());
  const std::vector<float> ones(static_cast<size_t>(rows * kScaleValues), 1.0F);
  auto* tensor = result_.add_initializer();
  tensor->set_name(scales);
  tensor->set_data_type(TensorProto::FLOAT);
  tensor->add_dims(rows);
  tensor->add_dims(kScaleValues);
  const std::vector<std::byte> bytes = in_form(ones, DType::kF32).bytes;
  tensor->set_raw_data(bytes.data(), bytes.size());
}

void GraphTyper::quantise_factor(onnx::NodeProto& typed, const onnx::NodeProto& node,
                                 size_t product, const std::string& name) {
  if (calibration_ == nullptr || !calibration_->amax.contains(name)) {
    missing_ += "\n  " + name;
    return;
  }
  ++report_.fp8_products;
  const int at = parts_of(node).first_weight + static_cast<int>(product);
  const onnx::TensorProto& factor = *initializers_.at(node.input(at));
  WeightUse use{&factor, factor.name() + "/f8_rows", DType::kF32, true, node.name()};
  use.scales = node.name() + "/scales";
  use.product = product;
  use.input_scale = fp8_tensor_scale(calibration_->amax.at(name));
  typed.set_input(at, use.name);
  if (weight_names_.insert(use.name).second) weights_.push_back(use);
}

void GraphTyper::add_algorithms(onnx::NodeProto& typed, const onnx::NodeProto& node, DType type,
                                bool fp8) {
  if (!algorithms_) return;
  OwnProduct product{node.op_type(), type, fp8, 0, {}};
  for (const auto& other : source_.node()) {  // attention to all tokens has one window
    if (other.op_type() != kRotaryAttention) continue;
    product.tokens = std::max(product.tokens, attribute_of(other, "window"));
  }
  if (product.tokens == 0) return;
  const ProductParts parts = parts_of(node);
  for (size_t i = 0; i < parts.names.size(); ++i) {
    const auto& factor = *initializers_.at(node.input(parts.first_weight + static_cast<int>(i)));
    product.sizes.emplace_back(factor.dims(0), factor.dims(1));
  }
  size_t word = 0;
  for (const auto& algorithm : algorithms_(product)) {
    for (const uint64_t bits : algorithm) {
      for (const uint64_t half : {bits, bits >> 32U}) {
        set_attribute(typed, kAlgorithmAttributes.at(word++), static_cast<int32_t>(half));
      }
    }
  }
}

void GraphTyper::add_scalar(const std::string& name, DType type, float value) {
  auto* tensor = result_.add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(element_type(type));
  const std::vector<std::byte> bytes = in_form(std::span(&value, 1), type).bytes;
  tensor->set_raw_data(bytes.data(), bytes.size());
}

void GraphTyper::note_unused_rules() {
  for (size_t i = 0; i < rule_used_.size(); ++i) {
    const TypeRule& rule = (*rules_)[i];
    if (!rule_used_[i])
      report_.unused.push_back(rule.nodes + (rule.op.empty() ? "" : " " + rule.op));
  }
  for (size_t i = 0; i < fp8_used_.size(); ++i) {
    if (!fp8_used_[i]) report_.unused.push_back((*fp8_)[i]);
  }
}

}  // namespace sam3trt
