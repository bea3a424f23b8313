#include "runtime/model_files.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "manifest/manifest.hpp"
#include "onnx/graph_info.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

using Metadata = std::map<std::string, std::string>;

constexpr const char* kFormatVersion = "1";
constexpr const char* kExportHint = "run 'sam3trt export --component all --output DIR' again";

std::string value_of(const Metadata& metadata, const std::string& key) {
  const auto found = metadata.find("sam3trt." + key);
  return found == metadata.end() ? std::string() : found->second;
}

bool is_engine(const fs::path& path) { return path.extension() == ".engine"; }

/// What the file says about the graph it holds: the graph itself, or the manifest beside an engine.
Metadata read_metadata(const fs::path& path) {
  return is_engine(path) ? EngineManifest::load(path).metadata : read_graph_info(path).metadata;
}

/// The file of one component.
struct ComponentFile {
  fs::path path;
  Metadata metadata;
};

/// Adds what is wrong with the file as `component` to `problems`.
ComponentFile read_component(const fs::path& path, const std::string& component,
                             std::string& problems) {
  ComponentFile file{path, {}};
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) {
    problems += "\n  " + path.string() + ": the " + component + " is missing";
    return file;
  }
  try {
    file.metadata = read_metadata(path);
  } catch (const Error& error) {
    problems += std::string("\n  ") + error.what();
    return file;
  }
  const std::string found = value_of(file.metadata, "component");
  if (found != component) {
    problems += "\n  " + path.string() + ": expected a " + component + ", found " +
                (found.empty() ? "a graph that 'sam3trt export' did not write" : "a " + found);
    file.metadata.clear();
    return file;
  }
  const std::string version = value_of(file.metadata, "format_version");
  if (version != kFormatVersion) {
    problems += "\n  " + path.string() + ": expected format version " + kFormatVersion +
                ", found '" + version + "'";
  }
  return file;
}

/// What must be the same in every component; names the first difference.
void compare(const ComponentFile& first, const ComponentFile& file, std::string& problems) {
  if (first.metadata.empty() || file.metadata.empty()) return;
  const std::string than = " than " + first.path.filename().string();
  for (const char* key : {"checkpoint_sha256", "semantics"}) {
    const std::string expected = value_of(first.metadata, key);
    const std::string found = value_of(file.metadata, key);
    if (found == expected) continue;
    problems += "\n  " + file.path.string() + ": another " + key + " (" + found + ")" + than +
                " (" + expected + ")";
    return;
  }
  if (value_of(file.metadata, "config") != value_of(first.metadata, "config")) {
    problems += "\n  " + file.path.string() + ": another config" + than;
  }
}

std::optional<Semantics> semantics_of(const ComponentFile& file) {
  const std::string name = value_of(file.metadata, "semantics");
  for (const Semantics semantics : {Semantics::kHf, Semantics::kMeta}) {
    if (name == semantics_name(semantics)) return semantics;
  }
  return std::nullopt;
}

/// Candidates of one folder, by component, and the files that could not be read.
struct Candidates {
  std::map<std::string, std::vector<fs::path>> by_component;
  std::string unreadable;
};

Candidates list_candidates(const fs::path& folder, ModelForm form) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    paths.push_back(entry->path());
  }
  if (error) throw_bad_input(folder.string() + ": cannot be read: " + error.message());
  std::sort(paths.begin(), paths.end());
  Candidates candidates;
  for (const fs::path& path : paths) {
    if (path.extension() != extension_of(form) || !fs::is_regular_file(path, error)) continue;
    try {
      const Metadata metadata = read_metadata(path);
      if (value_of(metadata, "precision") == "calibration") continue;
      candidates.by_component[value_of(metadata, "component")].push_back(path);
    } catch (const Error& problem) {
      candidates.unreadable += std::string("\n  ") + problem.what();
    }
  }
  return candidates;
}

fs::path only_one(const fs::path& folder, const Candidates& candidates,
                  const std::string& component, const FolderWords& words) {
  const auto found = candidates.by_component.find(component);
  if (found == candidates.by_component.end()) {
    throw_bad_input(folder.string() + ": holds no " + component +
                    " that 'sam3trt export' or 'sam3trt build' wrote; " + kExportHint +
                    candidates.unreadable);
  }
  if (found->second.size() == 1) return found->second.front();
  std::string message = folder.string() + ": holds " + std::to_string(found->second.size()) +
                        " files of the " + component + "; " + words.choose + ":";
  for (const fs::path& path : found->second) message += "\n  " + path.string();
  throw_bad_input(message);
}

