#include "model/export.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "model/graphs.hpp"
#include "text/tokenizer.hpp"

namespace sam3trt {
namespace {

constexpr std::array kAllGraphs = {GraphKind::kVisionEncoder, GraphKind::kDetector,
                                   GraphKind::kTextEncoder, GraphKind::kGeometryEncoder,
                                   GraphKind::kMaskHead};
constexpr std::array kDetectorParts = {GraphKind::kTextEncoder, GraphKind::kGeometryEncoder,
                                       GraphKind::kMaskHead};

void build(GraphKind kind, ModelGraph& model) {
  switch (kind) {
    case GraphKind::kVisionEncoder:
      return build_vision_encoder(model);
    case GraphKind::kTextEncoder:
      return build_text_encoder(model);
    case GraphKind::kGeometryEncoder:
      return build_geometry_encoder(model);
    case GraphKind::kDetector:
      return build_detector(model);
    case GraphKind::kMaskHead:
      return build_mask_head(model);
  }
  throw Error(ErrorCode::kInternal, "unknown graph");
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
struct Part {
  GraphKind kind;
  std::filesystem::path path;
};

struct Plan {
  std::vector<Part> parts;
  std::filesystem::path tokenizer;  ///< Empty: none.
};

void add_detector(Plan& plan, const std::filesystem::path& detector) {
  plan.parts.push_back({GraphKind::kDetector, detector});
  const std::filesystem::path stem = detector.parent_path() / detector.stem();
  for (const GraphKind kind : kDetectorParts) {
    plan.parts.push_back({kind, stem.string() + "." + std::string(name_of(kind)) + ".onnx"});
  }
  plan.tokenizer = stem.string() + ".tokenizer.json";
}

Plan make_plan(const ExportRequest& request) {
  Plan plan;
  if (request.component == "all") {
    if (request.output.extension() == ".onnx") {
      throw_bad_input("--output " + request.output.string() +
                      ": the component 'all' needs a folder, not a file");
    }
    plan.parts.push_back({GraphKind::kVisionEncoder, request.output / "vision_encoder.onnx"});
    add_detector(plan, request.output / "detector.onnx");
    return plan;
  }
  std::string known;
  for (const GraphKind kind : kAllGraphs) known += std::string(name_of(kind)) + ", ";
  for (const GraphKind kind : kAllGraphs) {
    if (request.component != name_of(kind)) continue;
    if (request.output.extension() != ".onnx") {
      throw_bad_input("--output " + request.output.string() +
                      ": a component is written to a file whose name ends in .onnx");
    }
    if (kind == GraphKind::kDetector) {
      add_detector(plan, request.output);
    } else {
      plan.parts.push_back({kind, request.output});
    }
    return plan;
  }
  throw_bad_input("--component " + request.component + ": unknown; expected one of " + known +
                  "or all");
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

std::string_view name_of(GraphKind kind) {
  switch (kind) {
    case GraphKind::kVisionEncoder:
      return "vision_encoder";
    case GraphKind::kTextEncoder:
      return "text_encoder";
    case GraphKind::kGeometryEncoder:
      return "geometry_encoder";
    case GraphKind::kDetector:
      return "detector";
    case GraphKind::kMaskHead:
      return "mask_head";
  }
  throw Error(ErrorCode::kInternal, "unknown graph");
}

std::vector<std::filesystem::path> write_graph(const Checkpoint& checkpoint, GraphKind kind,
                                               const std::filesystem::path& path) {
  Graph graph("sam3_" + std::string(name_of(kind)));
  ModelGraph model(graph, checkpoint);
  build(kind, model);
  const Sam3Config& config = checkpoint.config();
  graph.set_metadata("sam3trt.component", std::string(name_of(kind)));
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
  for (const Part& part : plan.parts) {
    make_folder(part.path);
    log(LogLevel::kInfo, "writing " + part.path.string());
    for (auto& path : write_graph(checkpoint, part.kind, part.path)) {
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
