#include "model/export.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "model/graphs.hpp"
#include "text/tokenizer.hpp"

namespace sam3trt {
namespace {

void build(Component component, ModelGraph& model) {
  switch (component) {
    case Component::kVisionEncoder:
      return build_vision_encoder(model);
    case Component::kTextEncoder:
      return build_text_encoder(model);
    case Component::kGeometryEncoder:
      return build_geometry_encoder(model);
    case Component::kDetector:
      return build_detector(model);
    case Component::kMaskHead:
      return build_mask_head(model);
  }
  throw Error(ErrorCode::kInternal, "unknown component");
}

/// The facts that running the graphs needs (docs/graphs.md, "Metadata").
std::string config_json(const Sam3Config& config) {
  const nlohmann::json json = {
      {"image_size", config.vision.image_size},
      {"patch_size", config.vision.patch_size},
      {"grid", config.vision.grid()},
      {"detector_width", config.width},
      {"context_length", config.text.context},
      {"num_queries", config.queries},
      {"roi_size", config.roi_size},
      {"image_mean", config.preprocess.mean},
      {"image_std", config.preprocess.std},
      {"rescale_factor", config.preprocess.rescale_factor},
      {"bos_token_id", config.text.bos_token_id},
      {"eos_token_id", config.text.eos_token_id},
      {"pad_token_id", config.text.pad_token_id},
  };
  return json.dump();
}

/// One file to write.
struct ComponentFile {
  Component component;
  std::filesystem::path path;
};

struct Plan {
  std::vector<ComponentFile> files;
  std::filesystem::path tokenizer;  ///< Empty: none.
};

/// The component itself and those whose files are named after its own.
void add_component(Plan& plan, Component component, const std::filesystem::path& path) {
  plan.files.push_back({component, path});
  for (const Component other : components_beside(component)) {
    plan.files.push_back({other, path_beside(path, other)});
  }
  if (component == Component::kDetector) plan.tokenizer = tokenizer_beside(path);
}

Plan make_plan(const ExportRequest& request) {
  Plan plan;
  if (request.component == "all") {
    if (request.output.extension() == ".onnx") {
      throw_bad_input("--output " + request.output.string() +
                      ": the component 'all' needs a folder, not a file");
    }
    for (const ComponentInfo& info : components()) {
      if (info.beside) continue;
      add_component(plan, info.id, request.output / (std::string(info.name) + ".onnx"));
    }
    return plan;
  }
  const auto component = component_named(request.component);
  if (!component) {
    throw_bad_input("--component " + request.component + ": unknown; expected one of " +
                    component_names() + ", all");
  }
  if (request.output.extension() != ".onnx") {
    throw_bad_input("--output " + request.output.string() +
                    ": a component is written to a file whose name ends in .onnx");
  }
  add_component(plan, *component, request.output);
  return plan;
}

std::optional<Tokenizer> load_tokenizer(const ExportRequest& request, const Plan& plan,
                                        const Checkpoint& checkpoint) {
  if (plan.tokenizer.empty()) return std::nullopt;
  const std::filesystem::path folder = request.tokenizer.value_or(checkpoint.folder());
  if (!request.tokenizer && !std::filesystem::exists(folder / "tokenizer.json") &&
      !std::filesystem::exists(folder / "vocab.json")) {
    throw_bad_input(folder.string() +
                    ": no tokenizer.json and no vocab.json beside the checkpoint; name the folder "
                    "that holds them with --tokenizer DIR");
  }
  Tokenizer tokenizer = Tokenizer::load(folder);
  const int64_t rows = checkpoint.config().text.vocabulary;
  if (tokenizer.vocabulary_size() > static_cast<size_t>(rows)) {
    throw_bad_input(folder.string() + ": the tokenizer has " +
                    std::to_string(tokenizer.vocabulary_size()) +
                    " tokens, but the checkpoint's embedding has " + std::to_string(rows) +
                    " rows; they do not belong together");
  }
  return tokenizer;
}

void make_folder(const std::filesystem::path& path) {
  if (path.parent_path().empty()) return;
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) {
    throw_bad_input(path.parent_path().string() +
                    ": the folder cannot be made: " + error.message());
  }
}

}  // namespace

std::vector<std::filesystem::path> write_graph(const Checkpoint& checkpoint, Component component,
                                               const std::filesystem::path& path) {
  Graph graph("sam3_" + std::string(name_of(component)));
  ModelGraph model(graph, checkpoint);
  build(component, model);
  const Sam3Config& config = checkpoint.config();
  graph.set_metadata("sam3trt.component", std::string(name_of(component)));
  graph.set_metadata("sam3trt.format_version", "1");
  graph.set_metadata("sam3trt.exporter_version", SAM3TRT_VERSION);
  graph.set_metadata("sam3trt.semantics", config.semantics == Semantics::kHf ? "hf" : "meta");
  graph.set_metadata("sam3trt.checkpoint_sha256", checkpoint.sha256());
  graph.set_metadata("sam3trt.config", config_json(config));
  return graph.save(path);
}

std::vector<std::filesystem::path> export_component(const ExportRequest& request) {
  const Plan plan = make_plan(request);
  const Checkpoint checkpoint = Checkpoint::open(request.checkpoint, request.semantics);
  const std::optional<Tokenizer> tokenizer = load_tokenizer(request, plan, checkpoint);
  std::vector<std::filesystem::path> written;
  for (const ComponentFile& file : plan.files) {
    make_folder(file.path);
    log(LogLevel::kInfo, "writing " + file.path.string());
    for (auto& path : write_graph(checkpoint, file.component, file.path)) {
      written.push_back(std::move(path));
    }
  }
  if (tokenizer) {
    AtomicFile file(plan.tokenizer);
    file.write(tokenizer->to_json());
    file.commit();
    written.push_back(plan.tokenizer);
  }
  return written;
}

}  // namespace sam3trt
