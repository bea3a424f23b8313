#include "checkpoint/checkpoint.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.hpp"
#include "base/half.hpp"
#include "base/log.hpp"
#include "base/mapped_file.hpp"
#include "base/sha256.hpp"
#include "checkpoint/config_json.hpp"
#include "checkpoint/config_shapes.hpp"
#include "checkpoint/finite.hpp"
#include "checkpoint/name_list.hpp"
#include "checkpoint/pad_token.hpp"
#include "checkpoint/plan.hpp"
#include "checkpoint/strict_json.hpp"
#include "checkpoint/tensor_file.hpp"
#include "checkpoint/torch_file.hpp"
#include "checkpoint/wrapped_names.hpp"

namespace sam3trt {

struct Checkpoint::State {
  /// Where a weight lies in the file's tensors.
  struct Origin {
    size_t tensor = 0;
    int64_t offset = 0;
  };

  TensorFile file;
  Sam3Config config;
  std::deque<std::vector<std::byte>> owned;  ///< Copies of tensors that are stored with strides.
  std::map<std::string, WeightView, std::less<>> weights;
  std::map<std::string, Origin> origins;  ///< Of the weights, by their names.
  mutable std::string sha256;
};

namespace {

namespace fs = std::filesystem;

// LayerNorm epsilon of the vision transformer: Meta's code (sam3, model/vitdet.py and its builder)
// and Hugging Face's default (transformers, models/sam3/configuration_sam3.py).
constexpr double kMetaVisionEps = 1e-5;
constexpr double kHuggingFaceVisionEps = 1e-6;

/// transformers looks for "image_processor" in processor_config.json first
/// (image_processing_base.py, get_image_processor_dict).
PreprocessConfig read_preprocess(const fs::path& folder, int64_t image_size) {
  if (const fs::path path = folder / "processor_config.json"; file_exists(path)) {
    const auto json = read_json_file(path);
    if (json.is_object() && json.contains("image_processor")) {
      return parse_preprocess_json(json, path.string(), image_size);
    }
  }
  const fs::path path = folder / "preprocessor_config.json";
  if (!file_exists(path)) return {};
  return parse_preprocess_json(read_json_file(path), path.string(), image_size);
}

Sam3Config read_folder_config(const TensorFile& file, bool tracker) {
  const fs::path path = file.folder / "config.json";
  if (!file_exists(path)) {
    throw_bad_input(path.string() + ": is missing; it holds the sizes of " +
                    file.path.filename().string() + ", copy it from the checkpoint's repository");
  }
  Sam3Config config = parse_config_json(read_json_file(path), path.string(), tracker);
  config.preprocess = read_preprocess(file.folder, config.vision.image_size);
  return config;
}

/// Sets what depends on the semantics. `from_json` says whether a config.json gave the epsilon.
void apply_semantics(const TensorFile& file, bool from_json, Sam3Config& config) {
  if (config.semantics == Semantics::kMeta) {
    config.vision.layer_norm_eps = kMetaVisionEps;
    config.text.pad_token_id = 0;
    // Meta's tracker reads a mask at the size of what its memory encoder reads.
    if (config.tracker) config.tracker->mask_prompt_size = 16 * config.vision.grid();
    return;
  }
  if (!from_json) {
    config.vision.layer_norm_eps = kHuggingFaceVisionEps;
    if (config.tracker) config.tracker->recondition_on_trk_masks = true;
  }
  config.text.pad_token_id = find_pad_token(file.folder).value_or(config.text.eos_token_id);
  if (config.text.pad_token_id < 0 || config.text.pad_token_id >= config.text.vocabulary) {
    throw_bad_input(file.folder.string() + ": the tokenizer pads with id " +
                    std::to_string(config.text.pad_token_id) + ", but the model knows only " +
                    std::to_string(config.text.vocabulary) + " ids");
  }
}

/// Says which of several models in one file is taken; refuses one without a mask head. Returns
/// whether the model has a tracker.
bool check_model_names(const TensorFile& file, Naming naming) {
  for (const std::string& note : file.notes) log(LogLevel::kWarning, note);
  const ModelNames model = unwrap_names(file.tensors, naming);
  if (naming == Naming::kHuggingFace) {
    refuse_without_mask_head(model.names, naming, file.path.string());
  }
  const bool tracker = has_tracker(model.names, naming);
  if (is_multiplex(model.names)) {
    log(LogLevel::kWarning, file.path.string() +
                                ": is SAM 3.1: its detector and its clicks are used; its tracker, "
                                "which follows objects in groups of 16, is not supported yet");
  }
  if (model.other_prefixes.empty()) return tracker;
  const auto quoted = [](const std::string& prefix) { return "\"" + prefix + "\""; };
  std::string others;
  for (const std::string& prefix : model.other_prefixes) {
    others += (others.empty() ? "" : ", ") + quoted(prefix);
  }
  log(LogLevel::kWarning, file.path.string() + ": holds several models; the one under " +
                              quoted(model.prefix) + " is taken, not " + others +
                              "; save another one alone to export it");
  return tracker;
}

/// The planned tensors as views; those that are not stored densely are copied into `owned`.
class Views {
 public:
  Views(const TensorFile& file, std::deque<std::vector<std::byte>>& owned)
      : file_(file), owned_(owned) {
    for (const MappedFile& mapped : file.files) budget_ += mapped.bytes().size();
  }

