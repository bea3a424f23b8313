#include "stages.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "image/image.hpp"
#include "image/resize.hpp"
#include "openvino/openvino_engine.hpp"

namespace sam3trt::parity {
namespace {

constexpr GraphKind kAllGraphs[] = {GraphKind::kVisionEncoder, GraphKind::kTextEncoder,
                                    GraphKind::kGeometryEncoder, GraphKind::kDetector,
                                    GraphKind::kMaskHead};

/// One axis of RoIAlign as a matrix [bins, grid], sample by sample as torchvision 0.2x defines it
/// (csrc/ops/cpu/roi_align_kernel.cpp and roi_align_common.h; aligned=False, sampling_ratio=-1).
void fill_pooling(std::span<float> matrix, int64_t bins, int64_t grid, float start, float end) {
  const float length = std::max(end - start, 1.0F);
  const float bin = length / static_cast<float>(bins);
  const auto samples = static_cast<int64_t>(std::ceil(bin));
  const float share = 1.0F / static_cast<float>(samples);
  for (int64_t row = 0; row < bins; ++row) {
    for (int64_t i = 0; i < samples; ++i) {
      float at = start + static_cast<float>(row) * bin +
                 (static_cast<float>(i) + 0.5F) * bin / static_cast<float>(samples);
      if (at < -1.0F || at > static_cast<float>(grid)) continue;
      at = std::clamp(at, 0.0F, static_cast<float>(grid - 1));
      const auto low = static_cast<int64_t>(at);
      const float high_weight = at - static_cast<float>(low);
      matrix[static_cast<size_t>(row * grid + low)] += share * (1.0F - high_weight);
      if (low + 1 < grid) matrix[static_cast<size_t>(row * grid + low + 1)] += share * high_weight;
    }
  }
}

}  // namespace

Stages::Stages(const Checkpoint& checkpoint, const std::filesystem::path& folder)
    : config_(checkpoint.config()) {
  std::filesystem::create_directories(folder);
  for (const GraphKind kind : kAllGraphs) {
    const auto path = folder / (std::string(sam3trt::name_of(kind)) + ".onnx");
    write_graph(checkpoint, kind, path);
    engines_[kind] = load_openvino_engine(path);
  }
}

void Stages::run_graph(GraphKind kind, Tensors& tensors) {
  Engine& engine = *engines_.at(kind);
  TensorMap inputs;
  for (const TensorInfo& input : engine.inputs()) inputs[input.name] = &tensors.at(input.name);
  for (auto& [name, tensor] : engine.run(inputs)) tensors.insert_or_assign(name, std::move(tensor));
}

void Stages::add_geometry_inputs(const GoldenPrompt& prompt, Tensors& tensors) const {
  const int64_t slots = std::max<int64_t>(1, static_cast<int64_t>(prompt.boxes.size()));
  const int64_t grid = config_.vision.grid();
  const int64_t bins = config_.roi_size;
  Tensor boxes(DType::kF32, {1, slots, 4});
  Tensor labels(DType::kI64, {1, slots});
  Tensor mask(DType::kF32, {1, slots});
  Tensor pool_y(DType::kF32, {1, slots, bins, grid});
  Tensor pool_x(DType::kF32, {1, slots, bins, grid});
  for (size_t slot = 0; slot < prompt.boxes.size(); ++slot) {
    const auto& corners = prompt.boxes[slot];
    const auto width = static_cast<float>(prompt.width);
    const auto height = static_cast<float>(prompt.height);
    const float x0 = static_cast<float>(corners[0]) / width;
    const float y0 = static_cast<float>(corners[1]) / height;
    const float x1 = static_cast<float>(corners[2]) / width;
    const float y1 = static_cast<float>(corners[3]) / height;
    const float box[4] = {(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0};
    std::copy_n(box, 4, boxes.f32().subspan(slot * 4).begin());
    labels.i64()[slot] = prompt.labels[slot];
    mask.f32()[slot] = 1;
    const auto size = static_cast<size_t>(bins * grid);
    const auto scale = static_cast<float>(grid);
    fill_pooling(pool_x.f32().subspan(slot * size, size), bins, grid,
                 (box[0] - 0.5F * box[2]) * scale, (box[0] + 0.5F * box[2]) * scale);
    fill_pooling(pool_y.f32().subspan(slot * size, size), bins, grid,
                 (box[1] - 0.5F * box[3]) * scale, (box[1] + 0.5F * box[3]) * scale);
  }
  tensors["boxes"] = std::move(boxes);
  tensors["box_labels"] = std::move(labels);
  tensors["box_mask"] = std::move(mask);
  tensors["pool_y"] = std::move(pool_y);
  tensors["pool_x"] = std::move(pool_x);
}

void Stages::add_prompt_mask(const GoldenPrompt& prompt, Tensors& tensors) const {
  const std::span<const int64_t> ids = tensors.at("input_ids").i64();
  const auto end = std::find(ids.begin(), ids.end(), config_.text.eos_token_id);
  const auto valid = static_cast<size_t>(end - ids.begin()) + 1;
  const size_t slots = static_cast<size_t>(tensors.at("boxes").dim(1));
  Tensor mask(DType::kF32, {1, static_cast<int64_t>(ids.size() + slots + 1)});
  std::fill_n(mask.f32().begin(), valid, 1.0F);
  if (!prompt.boxes.empty()) std::fill_n(mask.f32().begin() + std::ssize(ids), slots, 1.0F);
  const bool has_cls = !prompt.boxes.empty() || config_.semantics == Semantics::kMeta;
  mask.f32().back() = has_cls ? 1.0F : 0.0F;
  tensors["prompt_mask"] = std::move(mask);
}

Tensors Stages::run(const Goldens& goldens, const GoldenPrompt& prompt) {
  const int64_t side = config_.vision.image_size;
  const Image picture{side, side, goldens.pixels(prompt.image)};
  Tensors tensors;
  tensors["pixel_values"] = to_pixel_values(picture, config_.preprocess.rescale_factor,
                                            config_.preprocess.mean, config_.preprocess.std);
  tensors["input_ids"] = goldens.input_ids(prompt);
  tensors["image_index"] = Tensor(DType::kI64, {1});
  tensors["prompt_index"] = Tensor(DType::kI64, {1});
  tensors["query_index"] = Tensor(DType::kI64, {1, config_.queries});
  const std::span<int64_t> queries = tensors["query_index"].i64();
  std::iota(queries.begin(), queries.end(), int64_t{0});
  add_geometry_inputs(prompt, tensors);
  add_prompt_mask(prompt, tensors);
  for (const GraphKind kind : kAllGraphs) run_graph(kind, tensors);
  return tensors;
}

}  // namespace sam3trt::parity
