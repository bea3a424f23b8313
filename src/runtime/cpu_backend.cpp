#include "runtime/cpu_backend.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.hpp"
#include "base/half.hpp"
#include "base/pack_above.hpp"
#include "base/parallel.hpp"
#include "image/mask_cleanup.hpp"
#include "image/resize.hpp"
#include "image/rle.hpp"
#include "runtime/plane_overlap.hpp"
#include "runtime/stage.hpp"

namespace sam3trt {
namespace {

using Tensors = std::map<std::string, Tensor>;

/// Nobody reads it.
constexpr std::string_view kUnread = "semantic_seg";
constexpr std::string_view kOptional = "vision_features";

/// Row `index` of a tensor whose first axis counts rows.
std::span<const float> row_of(const Tensor& tensor, size_t index) {
  const size_t size = tensor.f32().size() / static_cast<size_t>(tensor.dim(0));
  return tensor.f32().subspan(index * size, size);
}

/// One of the planes of side x side that a tensor holds one after another.
std::span<const float> plane_of(const Tensor& tensor, size_t plane, int64_t side) {
  const auto area = static_cast<size_t>(side * side);
  return tensor.f32().subspan(plane * area, area);
}

FoundMask found_mask(std::span<const uint8_t> mask, int64_t height, int64_t width) {
  FoundMask found;
  found.counts = rle_counts(mask, height, width);
  found.area = rle_area(found.counts);
  return found;
}

std::vector<FoundMask> read_masks(const Tensor& tensor, std::span<const MaskPlane> wanted,
                                  int64_t side, Semantics semantics, float threshold) {
  std::vector<FoundMask> found;
  for (const auto& [plane, height, width] : wanted) {
    const auto mask =
        binary_mask(plane_of(tensor, plane, side), side, width, height, semantics, threshold);
    found.push_back(found_mask(mask, height, width));
  }
  return found;
}

class HostFeatures : public FeatureStore {
 public:
  explicit HostFeatures(Tensors all) : tensors(std::move(all)) {}
  [[nodiscard]] size_t size_bytes() const override {
    size_t bytes = 0;
    for (const auto& [name, tensor] : tensors) bytes += tensor.bytes().size();
    return bytes;
  }

