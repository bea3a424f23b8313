#include "precision/calibration.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <span>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "base/sha256.hpp"
#include "onnx/model_file.hpp"
#include "precision/exported_graph.hpp"

namespace sam3trt {
namespace {

constexpr std::string_view kSuffix = "/amax";

void add_op(onnx::GraphProto& graph, const std::string& op_type, const std::string& input,
            const std::string& name) {
  auto* node = graph.add_node();
  node->set_op_type(op_type);
  node->set_name(name);
  node->add_input(input);
  node->add_output(name);
}

/// The scalar max |x| of the node's first input as the output NODE/amax.
void add_amax(onnx::GraphProto& graph, const onnx::NodeProto& product) {
  const std::string name = product.name() + std::string(kSuffix);
  add_op(graph, "Abs", product.input(0), name + "/abs");
  add_op(graph, "ReduceMax", name + "/abs", name);
  auto* keep = graph.mutable_node(graph.node_size() - 1)->add_attribute();
  keep->set_name("keepdims");
  keep->set_type(onnx::AttributeProto::INT);
  keep->set_i(0);
  auto* output = graph.add_output();
  output->set_name(name);
  auto* type = output->mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  type->mutable_shape();
}

/// Names of the files beside the graph that hold weights.
std::set<std::string> data_files(const onnx::GraphProto& graph) {
  std::set<std::string> names;
  for (const auto& tensor : graph.initializer()) {
    if (tensor.data_location() != onnx::TensorProto::EXTERNAL) continue;
    for (const auto& entry : tensor.external_data()) {
      if (entry.key() == "location") names.insert(entry.value());
    }
  }
  return names;
}

/// Makes the weights of `input` available under the same names beside `output`.
void link_data_files(const onnx::GraphProto& graph, const std::filesystem::path& input,
                     const std::filesystem::path& output) {
  std::error_code error;
  const auto folder = std::filesystem::absolute(input, error).parent_path();
  if (!error && std::filesystem::equivalent(folder, output.parent_path() / ".", error)) {
    throw_bad_input(output.string() + ": a calibration graph must not lie beside the graph that " +
                    "it is made of");
  }
  for (const std::string& name : data_files(graph)) {
    if (name.empty() || std::filesystem::path(name).filename() != name) {
      throw_bad_input(input.string() + ": names a data file '" + name +
                      "' outside its folder; export the graph again");
    }
    // OpenVINO refuses symbolic links that lead out of the graph's folder.
    const auto source = std::filesystem::canonical(folder / name, error);
    const auto target = output.parent_path() / name;
    if (!error) std::filesystem::create_hard_link(source, target, error);
    if (error) std::filesystem::copy_file(source, target, error);
    if (error) {
      throw_bad_input((output.parent_path() / name).string() + ": cannot be made (" +
                      error.message() + ")");
    }
  }
}

[[noreturn]] void fail_to_load(const std::filesystem::path& path, const std::string& what) {
  throw_bad_input(path.string() + ": not a calibration (" + what +
                  "); delete it, and it is made again");
}

}  // namespace

void Calibration::add_run(const std::map<std::string, Tensor>& outputs) {
  for (const auto& [name, tensor] : outputs) {
    if (!name.ends_with(kSuffix)) continue;
    const std::string node = name.substr(0, name.size() - kSuffix.size());
    if (tensor.dtype() != DType::kF32 || tensor.size() != 1) {
      throw_bad_input("calibration output '" + name + "': expected one float32 number, found " +
                      std::string(name_of(tensor.dtype())) + " " + to_string(tensor.shape()));
    }
    const float value = tensor.f32()[0];
    if (!std::isfinite(value) || value < 0.0F) {
      throw_bad_input("calibration of node '" + node +
                      "': its input is not finite, so the float32 "
                      "graph itself is broken or was run in a narrower type");
    }
    float& known = amax[node];
    known = std::max(known, value);
  }
  ++runs;
}

std::string Calibration::to_json() const {
  const nlohmann::ordered_json json = {{"format", 2},
                                       {"component", component},
                                       {"checkpoint_sha256", checkpoint_sha256},
                                       {"graph_sha256", inputs.graph_sha256},
                                       {"semantics", inputs.semantics},
                                       {"images", inputs.images},
                                       {"runs", runs},
                                       {"amax", amax}};
  return json.dump(1) + "\n";
}

std::string Calibration::sha256() const {
  const std::string text = to_json();
  return sha256_hex(std::as_bytes(std::span(text)));
}

void Calibration::save(const std::filesystem::path& path) const {
  AtomicFile file(path);
  file.write(to_json());
  file.commit();
}

Calibration Calibration::load(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto* text = reinterpret_cast<const char*>(file.bytes().data());
  const auto json = nlohmann::json::parse(text, text + file.bytes().size(), nullptr, false);
  Calibration calibration;
  const auto format = json.is_object() ? json.value("format", nlohmann::json()) : nlohmann::json();
  if (format != nlohmann::json(1) && format != nlohmann::json(2)) {
    fail_to_load(path, "no JSON object with \"format\": 2");
  }
  try {
    if (format == nlohmann::json(2)) {
      json.at("graph_sha256").get_to(calibration.inputs.graph_sha256);
      json.at("semantics").get_to(calibration.inputs.semantics);
      json.at("images").get_to(calibration.inputs.images);
    }
    json.at("component").get_to(calibration.component);
    json.at("checkpoint_sha256").get_to(calibration.checkpoint_sha256);
    json.at("runs").get_to(calibration.runs);
    json.at("amax").get_to(calibration.amax);
  } catch (const nlohmann::json::exception& error) {
    fail_to_load(path, error.what());
  }
  for (const auto& [node, value] : calibration.amax) {
    if (!std::isfinite(value) || value < 0.0F) fail_to_load(path, "amax of '" + node + "'");
  }
  return calibration;
}

std::filesystem::path Calibration::path_beside(const std::filesystem::path& graph) {
  return graph.string() + ".calibration.json";
}

Calibration write_calibration_graph(const std::filesystem::path& input,
                                    const std::filesystem::path& output, const Recipe& recipe) {
  ExportedGraph source = read_exported_graph(input);
  onnx::GraphProto& graph = *source.model.mutable_graph();
  const auto patterns = recipe.fp8.find(source.component);
  int64_t found = 0;
  const int nodes = graph.node_size();
  for (int i = 0; i < nodes && patterns != recipe.fp8.end(); ++i) {
    const onnx::NodeProto product = graph.node(i);
    const auto fits = [&](const std::string& pattern) {
      return matches_path(pattern, product.name());
    };
    if (!std::any_of(patterns->second.begin(), patterns->second.end(), fits)) continue;
    add_amax(graph, product);
    ++found;
  }
  if (found == 0) {
    throw_bad_input(input.string() + ": the recipe '" + recipe.name +
                    "' quantises nothing in a graph of the component " + source.component);
  }
  link_data_files(graph, input, output);
  set_metadata_value(source.model, "sam3trt.precision", "calibration");
  AtomicFile file(output);
  file.write(source.model.SerializeAsString());
  file.commit();
  return {source.component, source.checkpoint_sha256, 0, {}, {}};
}

}  // namespace sam3trt
