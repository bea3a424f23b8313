#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/semantics.hpp"
#include "base/tracker_config.hpp"
#include "components/components.hpp"

namespace sam3trt {

/// What the graphs say about the model they hold (`sam3trt.config` in docs/graphs.md).
struct ModelConfig {
  int64_t image_size = 0;  ///< Pixels; images are square.
  int64_t patch_size = 0;
  int64_t grid = 0;  ///< image_size / patch_size
  int64_t detector_width = 0;
  int64_t context_length = 0;  ///< Text tokens, start and end marks included.
  int64_t num_queries = 0;
  int64_t roi_size = 0;
  std::array<double, 3> image_mean = {};
  std::array<double, 3> image_std = {};
  double rescale_factor = 0;
  int64_t bos_token_id = 0;
  int64_t eos_token_id = 0;
  int64_t pad_token_id = 0;
  std::optional<TrackerConfig> tracker;  ///< None: the model detects only.
};

/// Parses and checks the JSON text; `where` appears in messages. Throws Error(kBadInput) that lists
/// everything wrong.
[[nodiscard]] ModelConfig parse_model_config(std::string_view json, const std::string& where);

/// Whether a model lies there as ONNX graphs or as TensorRT engines.
enum class ModelForm { kGraphs, kEngines };

/// ".onnx" or ".engine".
[[nodiscard]] std::string_view extension_of(ModelForm form);

/// The files of one model, all from the same checkpoint.
struct ModelFiles {
  ModelForm form = ModelForm::kGraphs;
  std::map<Component, std::filesystem::path> components;  ///< A graph or an engine each.
  std::filesystem::path tokenizer;
  ModelConfig config;
  Semantics semantics = Semantics::kHf;
  std::string checkpoint_sha256;

  [[nodiscard]] bool has(Component component) const { return components.contains(component); }

  /// Whether all components that a task needs are there.
  [[nodiscard]] bool has_all_of(Task task) const;

  /// The graph or engine of a component; throws Error(kInternal) when it is not there.
  [[nodiscard]] const std::filesystem::path& at(Component component) const;
};

/// How messages about a folder speak to its user.
struct FolderWords {
  std::string option = "--model";  ///< That named it.
  /// What to do when it holds a component twice.
  std::string choose = "keep one of them there, or name the files in place of the folder";
};

/// The model in `folder`, as engines when it holds any and `form` does not ask for graphs: the one
/// vision encoder, the one detector and the components of tracking by their metadata, those beside
/// the detector by name. A folder without components of tracking is a model that detects. Engines
/// say what they are by their manifests. Throws Error(kBadInput) when one is missing, twice there,
/// damaged, of another format version or of another checkpoint. Graphs that were written to
/// calibrate another one are no components.
[[nodiscard]] ModelFiles find_model_files(const std::filesystem::path& folder,
                                          std::optional<ModelForm> form = std::nullopt,
                                          const FolderWords& words = {});

/// The same from two files: the other components of detection lie beside the detector, and those of
/// clicks and videos are `others`. All must be graphs or all engines.
[[nodiscard]] ModelFiles find_model_files(
    const std::filesystem::path& vision_encoder, const std::filesystem::path& detector,
    const std::map<Component, std::filesystem::path>& others = {});

/// "hf" or "meta".
[[nodiscard]] std::string_view semantics_name(Semantics semantics);

}  // namespace sam3trt