/// The paths of what detection needs.
ModelFiles detector_files(const fs::path& vision_encoder, const fs::path& detector) {
  if (is_engine(vision_encoder) != is_engine(detector)) {
    throw_bad_input(vision_encoder.string() + " and " + detector.string() +
                    ": one is an engine and one a graph; name two engines or two graphs");
  }
  ModelFiles files;
  files.form = is_engine(detector) ? ModelForm::kEngines : ModelForm::kGraphs;
  files.components = {{Component::kVisionEncoder, vision_encoder},
                      {Component::kDetector, detector}};
  for (const Component component : components_beside(Component::kDetector)) {
    files.components[component] = path_beside(detector, component);
  }
  files.tokenizer = tokenizer_beside(detector);
  return files;
}

/// All of them make one model; what they say of it is filled in.
ModelFiles check_files(ModelFiles files) {
  std::string problems;
  std::optional<ComponentFile> first;
  for (const auto& [component, path] : files.components) {
    ComponentFile file = read_component(path, std::string(name_of(component)), problems);
    if (first) {
      compare(*first, file, problems);
    } else {
      first = std::move(file);
    }
  }
  std::error_code ignored;
  if (!fs::is_regular_file(files.tokenizer, ignored)) {
    problems += "\n  " + files.tokenizer.string() + ": the tokenizer is missing";
  }
  const auto semantics = semantics_of(*first);
  if (!first->metadata.empty() && !semantics) {
    problems += "\n  " + first->path.string() + ": expected the semantics hf or meta, found '" +
                value_of(first->metadata, "semantics") + "'";
  }
  if (!problems.empty()) {
    throw_bad_input(std::string("the graphs do not make one model; ") + kExportHint + ":" +
                    problems);
  }
  files.semantics = *semantics;
  files.checkpoint_sha256 = value_of(first->metadata, "checkpoint_sha256");
  files.config =
      parse_model_config(value_of(first->metadata, "config"),
                         files.at(Component::kVisionEncoder).string() + ": sam3trt.config");
  return files;
}

}  // namespace

std::string_view semantics_name(Semantics semantics) {
  return semantics == Semantics::kHf ? "hf" : "meta";
}

std::string_view extension_of(ModelForm form) {
  return form == ModelForm::kEngines ? ".engine" : ".onnx";
}

ModelForm form_of_folder(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (is_engine(entry->path())) return ModelForm::kEngines;
  }
  return ModelForm::kGraphs;
}

bool ModelFiles::has_all_of(Task task) const {
  return std::ranges::all_of(sam3trt::components(), [&](const ComponentInfo& info) {
    return !serves(info.id, task) || has(info.id);
  });
}

const fs::path& ModelFiles::at(Component component) const {
  const auto found = components.find(component);
  if (found != components.end()) return found->second;
  throw Error(ErrorCode::kInternal, "no " + std::string(name_of(component)) + " was found");
}

ModelFiles find_model_files(const fs::path& folder, std::optional<ModelForm> form,
                            const FolderWords& words) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    throw_bad_input(words.option + " " + folder.string() +
                    ": expected the folder that 'sam3trt export --component all' wrote, found " +
                    (fs::exists(folder, ignored) ? "a file" : "nothing"));
  }
  const Candidates candidates = list_candidates(folder, form.value_or(form_of_folder(folder)));
  const fs::path vision_encoder = only_one(folder, candidates, "vision_encoder", words);
  ModelFiles files =
      detector_files(vision_encoder, only_one(folder, candidates, "detector", words));
  for (const ComponentInfo& info : components()) {
    const std::string name(info.name);
    if (serves(info.id, Task::kDetect) || !candidates.by_component.contains(name)) continue;
    files.components[info.id] = only_one(folder, candidates, name, words);
  }
  return check_files(std::move(files));
}

ModelFiles find_model_files(const fs::path& vision_encoder, const fs::path& detector,
                            const std::map<Component, fs::path>& others) {
  ModelFiles files = detector_files(vision_encoder, detector);
  files.components.insert(others.begin(), others.end());
  return check_files(std::move(files));
}

}  // namespace sam3trt
