#include "onnx/graph_info.hpp"

#include <onnx/onnx-ml.pb.h>

#include <limits>
#include <optional>
#include <span>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "base/sha256.hpp"
#include "onnx/model_file.hpp"

namespace sam3trt {
namespace {

std::optional<DType> dtype_of(int onnx_type) {
  switch (onnx_type) {
    case onnx::TensorProto::FLOAT:
      return DType::kF32;
    case onnx::TensorProto::FLOAT16:
      return DType::kF16;
    case onnx::TensorProto::BFLOAT16:
      return DType::kBF16;
    case onnx::TensorProto::DOUBLE:
      return DType::kF64;
    case onnx::TensorProto::INT64:
      return DType::kI64;
    case onnx::TensorProto::INT32:
      return DType::kI32;
    case onnx::TensorProto::INT16:
      return DType::kI16;
    case onnx::TensorProto::INT8:
      return DType::kI8;
    case onnx::TensorProto::UINT8:
      return DType::kU8;
    case onnx::TensorProto::BOOL:
      return DType::kBool;
    case onnx::TensorProto::COMPLEX64:
      return DType::kC64;
    default:
      return std::nullopt;
  }
}

std::vector<TensorInfo> tensor_infos(
    const google::protobuf::RepeatedPtrField<onnx::ValueInfoProto>& values,
    const std::string& path) {
  std::vector<TensorInfo> infos;
  for (const auto& value : values) {
    const auto& type = value.type().tensor_type();
    const auto dtype = dtype_of(type.elem_type());
    if (!dtype) {
      throw_bad_input(path + ": tensor '" + value.name() + "' has the element type " +
                      std::to_string(type.elem_type()) + ", which is not supported");
    }
    TensorInfo info{value.name(), *dtype, {}};
    for (const auto& dim : type.shape().dim()) {
      info.shape.push_back(dim.has_dim_value() ? dim.dim_value() : -1);
    }
    infos.push_back(std::move(info));
  }
  return infos;
}

int64_t initializer_bytes(const onnx::TensorProto& tensor) {
  const auto dtype = dtype_of(tensor.data_type());
  const auto count =
      checked_element_count(std::vector<int64_t>(tensor.dims().begin(), tensor.dims().end()));
  if (!dtype || !count) return 0;
  const auto bytes = checked_mul(static_cast<uint64_t>(*count), size_of(*dtype));
  return bytes && *bytes <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max() / 2)
             ? static_cast<int64_t>(*bytes)
             : 0;
}

}  // namespace

GraphInfo read_graph_info(const std::filesystem::path& path) {
  const onnx::ModelProto model = read_model(path);
  GraphInfo info;
  for (const auto& entry : model.metadata_props()) info.metadata[entry.key()] = entry.value();
  for (const auto& opset : model.opset_import()) {
    if (opset.domain().empty() || opset.domain() == "ai.onnx") info.opset = opset.version();
  }
  info.ir_version = model.ir_version();
  info.inputs = tensor_infos(model.graph().input(), path.string());
  info.outputs = tensor_infos(model.graph().output(), path.string());
  for (const auto& input : model.graph().input()) {
    for (const auto& dim : input.type().tensor_type().shape().dim()) {
      info.dim_names[input.name()].push_back(dim.dim_param());
    }
  }
  for (const auto& node : model.graph().node()) ++info.operator_counts[node.op_type()];
  info.node_count = model.graph().node_size();
  info.initializer_count = model.graph().initializer_size();
  for (const auto& tensor : model.graph().initializer()) {
    if (__builtin_add_overflow(info.initializer_bytes, initializer_bytes(tensor),
                               &info.initializer_bytes)) {
      throw_bad_input(path.string() + ": the sizes of its weights overflow; the file is damaged");
    }
  }
  return info;
}

std::string hash_graph(const std::filesystem::path& path) {
  Sha256 hash;
  hash.update(MappedFile(path).bytes());
  for (const std::string& name : data_files_of(read_model(path), path)) {
    const std::string digest = sha256_of_pieces(MappedFile(path.parent_path() / name).bytes());
    hash.update(std::as_bytes(std::span(digest)));
  }
  return hash.hex_digest();
}

std::string hash_graph_shapes(const std::filesystem::path& path) {
  const onnx::ModelProto model = read_model(path);
  onnx::GraphProto shapes;
  *shapes.mutable_node() = model.graph().node();
  *shapes.mutable_input() = model.graph().input();
  *shapes.mutable_output() = model.graph().output();
  for (const auto& weight : model.graph().initializer()) {
    onnx::TensorProto* tensor = shapes.add_initializer();
    tensor->set_name(weight.name());
    tensor->set_data_type(weight.data_type());
    *tensor->mutable_dims() = weight.dims();
  }
  const std::string text = shapes.SerializeAsString();
  return sha256_hex(std::as_bytes(std::span(text)));
}

}  // namespace sam3trt
