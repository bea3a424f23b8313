#include "onnx/graph.hpp"

#include <onnx/onnx-ml.pb.h>

#include <unordered_set>

#include "base/error.hpp"
#include "onnx/model_file.hpp"
#include "sam3trt/version.hpp"

namespace sam3trt {
namespace {

constexpr int64_t kOpset = 20;
constexpr int64_t kIrVersion = 9;

int onnx_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return onnx::TensorProto::FLOAT;
    case DType::kF16:
      return onnx::TensorProto::FLOAT16;
    case DType::kBF16:
      return onnx::TensorProto::BFLOAT16;
    case DType::kF64:
      return onnx::TensorProto::DOUBLE;
    case DType::kI64:
      return onnx::TensorProto::INT64;
    case DType::kI32:
      return onnx::TensorProto::INT32;
    case DType::kI16:
      return onnx::TensorProto::INT16;
    case DType::kI8:
      return onnx::TensorProto::INT8;
    case DType::kU8:
      return onnx::TensorProto::UINT8;
    case DType::kBool:
      return onnx::TensorProto::BOOL;
    case DType::kC64:
      return onnx::TensorProto::COMPLEX64;
  }
  throw Error(ErrorCode::kInternal, "unknown dtype");
}

void fill_value_info(onnx::ValueInfoProto* info, const std::string& name, const Value& value) {
  info->set_name(name);
  auto* type = info->mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx_type(value.dtype));
  for (const Dim& dim : value.shape) {
    auto* target = type->mutable_shape()->add_dim();
    if (dim.is_static()) {
      target->set_dim_value(dim.value());
    } else {
      target->set_dim_param(dim.to_string());
    }
  }
}

void fill_attribute(onnx::AttributeProto* target, const std::string& name,
                    const Attribute& attribute) {
  target->set_name(name);
  if (const auto* number = std::get_if<int64_t>(&attribute)) {
    target->set_type(onnx::AttributeProto::INT);
    target->set_i(*number);
  } else if (const auto* real = std::get_if<float>(&attribute)) {
    target->set_type(onnx::AttributeProto::FLOAT);
    target->set_f(*real);
  } else if (const auto* text = std::get_if<std::string>(&attribute)) {
    target->set_type(onnx::AttributeProto::STRING);
    target->set_s(*text);
  } else {
    target->set_type(onnx::AttributeProto::INTS);
    for (const int64_t item : std::get<std::vector<int64_t>>(attribute)) target->add_ints(item);
  }
}

struct LazyConstant {
  std::string name;
  Shape shape;
  ConstantMaker maker;

  [[nodiscard]] uint64_t size_bytes() const {
    return static_cast<uint64_t>(element_count(shape)) * sizeof(float);
  }

  [[nodiscard]] std::vector<float> values() const {
    std::vector<float> result = maker();
    if (result.size() * sizeof(float) != size_bytes()) {
      throw Error(ErrorCode::kInternal, name + ": a constant of shape " + to_string(shape) +
                                            " was made with " + std::to_string(result.size()) +
                                            " values");
    }
    return result;
  }
};

}  // namespace

struct Graph::State {
  onnx::ModelProto model;
  std::vector<LazyConstant> constants;
  std::unordered_set<std::string> names;

  void claim(const std::string& name) {
    if (!names.insert(name).second) {
      throw Error(ErrorCode::kInternal, "the graph already has a tensor or node named " + name);
    }
  }
};

Graph::Graph(const std::string& name) : state_(std::make_unique<State>()) {
  state_->model.set_ir_version(kIrVersion);
  state_->model.set_producer_name("sam3trt");
  state_->model.set_producer_version(SAM3TRT_VERSION);
  auto* opset = state_->model.add_opset_import();
  opset->set_domain("");
  opset->set_version(kOpset);
  state_->model.mutable_graph()->set_name(name);
}

Graph::~Graph() = default;
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;

Value Graph::add_input(const std::string& name, DType dtype, SymbolicShape shape) {
  state_->claim(name);
  Value value{name, dtype, std::move(shape)};
  fill_value_info(state_->model.mutable_graph()->add_input(), name, value);
  return value;
}

void Graph::add_output(const std::string& name, const Value& value) {
  const Value output{name, value.dtype, value.shape};
  add_node("Identity", "/output/" + name, {value}, {output});
  fill_value_info(state_->model.mutable_graph()->add_output(), name, output);
}

Value Graph::add_constant(const std::string& name, Shape shape, ConstantMaker maker) {
  state_->claim(name);
  Value value{name, DType::kF32, SymbolicShape(shape.begin(), shape.end())};
  state_->constants.push_back({name, std::move(shape), std::move(maker)});
  return value;
}

Value Graph::add_constant_f32(const std::string& name, Shape shape, std::vector<float> values) {
  return add_constant(name, std::move(shape), [values = std::move(values)]() { return values; });
}

Value Graph::add_constant_i64(const std::string& name, Shape shape, std::vector<int64_t> values) {
  state_->claim(name);
  auto* tensor = state_->model.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(onnx::TensorProto::INT64);
  for (const int64_t dim : shape) tensor->add_dims(dim);
  if (static_cast<size_t>(element_count(shape)) != values.size()) {
    throw Error(ErrorCode::kInternal, name + ": values do not fit shape " + to_string(shape));
  }
  tensor->set_raw_data(values.data(), values.size() * sizeof(int64_t));
  return {name, DType::kI64, SymbolicShape(shape.begin(), shape.end())};
}

void Graph::add_node(const std::string& op_type, const std::string& name,
                     const std::vector<Value>& inputs, const std::vector<Value>& outputs,
                     const Attributes& attributes) {
  auto* node = state_->model.mutable_graph()->add_node();
  node->set_op_type(op_type);
  node->set_name(name);
  for (const Value& input : inputs) {
    if (!input.name.empty() && !state_->names.contains(input.name)) {
      throw Error(ErrorCode::kInternal, name + ": input " + input.name + " does not exist");
    }
    node->add_input(input.name);
  }
  for (const Value& output : outputs) {
    state_->claim(output.name);
    node->add_output(output.name);
  }
  for (const auto& [key, attribute] : attributes) {
    fill_attribute(node->add_attribute(), key, attribute);
  }
}

void Graph::set_metadata(const std::string& key, const std::string& value) {
  auto* entry = state_->model.add_metadata_props();
  entry->set_key(key);
  entry->set_value(value);
}

void Graph::save_into(AtomicFiles& files, const std::filesystem::path& path,
                      uint64_t inline_limit_bytes, const ConstantWritten& written) const {
  uint64_t total_bytes = 0;
  for (const LazyConstant& constant : state_->constants) total_bytes += constant.size_bytes();

  onnx::ModelProto model = state_->model;
  ModelWriter writer(files, path, total_bytes > inline_limit_bytes);
  uint64_t written_bytes = 0;
  for (const LazyConstant& constant : state_->constants) {
    auto* tensor = model.mutable_graph()->add_initializer();
    tensor->set_name(constant.name);
    tensor->set_data_type(onnx::TensorProto::FLOAT);
    for (const int64_t dim : constant.shape) tensor->add_dims(dim);
    const std::vector<float> values = constant.values();
    writer.set_data(tensor, std::as_bytes(std::span(values)));
    written_bytes += constant.size_bytes();
    if (written) written(written_bytes, total_bytes);
  }
  writer.finish(model);
}

std::vector<std::filesystem::path> Graph::save(const std::filesystem::path& path,
                                               uint64_t inline_limit_bytes) const {
  AtomicFiles files;
  save_into(files, path, inline_limit_bytes);
  return files.commit();
}

}  // namespace sam3trt
