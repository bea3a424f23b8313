#include "checkpoint/checkpoint.hpp"

#include <cstring>
#include <map>
#include <utility>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "base/half.hpp"
#include "base/log.hpp"
#include "base/mapped_file.hpp"
#include "base/sha256.hpp"
#include "checkpoint/config_json.hpp"
#include "checkpoint/plan.hpp"
#include "checkpoint/strict_json.hpp"
#include "checkpoint/tensor_file.hpp"

namespace sam3trt {

struct Checkpoint::State {
  TensorFile file;
  Sam3Config config;
  std::map<std::string, WeightView, std::less<>> weights;
  mutable std::string sha256;
};

namespace {

namespace fs = std::filesystem;

Sam3Config read_folder_config(const TensorFile& file) {
  const fs::path path = file.folder / "config.json";
  if (!fs::exists(path)) {
    throw_bad_input(path.string() + ": is missing; the sizes of " + file.path.filename().string() +
                    " stand there, copy it from the checkpoint's repository");
  }
  Sam3Config config = parse_config_json(read_json_file(path), path.string());
  for (const char* name : {"preprocessor_config.json", "processor_config.json"}) {
    const fs::path preprocess = file.folder / name;
    if (!fs::exists(preprocess)) continue;
    config.preprocess = parse_preprocess_json(read_json_file(preprocess), preprocess.string());
    break;
  }
  return config;
}

}  // namespace

std::vector<float> WeightView::to_f32() const {
  const auto count = static_cast<size_t>(element_count(shape));
  std::vector<float> values(count);
  if (dtype == DType::kF32) {
    if (count > 0) std::memcpy(values.data(), bytes.data(), count * sizeof(float));
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
  state->config = read_folder_config(file);
  const TensorPlan plan = plan_tensors(file.tensors, naming, state->config, file.path.string());
  for (const PlannedTensor& tensor : plan.tensors) {
    const StoredTensor& source = file.tensors[tensor.source];
    const size_t item = size_of(*source.dtype);
    const auto bytes =
        source.bytes.subspan(static_cast<size_t>(tensor.offset) * item,
                             static_cast<size_t>(element_count(tensor.shape)) * item);
    state->weights.emplace(tensor.name, WeightView{*source.dtype, tensor.shape, bytes});
  }
  if (semantics && *semantics != state->config.semantics) {
    // The file tells the epsilon of its own side only; the other side's is its code's default.
    state->config.semantics = *semantics;
    state->config.vision.layer_norm_eps = *semantics == Semantics::kMeta ? 1e-5 : 1e-6;
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

const std::string& Checkpoint::sha256() const {
  if (state_->sha256.empty()) {
    Sha256 hash;
    for (const MappedFile& file : state_->file.files) hash.update(file.bytes());
    state_->sha256 = hash.hex_digest();
  }
  return state_->sha256;
}

}  // namespace sam3trt
