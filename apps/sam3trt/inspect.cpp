#include <array>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/foreign_file.hpp"
#include "checkpoint/checkpoint.hpp"
#include "checkpoint/inspect.hpp"
#include "commands.hpp"
#include "manifest/manifest.hpp"
#include "onnx/graph_info.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxListed = 10;

enum class FileKind { kCheckpoint, kGraph, kEngine };

/// By the name's ending, else by the first bytes.
FileKind kind_of(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    throw_bad_input(path.string() + ": there is no such file or folder");
  }
  const std::string extension = path.extension().string();
  if (extension == ".onnx") return FileKind::kGraph;
  if (extension == ".engine" || extension == ".plan") return FileKind::kEngine;
  if (extension == ".safetensors" || extension == ".pt" || extension == ".json" ||
      std::filesystem::is_directory(path, ignored)) {
    return FileKind::kCheckpoint;
  }
  std::ifstream file(path, std::ios::binary);
  std::array<char, 9> start{};
  file.read(start.data(), start.size());
  const bool zip = start[0] == 'P' && start[1] == 'K';
  const bool safetensors = start[8] == '{';  // after the eight bytes of the header's length
  if (zip || safetensors) return FileKind::kCheckpoint;
  if (start[0] == 8) return FileKind::kGraph;  // the field ir_version of ONNX's ModelProto
  refuse_foreign_file(path);
  throw_bad_input(path.string() +
                  ": expected a checkpoint folder, .safetensors, sam3.pt or an ONNX graph");
}

/// The module that a tensor belongs to, without the wrappers around it.
std::string part_of(const std::string& tensor) {
  static constexpr std::array kWrappers = {"detector",      "detector_model", "tracker",
                                           "tracker_model", "model",          "backbone"};
  size_t end = 0;
  while (true) {
    const size_t begin = end;
    end = tensor.find('.', begin);
    const std::string component = tensor.substr(begin, end - begin);
    bool wrapper = false;
    for (const char* name : kWrappers) wrapper = wrapper || component == name;
    if (end == std::string::npos || !wrapper) return tensor.substr(0, end);
    ++end;
  }
}

struct Total {
  uint64_t tensors = 0;
  uint64_t parameters = 0;
  uint64_t bytes = 0;

  void add(const TensorEntry& entry) {
    uint64_t count = 1;
    for (const int64_t dim : entry.shape) count *= static_cast<uint64_t>(dim);
    tensors += 1;
    parameters += count;
    bytes += entry.bytes;
  }
};

Json to_json(const Total& total) {
  return {{"tensors", total.tensors}, {"parameters", total.parameters}, {"bytes", total.bytes}};
}

Json to_json(const StackConfig& stack) {
  return {{"layers", stack.layers}, {"heads", stack.heads}, {"intermediate", stack.intermediate}};
}

Json to_json(const Sam3Config& config) {
  Json vision = to_json(config.vision.stack);
  vision.update({{"image_size", config.vision.image_size},
                 {"patch_size", config.vision.patch_size},
                 {"width", config.vision.hidden},
                 {"window", config.vision.window},
                 {"global_blocks", config.vision.global_blocks}});
  Json text = to_json(config.text.stack);
  text.update({{"vocabulary", config.text.vocabulary},
               {"context", config.text.context},
               {"width", config.text.hidden}});
  return {{"semantics", config.semantics == Semantics::kHf ? "hf" : "meta"},
          {"vision_encoder", vision},
          {"text_encoder", text},
          {"width", config.width},
          {"geometry_encoder", to_json(config.geometry)},
          {"fusion_encoder", to_json(config.encoder)},
          {"decoder", to_json(config.decoder)},
          {"queries", config.queries}};
}

