#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "onnx/model_file.hpp"

namespace sam3trt {
namespace {

/// Collects the `location` of every tensor with external data. Graphs in attributes are followed as
/// deep as protobuf's parser lets messages nest (100 levels).
class Collector {
 public:
  explicit Collector(const std::filesystem::path& model_path) : where_(model_path.string()) {}

  void add(const onnx::GraphProto& graph) {
    for (const auto& tensor : graph.initializer()) add(tensor);
    for (const auto& tensor : graph.sparse_initializer()) add(tensor);
    for (const auto& node : graph.node()) add(node);
  }

  void add(const onnx::NodeProto& node) {
    for (const auto& attribute : node.attribute()) {
      if (attribute.has_t()) add(attribute.t());
      for (const auto& tensor : attribute.tensors()) add(tensor);
      if (attribute.has_sparse_tensor()) add(attribute.sparse_tensor());
      for (const auto& tensor : attribute.sparse_tensors()) add(tensor);
      if (attribute.has_g()) add(attribute.g());
      for (const auto& graph : attribute.graphs()) add(graph);
    }
  }

  std::set<std::string> names;

 private:
  void add(const onnx::SparseTensorProto& tensor) {
    add(tensor.values());
    add(tensor.indices());
  }

  void add(const onnx::TensorProto& tensor) {
    if (tensor.data_location() != onnx::TensorProto::EXTERNAL) return;
    std::filesystem::path name;
    for (const auto& entry : tensor.external_data()) {
      if (entry.key() == "location") name = entry.value();
    }
    if (name.empty() || name != name.filename() || name == ".." || name == ".") {
      throw_bad_input(where_ + ": tensor '" + tensor.name() + "': its data file '" + name.string() +
                      "' does not lie beside the model; export the graph again");
    }
    names.insert(name.string());
  }

  std::string where_;
};

}  // namespace

std::vector<std::string> data_files_of(const onnx::ModelProto& model,
                                       const std::filesystem::path& model_path) {
  Collector collector(model_path);
  collector.add(model.graph());
  for (const auto& function : model.functions()) {
    for (const auto& node : function.node()) collector.add(node);
  }
  std::string missing;
  for (const std::string& name : collector.names) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(model_path.parent_path() / name, ignored)) continue;
    missing += (missing.empty() ? "" : ", ") + name;
  }
  if (!missing.empty()) {
    throw_bad_input(model_path.string() + ": the files with its weights are missing: " + missing +
                    "; they must lie beside it, so copy them with it or export it again");
  }
  return {collector.names.begin(), collector.names.end()};
}

}  // namespace sam3trt
