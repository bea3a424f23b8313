#include "model/export.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/atomic_file.hpp"
#include "base/error.hpp"
#include "base/foreign_file.hpp"
#include "base/log.hpp"
#include "base/output_check.hpp"
#include "base/stop.hpp"
#include "model/graphs.hpp"
#include "sam3trt/version.hpp"
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
    case Component::kTrackerNeck:
      return build_tracker_neck(model);
    case Component::kMaskPrompt:
      return build_mask_prompt(model);
    case Component::kMemoryAttention:
      return build_memory_attention(model);
    case Component::kSamDecoder:
      return build_sam_decoder(model);
    case Component::kMemoryEncoder:
      return build_memory_encoder(model);
  }
  throw Error(ErrorCode::kInternal, "unknown component");
}

/// The facts that running the graphs needs (docs/graphs.md, "Metadata").
std::string config_json(const Sam3Config& config) {
  nlohmann::json json = {
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
  if (config.tracker) {
    for_each_field(*config.tracker,
                   [&](const char* name, const auto& value) { json["tracker"][name] = value; });
  }
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

/// Leaves out what the checkpoint has no weights for; refuses it where it was asked for by name.
void drop_missing(const ExportRequest& request, const Sam3Config& config, Plan& plan) {
  std::string missing;
  std::erase_if(plan.files, [&](const ComponentFile& file) {
    if (has_component(config, file.component)) return false;
    missing += (missing.empty() ? "" : ", ") + std::string(name_of(file.component));
    return true;
  });
  if (missing.empty()) return;
  const std::string what =
      request.checkpoint.string() +
      (config.tracker ? ": has a tracker for clicks only"
                      : ": has no tracker (tracker_model.* and tracker_neck.*, in Meta's files "
                        "tracker.* and sam2_convs.*, with a config.json of type sam3_video)");
  if (request.component != "all") {
    throw_bad_input(what + ", so there is no " + missing +
                    "; name a checkpoint of the whole model, or one of the other components");
  }
  log(LogLevel::kInfo, what + ": " + missing + " are left out");
}

std::optional<Tokenizer> load_tokenizer(const ExportRequest& request, const Plan& plan,
                                        const Checkpoint& checkpoint) {
  if (plan.tokenizer.empty()) return std::nullopt;
  const std::filesystem::path folder = request.tokenizer.value_or(checkpoint.folder());
  if (!request.tokenizer && !Tokenizer::is_in(folder)) {
    throw_bad_input(
        folder.string() +
        ": no tokenizer beside the checkpoint (tokenizer.json, vocab.json with "
        "merges.txt, or bpe_simple_vocab_16e6.txt.gz); name it, or the folder that holds "
        "it, with --tokenizer");
  }
  refuse_foreign_file(folder);
  for (const char* name : {"tokenizer.json", "vocab.json", "merges.txt"}) {
    refuse_foreign_file(folder / name);
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

std::filesystem::path folder_of(const ExportRequest& request) {
  if (request.component == "all") return request.output;
  return request.output.has_parent_path() ? request.output.parent_path() : ".";
}

/// Whether a file beside a checkpoint is one that an export may read.
bool is_checkpoint_file(const std::filesystem::path& path) {
  static constexpr std::array kWeights = {".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".gz"};
  static constexpr std::array kNames = {"config.json",
                                        "processor_config.json",
                                        "preprocessor_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "model.safetensors.index.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "added_tokens.json",
                                        "LICENSE",
                                        "special_tokens_map.json"};
  return std::ranges::find(kWeights, path.extension()) != kWeights.end() ||
         std::ranges::find(kNames, path.filename()) != kNames.end();
}

/// No file of the checkpoint or the tokenizer is written over, and all outputs can be written.
void check_outputs(const ExportRequest& request, const Plan& plan) {
  OutputCheck check;
  const auto read = [&](const std::filesystem::path& path, const std::string& option) {
    check.reads(path, option);
    std::error_code error;
    const bool folder = std::filesystem::is_directory(path, error);
    for (std::filesystem::directory_iterator entry(folder ? path : path.parent_path() / ".", error),
         end;
         !error && entry != end; entry.increment(error)) {
      if (is_checkpoint_file(entry->path())) check.reads(entry->path(), entry->path().string());
    }
  };
  read(request.checkpoint, "--checkpoint " + request.checkpoint.string());
  if (request.tokenizer) read(*request.tokenizer, "--tokenizer " + request.tokenizer->string());
  const std::string option = "--output " + request.output.string();
  check_output_folder(folder_of(request), option);
  const auto write = [&](const std::filesystem::path& path) {
    const std::string what = path == request.output ? option : "--output: " + path.string();
    if (std::filesystem::exists(folder_of(request))) {
      check.writes(path, what);
    } else {
      check.writes_later(path, what);
    }
  };
  for (const ComponentFile& component : plan.files) {
    write(component.path);
    write(component.path.string() + ".data");
  }
  if (!plan.tokenizer.empty()) write(plan.tokenizer);
}

}  // namespace

bool has_component(const Sam3Config& config, Component component) {
  if (serves(component, Task::kDetect)) return true;
  if (!config.tracker) return false;
  return serves(component, Task::kInteract) || config.tracker->num_maskmem > 0;
}

void write_graph(AtomicFiles& files, const Checkpoint& checkpoint, Component component,
                 const std::filesystem::path& path, const ConstantWritten& written) {
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
  graph.save_into(files, path, Graph::kInlineLimitBytes, written);
}

std::vector<std::filesystem::path> export_component(const ExportRequest& request) {
  Plan plan = make_plan(request);
  check_outputs(request, plan);
  const Checkpoint checkpoint = Checkpoint::open(request.checkpoint, request.semantics);
  drop_missing(request, checkpoint.config(), plan);
  const std::optional<Tokenizer> tokenizer = load_tokenizer(request, plan, checkpoint);
  throw_if_stopped(request.stop, "the export");
  checkpoint.check_finite();
  ResultFolder folder(folder_of(request), "--output " + request.output.string());
  AtomicFiles files;
  for (const ComponentFile& file : plan.files) {
    log(LogLevel::kInfo, "writing " + file.path.string());
    write_graph(files, checkpoint, file.component, file.path, [&](uint64_t done, uint64_t all) {
      throw_if_stopped(request.stop, "the export");
      if (!request.progress) return;
      request.progress(file.path.filename().string(),
                       static_cast<double>(done) / static_cast<double>(all));
    });
  }
  if (tokenizer) files.add(plan.tokenizer).write(tokenizer->to_json());
  auto written = files.commit();
  folder.keep();
  return written;
}

}  // namespace sam3trt