Json describe_checkpoint(const std::string& path, bool list_tensors) {
  const CheckpointListing listing = list_checkpoint(path);
  Total all;
  std::map<std::string, Total> dtypes;
  std::map<std::string, Total> parts;
  Json tensors = Json::array();
  for (const TensorEntry& entry : listing.tensors) {
    all.add(entry);
    dtypes[entry.dtype].add(entry);
    parts[part_of(entry.name)].add(entry);
    if (list_tensors) {
      tensors.push_back({{"name", entry.name}, {"dtype", entry.dtype}, {"shape", entry.shape}});
    }
  }
  Json result = {{"path", path}, {"kind", "checkpoint"}, {"format", listing.format}};
  result.update(to_json(all));
  for (const auto& [name, total] : dtypes) result["dtypes"][name] = to_json(total);
  for (const auto& [name, total] : parts) result["parts"][name] = to_json(total);
  if (list_tensors) result["tensor_list"] = tensors;
  result["non_finite_weights"] = Json::array();
  try {
    const Checkpoint checkpoint = Checkpoint::open(path);
    result["config"] = to_json(checkpoint.config());
    result["problem"] = nullptr;
    for (const NonFiniteWeight& weight : checkpoint.non_finite_weights()) {
      result["non_finite_weights"].push_back({{"name", weight.name},
                                              {"shape", weight.shape},
                                              {"count", weight.count},
                                              {"first_index", weight.first}});
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kBadInput) throw;
    result["config"] = nullptr;
    result["problem"] = error.what();
  }
  return result;
}

Json to_json(const std::vector<TensorInfo>& tensors) {
  Json result = Json::array();
  for (const TensorInfo& tensor : tensors) {
    result.push_back(
        {{"name", tensor.name}, {"dtype", name_of(tensor.dtype)}, {"shape", tensor.shape}});
  }
  return result;
}

Json describe_graph(const std::string& path) {
  const GraphInfo info = read_graph_info(path);
  Json result = {{"path", path},
                 {"kind", "graph"},
                 {"opset", info.opset},
                 {"ir_version", info.ir_version},
                 {"inputs", to_json(info.inputs)},
                 {"outputs", to_json(info.outputs)},
                 {"nodes", info.node_count},
                 {"operators", info.operator_counts},
                 {"initializers", info.initializer_count},
                 {"initializer_bytes", info.initializer_bytes}};
  result["metadata"] = Json::object();
  for (const auto& [key, value] : info.metadata) {
    const Json parsed = Json::parse(value, nullptr, false);
    const bool structured = parsed.is_object();
    result["metadata"][key] = structured ? parsed : Json(value);
  }
  return result;
}

/// What the manifest beside an engine says; the engine itself is not opened.
Json describe_engine(const std::string& path) {
  const EngineManifest manifest = EngineManifest::load(path);
  Json result = {{"path", path}, {"kind", "engine"}};
  result.update(Json::parse(manifest.to_json()));
  return result;
}