  WeightView view(const PlannedTensor& tensor) {
    const StoredTensor& source = file_.tensors[tensor.source];
    const size_t item = size_of(*source.dtype);
    const auto bytes = source.strides.empty() ? source.bytes : dense(tensor.source);
    return {*source.dtype, tensor.shape,
            bytes.subspan(static_cast<size_t>(tensor.offset) * item,
                          static_cast<size_t>(element_count(tensor.shape)) * item)};
  }

 private:
  std::span<const std::byte> dense(size_t source) {
    const auto done = copies_.find(source);
    if (done != copies_.end()) return done->second;
    // Storages may be shared, so a small file could ask for large copies again and again.
    const StoredTensor& tensor = file_.tensors[source];
    const size_t size = tensor.bytes.size();
    if (size > budget_) {
      throw_bad_input(file_.path.string() + ": tensor \"" + tensor.name +
                      "\": the copies of tensors that are not contiguous exceed the file's size; "
                      "save the file again after .contiguous()");
    }
    budget_ -= size;
    owned_.push_back(make_dense(tensor, file_.path.string()));
    copies_.emplace(source, owned_.back());
    return owned_.back();
  }

  const TensorFile& file_;
  std::deque<std::vector<std::byte>>& owned_;
  std::map<size_t, std::span<const std::byte>> copies_;
  size_t budget_ = 0;
};

}  // namespace

std::vector<float> WeightView::to_f32() const {
  const auto count = static_cast<size_t>(element_count(shape));
  std::vector<float> values(count);
  if (dtype == DType::kF32) {
    if (count > 0) std::memcpy(values.data(), bytes.data(), count * sizeof(float));
    return values;
  }
  if (dtype == DType::kF64) {
    for (size_t i = 0; i < count; ++i) {
      double value = 0.0;
      std::memcpy(&value, bytes.data() + i * sizeof(value), sizeof(value));
      values[i] = static_cast<float>(value);
    }
    return values;
  }
  if (dtype != DType::kF16 && dtype != DType::kBF16) {
    throw Error(ErrorCode::kInternal,
                "a weight of type " + std::string(name_of(dtype)) + " cannot be read as f32");
  }
  const bool half = dtype == DType::kF16;
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + i * sizeof(bits), sizeof(bits));
    values[i] = half ? f16_to_f32(bits) : bf16_to_f32(bits);
  }
  return values;
}

Checkpoint Checkpoint::open(const fs::path& path, std::optional<Semantics> semantics) {
  auto state = std::make_unique<State>();
  state->file = open_tensor_file(path);
  const TensorFile& file = state->file;
  const Naming naming = detect_naming(file.tensors, file.path.string());
  const bool tracker = check_model_names(file, naming);
  const bool from_json = naming == Naming::kHuggingFace;
  state->config = from_json ? read_folder_config(file, tracker)
                            : infer_meta_config(file.tensors, file.path.string());
  if (semantics) state->config.semantics = *semantics;
  apply_semantics(file, from_json, state->config);
  const TensorPlan plan = plan_tensors(file.tensors, naming, state->config, file.path.string());
  Views views(file, state->owned);
  for (const PlannedTensor& tensor : plan.tensors) {
    state->weights.emplace(tensor.name, views.view(tensor));
    state->origins.emplace(tensor.name, State::Origin{tensor.source, tensor.offset});
  }
  return Checkpoint(std::move(state));
}

Checkpoint::Checkpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

const Sam3Config& Checkpoint::config() const { return state_->config; }

const fs::path& Checkpoint::folder() const { return state_->file.folder; }

WeightView Checkpoint::weight(std::string_view name) const {
  const auto found = state_->weights.find(name);
  if (found == state_->weights.end()) {
    throw Error(ErrorCode::kInternal,
                "the checkpoint has no tensor \"" + std::string(name) + "\" in its internal list");
  }
  return found->second;
}

bool Checkpoint::has(std::string_view name) const { return state_->weights.contains(name); }

std::vector<NonFiniteWeight> Checkpoint::non_finite_weights() const {
  // Parts of one tensor of the file are told together.
  std::map<std::string, NonFiniteWeight> found;
  for (const auto& [name, view] : state_->weights) {
    const NonFiniteCount counted = count_non_finite(view.bytes, view.dtype);
    if (counted.count == 0) continue;
    const State::Origin& origin = state_->origins.at(name);
    const StoredTensor& tensor = state_->file.tensors[origin.tensor];
    const int64_t first = origin.offset + counted.first;
    const auto [at, fresh] = found.emplace(
        tensor.name, NonFiniteWeight{tensor.name, tensor.shape, counted.count, first});
    if (fresh) continue;
    at->second.count += counted.count;
    at->second.first = std::min(at->second.first, first);
  }
  std::vector<NonFiniteWeight> list;
  list.reserve(found.size());
  for (auto& [name, weight] : found) list.push_back(std::move(weight));
  return list;
}

void Checkpoint::check_finite() const {
  std::vector<std::string> lines;
  for (const NonFiniteWeight& weight : non_finite_weights()) {
    lines.push_back(weight.name + ": " + std::to_string(weight.count) + " of " +
                    std::to_string(element_count(weight.shape)) + " values, the first at index " +
                    std::to_string(weight.first));
  }
  if (lines.empty()) return;
  throw_bad_input(state_->file.path.string() +
                  ": not all of its weights are finite float32 numbers, as after a training that "
                  "diverged; use an earlier checkpoint" +
                  listed_names("with NaN or infinity", lines));
}

const std::string& Checkpoint::sha256() const {
  if (state_->sha256.empty()) {
    Sha256 hash;
    for (const MappedFile& file : state_->file.files) hash.update(file.bytes());
    state_->sha256 = hash.hex_digest();
  }
  return state_->sha256;
}

}  // namespace sam3trt