  Tensors tensors;
};

}  // namespace

void SessionEngines::set(Component component, std::unique_ptr<Engine> engine) {
  engines_[component] = {std::move(engine), {}};
}

void SessionEngines::set_later(Component component, Maker maker) {
  engines_[component] = {nullptr, std::move(maker)};
}

Engine& SessionEngines::at(Component component) const {
  const auto found = engines_.find(component);
  if (found == engines_.end()) {
    throw_without(component, "export the whole checkpoint with 'sam3trt export --component all'");
  }
  Entry& entry = found->second;
  if (!entry.engine) entry.engine = entry.maker();
  return *entry.engine;
}

std::unique_ptr<Engine> SessionEngines::take(Component component) {
  static_cast<void>(at(component));
  auto entry = engines_.extract(component);
  return std::move(entry.mapped().engine);
}

CpuBackend::CpuBackend(std::shared_ptr<SharedEngines> engines, const ModelConfig& config,
                       Semantics semantics, const SessionLimits& limits)
    : engines_(std::move(engines)), config_(config), semantics_(semantics), limits_(limits) {}

CallLimits CpuBackend::limits() const {
  CallLimits limits;
  limits.prompts = limits_.prompts;
  limits.masks = limits_.masks;
  limits.objects = 1 << 10;  // as many as callers like to put together
  return limits;
}

void CpuBackend::check(const PreparedCall& /*call*/, MaskOutput masks) const {
  if (masks == MaskOutput::kRunLengths) return;
  throw_bad_input("masks as bits in device memory need a GPU, and this model runs on the CPU");
}

void CpuBackend::check(const ImageView& image) const {
  if (image.memory == MemoryKind::kHost) return;
  throw_bad_input("an image lies in device memory, and this model runs on the CPU");
}

void CpuBackend::begin() {
  std::erase_if(tensors_, [](const auto& entry) {
    const auto& kept = info_of(Component::kTrackerNeck).outputs;
    return std::ranges::find(kept, entry.first, &ComponentTensor::name) == kept.end();
  });
}

void CpuBackend::load_images(std::span<const ImageView> images) {
  tensors_["pixel_values"] = to_pixel_values(
      resize_antialias(to_image(images.front()), config_.image_size, config_.image_size),
      config_.rescale_factor, config_.image_mean, config_.image_std);
}

void CpuBackend::put(Component /*component*/, const std::string& name, const Tensor& tensor) {
  tensors_[name] = tensor;
}

void CpuBackend::put_zeros(const std::string& name, const Shape& shape) {
  tensors_[name] = Tensor(DType::kF32, shape);
}

void CpuBackend::put_output(Component /*component*/, const std::string& name, Component from,
                            const std::string& output) {
  tensors_[name] = get(from, output);
}

void CpuBackend::put_resized(Component /*component*/, const std::string& name,
                             std::span<const ResizedPlane> planes, int64_t side) {
  tensors_[name] = resize_planes(planes, side);
}

void CpuBackend::put_kept(Component /*component*/, const std::string& name,
                          std::span<const std::shared_ptr<const KeptTensor>> kept,
                          const Shape& shape) {
  Tensor tensor(DType::kF32, shape);
  const std::span<float> values = tensor.f32();
  size_t filled = 0;
  for (const auto& entry : kept) {
    if (!entry && !kept.empty()) {
      filled += values.size() / kept.size();
      continue;
    }
    const auto* host = dynamic_cast<const HostKeptTensor*>(entry.get());
    if (host == nullptr || host->count() > values.size() - filled) break;
    std::ranges::transform(host->values(), values.subspan(filled).begin(), bf16_to_f32);
    filled += host->count();
  }
  if (filled != values.size()) {
    throw Error(ErrorCode::kInternal, name + ": what is kept does not fill " + to_string(shape));
  }
  tensors_[name] = std::move(tensor);
}

void CpuBackend::put_texts(const PromptBatch& batch, const PreparedCall& call) {
  encode_missing(batch, call);
  Tensor features(DType::kF32, {static_cast<int64_t>(batch.rows.size()), config_.context_length,
                                config_.detector_width});
  auto target = features.f32().begin();
  for (const PromptRow& row : batch.rows) {
    target = std::ranges::copy(texts_.find(row.text)->second, target).out;
  }
  tensors_["text_features"] = std::move(features);
}

void CpuBackend::encode_missing(const PromptBatch& batch, const PreparedCall& call) {
  if (texts_.size() + batch.rows.size() > limits_.texts) texts_.clear();
  std::vector<std::string> fresh;
  for (const PromptRow& row : batch.rows) {
    if (texts_.contains(row.text) || std::ranges::find(fresh, row.text) != fresh.end()) continue;
    fresh.push_back(row.text);
  }
  if (fresh.empty()) return;
  const auto rows = static_cast<int64_t>(fresh.size());
  Tensor ids(DType::kI64, {rows, config_.context_length});
  auto target = ids.i64().begin();
  for (const std::string& text : fresh) {
    target = std::ranges::copy(call.texts.find(text)->second.ids, target).out;
  }
  AxisSizes sizes = model_sizes(config_);
  sizes["P"] = rows;
  const Tensors tensors = run_on(Component::kTextEncoder, {{"input_ids", &ids}}, sizes);
  for (size_t row = 0; row < fresh.size(); ++row) {
    const auto features = row_of(tensors.at("text_features"), row);
    texts_[fresh[row]] = {features.begin(), features.end()};
  }
}

void CpuBackend::run(Component component, const AxisSizes& sizes) {
  TensorMap inputs;
  for (const ComponentTensor& input : info_of(component).inputs) {
    inputs[std::string(input.name)] = &tensors_.at(std::string(input.name));
  }
  for (auto& [name, tensor] : run_on(component, inputs, sizes)) {
    tensors_.insert_or_assign(name, std::move(tensor));
  }
}

Tensors CpuBackend::run_on(Component component, const TensorMap& inputs, const AxisSizes& sizes) {
  std::vector<StageOutput> outputs;
  for (const ComponentTensor& output : info_of(component).outputs) {
    if (output.name == kUnread) continue;
    outputs.push_back({std::string(output.name), shape_of(output, sizes)});
  }
  const std::lock_guard turn(engines_->turn);
  Engine& engine = engines_->engines.at(component);
  // A model that only detects does not give the features that its other half would read.
  std::erase_if(outputs, [&](const StageOutput& output) {
    return output.name == kOptional &&
           std::ranges::find(engine.outputs(), output.name, &TensorInfo::name) ==
               engine.outputs().end();
  });
  return run_stage(engine, std::string(name_of(component)), inputs, outputs);
}

std::vector<Tensor> CpuBackend::read(Component component, std::span<const OutputPart> parts) {
  std::vector<Tensor> tensors;
  for (const OutputPart& part : parts) {
    const auto found = tensors_.find(part.output);
    if (found == tensors_.end()) {
      throw Error(ErrorCode::kInternal,
                  "the " + std::string(name_of(component)) + " has not given " + part.output);
    }
    const Shape shape = shape_of(part, found->second.shape());
    if (part.row_size == 0) {
      tensors.push_back(found->second);
      continue;
    }
    const auto size = static_cast<size_t>(part.row_size);
    Tensor& rows = tensors.emplace_back(DType::kF32, shape);
    auto target = rows.f32().begin();
    for (const size_t row : part.rows) {
      target = std::ranges::copy(found->second.f32().subspan(row * size, size), target).out;
    }
  }
  return tensors;
}

std::vector<std::shared_ptr<const KeptTensor>> CpuBackend::keep_rows(Component component,
                                                                     const std::string& output) {
  const Tensor tensor = get(component, output);
  std::vector<std::shared_ptr<const KeptTensor>> kept;
  for (size_t row = 0; row < static_cast<size_t>(tensor.dim(0)); ++row) {
    const auto values = row_of(tensor, row);
    std::vector<uint16_t> rounded(values.size());
    std::ranges::transform(values, rounded.begin(), f32_to_bf16);
    kept.push_back(std::make_shared<const HostKeptTensor>(std::move(rounded)));
  }
  return kept;
}

std::shared_ptr<const KeptTensor> CpuBackend::restore(std::span<const uint16_t> values) {
  return std::make_shared<const HostKeptTensor>(
      std::vector<uint16_t>(values.begin(), values.end()));
}

std::vector<PromptDetections> CpuBackend::detections(std::span<const std::array<int64_t, 2>> sizes,
                                                     float threshold) {
  std::vector<PromptDetections> found;
  for (size_t row = 0; row < sizes.size(); ++row) {
    const PromptLogits logits{row_of(tensors_.at("pred_logits"), row),
                              row_of(tensors_.at("presence_logits"), row).front(),
                              row_of(tensors_.at("pred_boxes"), row)};
    found.push_back({true, sigmoid(logits.presence),
                     select_detections(logits, threshold, sizes[row][0], sizes[row][1])});
  }
  return found;
}

std::vector<FoundMask> CpuBackend::masks(std::span<const MaskPlane> wanted, int64_t /*planes*/,
                                         int64_t side, float threshold, MaskOutput /*output*/) {
  return read_masks(tensors_.at("pred_masks"), wanted, side, semantics_, threshold);
}

std::vector<FoundMask> CpuBackend::object_masks(std::span<const MaskPlane> wanted,
                                                int64_t /*planes*/, int64_t side) {
  // Meta's order: logits are resized, and a probability above one half is a logit above 0.
  return read_masks(tensors_.at("sam_masks"), wanted, side, Semantics::kMeta, 0.5F);
}

std::vector<std::array<int64_t, 2>> CpuBackend::count_logits(std::span<const size_t> planes,
                                                             int64_t side, float high, float low) {
  const Tensor& masks = tensors_.at("sam_masks");
  std::vector<std::array<int64_t, 2>> counts;
  counts.reserve(planes.size());
  for (const size_t plane : planes) {
    const auto values = plane_of(masks, plane, side);
    counts.push_back({std::ranges::count_if(values, [&](float value) { return value > high; }),
                      std::ranges::count_if(values, [&](float value) { return value > low; })});
  }
  return counts;
}

std::vector<LogitPlane> CpuBackend::keep_planes(Component component, std::span<const size_t> planes,
                                                int64_t side) {
  const Tensor& masks = tensors_.at(masks_of(component));
  std::vector<LogitPlane> kept;
  kept.reserve(planes.size());
  for (const size_t plane : planes) {
    const auto values = plane_of(masks, plane, side);
    kept.emplace_back(std::vector<float>(values.begin(), values.end()));
  }
  return kept;
}

std::vector<std::vector<uint64_t>> CpuBackend::bits_above(Component component,
                                                          std::span<const size_t> planes,
                                                          int64_t side) {
  const Tensor& masks = tensors_.at(masks_of(component));
  std::vector<std::vector<uint64_t>> bits;
  bits.reserve(planes.size());
  for (const size_t plane : planes) {
    bits.push_back(pack_above(plane_of(masks, plane, side), 0.0F));
  }
  return bits;
}

std::vector<CleanedPlane> CpuBackend::clean_planes(std::span<const LogitPlane> planes, int64_t side,
                                                   int64_t max_area) {
  constexpr size_t kEach = 2;  // masks that are worth a thread: 0.1 ms each, of noise 1 ms
  std::vector<CleanedPlane> cleaned(planes.size());
  run_parallel(planes.size(), kEach, [&](size_t i) {
    const auto values = planes[i].values();
    std::vector<float> logits(values.begin(), values.end());
    clean_mask(logits, side, max_area);
    cleaned[i].bits = pack_above(logits, 0.0F);
    cleaned[i].plane = std::move(logits);
  });
  return cleaned;
}

std::vector<int64_t> CpuBackend::won_areas(std::span<const LogitPlane> planes) {
  return sam3trt::won_areas(planes);
}

std::vector<LogitPlane> CpuBackend::lowered_planes(std::span<const LogitPlane> planes, float most) {
  return sam3trt::lowered_planes(planes, most);
}

std::vector<FoundMask> CpuBackend::logit_masks(std::span<const LogitPlane> planes, int64_t side,
                                               std::array<int64_t, 2> size, LogitCut cut) {
  const int64_t width = size[0];
  const int64_t height = size[1];
  std::vector<FoundMask> found(planes.size());
  run_parallel(planes.size(), 1, [&](size_t i) {
    const auto plane = planes[i].values();
    const auto mask = cut == LogitCut::kAboveZero
                          ? positive_mask(plane, side, width, height)
                          : binary_mask(plane, side, width, height, Semantics::kMeta, 0.5F);
    found[i] = found_mask(mask, height, width);
  });
  return found;
}

std::unique_ptr<FeatureStore> CpuBackend::keep_features() {
  Tensors kept;
  for (const ComponentTensor& output : info_of(Component::kVisionEncoder).outputs) {
    const auto found = tensors_.find(std::string(output.name));
    if (found != tensors_.end()) kept.insert(*found);
  }
  return std::make_unique<HostFeatures>(std::move(kept));
}

void CpuBackend::use_features(const FeatureStore& features) {
  for (const auto& [name, tensor] : dynamic_cast<const HostFeatures&>(features).tensors) {
    tensors_[name] = tensor;
  }
}

void CpuBackend::timed(double Timings::*counter, const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  timings_.*counter +=
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

Timings CpuBackend::take_timings() { return std::exchange(timings_, {}); }

}  // namespace sam3trt