std::string in_words(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void print_totals(const std::string& title, const Json& totals) {
  std::cout << std::left << std::setw(52) << title << std::right << std::setw(9) << "tensors"
            << std::setw(15) << "parameters" << std::setw(15) << "bytes"
            << "\n";
  for (const auto& [name, total] : totals.items()) {
    std::cout << "  " << std::left << std::setw(50) << name << std::right << std::setw(9)
              << in_words(total["tensors"]) << std::setw(15) << in_words(total["parameters"])
              << std::setw(15) << in_words(total["bytes"]) << "\n";
  }
}

void print_checkpoint(const Json& result) {
  std::cout << in_words(result["path"]) << ": checkpoint, " << in_words(result["format"]) << ", "
            << result["tensors"] << " tensors, " << result["parameters"] << " parameters, "
            << result["bytes"] << " bytes\n";
  print_totals("type", result["dtypes"]);
  print_totals("part", result["parts"]);
  if (result.contains("tensor_list")) {
    for (const Json& tensor : result["tensor_list"]) {
      std::cout << in_words(tensor["name"]) << " " << in_words(tensor["dtype"]) << " "
                << tensor["shape"] << "\n";
    }
  }
  if (result["config"].is_null()) {
    std::cout << "not a complete SAM 3 checkpoint: " << in_words(result["problem"]) << "\n";
    return;
  }
  std::cout << "complete SAM 3 image model\n";
  if (const Json& broken = result["non_finite_weights"]; !broken.empty()) {
    std::cout << "weights with NaN or infinity, for which 'sam3trt export' refuses it: "
              << broken.size() << "\n";
    for (size_t i = 0; i < broken.size() && i < kMaxListed; ++i) {
      std::cout << "  " << in_words(broken[i]["name"]) << " " << broken[i]["shape"] << ": "
                << broken[i]["count"] << " values, the first at index " << broken[i]["first_index"]
                << "\n";
    }
    if (broken.size() > kMaxListed) {
      std::cout << "  ... and " << broken.size() - kMaxListed << " more (--json lists all)\n";
    }
  }
  for (const auto& [key, value] : result["config"].items()) {
    std::cout << "  " << std::left << std::setw(18) << key << in_words(value) << "\n";
  }
}

void print_graph(const Json& result) {
  std::cout << in_words(result["path"]) << ": ONNX graph, opset " << result["opset"] << ", "
            << result["nodes"] << " nodes, " << result["initializers"] << " initializers, "
            << result["initializer_bytes"] << " bytes\n";
  for (const char* direction : {"inputs", "outputs"}) {
    std::cout << direction << "\n";
    for (const Json& tensor : result[direction]) {
      std::cout << "  " << std::left << std::setw(24) << in_words(tensor["name"]) << std::setw(5)
                << in_words(tensor["dtype"]) << tensor["shape"] << "\n";
    }
  }
  for (const char* section : {"metadata", "operators"}) {
    std::cout << section << "\n";
    for (const auto& [key, value] : result[section].items()) {
      std::cout << "  " << std::left << std::setw(28) << key << " " << in_words(value) << "\n";
    }
  }
}

void print_engine(const Json& result) {
  const std::string component = in_words(result["component"]);
  std::cout << in_words(result["path"]) << ": TensorRT engine of "
            << (component.empty() ? "another program's graph" : "the " + component) << "\n";
  for (const char* key : {"precision", "recipe", "flavour", "tensorrt_version", "gpu",
                          "compute_capability", "plan_bytes", "attentions", "fused_attentions"}) {
    if (!result.contains(key)) continue;
    std::cout << "  " << std::left << std::setw(22) << key << in_words(result[key]) << "\n";
  }
  std::cout << "  " << std::setw(22) << "verification" << in_words(result["verification"]["state"])
            << "\n";
  const Json& profiles = result["profiles"];
  for (size_t i = 0; i < profiles.size(); ++i) {
    std::cout << "shapes of profile " << i + 1 << " of " << profiles.size() << "\n";
    for (const auto& [name, shapes] : profiles[i].items()) {
      std::cout << "  " << std::left << std::setw(24) << name << shapes["min"] << " to "
                << shapes["max"] << ", tuned for " << shapes["opt"] << "\n";
    }
  }
}

void run_inspect(const std::string& path, bool list_tensors, const CommandContext& context) {
  const FileKind kind = kind_of(path);
  Json result;
  switch (kind) {
    case FileKind::kCheckpoint:
      result = describe_checkpoint(path, list_tensors);
      break;
    case FileKind::kGraph:
      result = describe_graph(path);
      break;
    case FileKind::kEngine:
      result = describe_engine(path);
      break;
  }
  if (context.json) {
    // Names in a file may be any bytes; what is not UTF-8 is replaced.
    std::cout << result.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  } else if (kind == FileKind::kGraph) {
    print_graph(result);
  } else if (kind == FileKind::kEngine) {
    print_engine(result);
  } else {
    print_checkpoint(result);
  }
}

}  // namespace

void add_inspect_command(CLI::App& app, CommandContext& context) {
  struct Options {
    std::string path;
    bool list_tensors = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("inspect", "Say what a checkpoint, an ONNX graph or an engine is");
  command
      ->add_option("FILE", options->path,
                   "Checkpoint folder, .safetensors, sam3.pt, ONNX graph or engine")
      ->required();
  command->add_flag("--tensors", options->list_tensors, "List every tensor of a checkpoint");
  command->footer("Example:\n  sam3trt inspect models/sam3");
  command->callback(
      [options, &context]() { run_inspect(options->path, options->list_tensors, context); });
}

}  // namespace sam3trt
