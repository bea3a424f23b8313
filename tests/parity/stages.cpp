#include "stages.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "image/image.hpp"
#include "image/resize.hpp"
#include "model/export.hpp"
#include "openvino/openvino_engine.hpp"
#include "runtime/prompt_batch.hpp"

namespace sam3trt::parity {
namespace {

void run_graph(Engine& engine, Tensors& tensors) {
  TensorMap inputs;
  for (const TensorInfo& input : engine.inputs()) inputs[input.name] = &tensors.at(input.name);
  for (auto& [name, tensor] : engine.run(inputs)) tensors.insert_or_assign(name, std::move(tensor));
}

/// 1 up to and including the end mark.
std::vector<float> text_mask(std::span<const int64_t> ids, int64_t end_mark) {
  const auto end = std::find(ids.begin(), ids.end(), end_mark);
  std::vector<float> mask(ids.size());
  std::fill_n(mask.begin(), (end - ids.begin()) + 1, 1.0F);
  return mask;
}

}  // namespace

ModelFiles export_model(const Reference& reference) {
  ExportRequest request;
  request.checkpoint = checkpoint_of(reference);
  request.component = "all";
  request.output = std::filesystem::path(testing::TempDir()) / ("graphs_" + name_of(reference));
  export_component(request);
  return find_model_files(request.output);
}

SessionEngines load_on_cpu(const ModelFiles& files) {
  return load_engines(files,
                      [](const std::filesystem::path& path) { return load_openvino_engine(path); });
}

Prompt prompt_of(const GoldenPrompt& golden) {
  Prompt prompt;
  prompt.text = golden.text;
  for (size_t i = 0; i < golden.boxes.size(); ++i) {
    prompt.boxes.push_back({golden.boxes[i], golden.labels[i] == 1});
  }
  return prompt;
}

Stages::Stages(const ModelFiles& files)
    : config_(files.config), semantics_(files.semantics), engines_(load_on_cpu(files)) {}

Tensors Stages::run(const Goldens& goldens, const GoldenPrompt& golden) {
  const Image picture{config_.image_size, config_.image_size, goldens.pixels(golden.image)};
  const Prompt prompts[] = {prompt_of(golden)};
  Tensors tensors;
  tensors["pixel_values"] =
      to_pixel_values(picture, config_.rescale_factor, config_.image_mean, config_.image_std);
  tensors["input_ids"] = goldens.input_ids(golden);
  tensors["image_index"] = Tensor(DType::kI64, {1});
  tensors["prompt_index"] = Tensor(DType::kI64, {1});
  Tensor queries(DType::kI64, {1, config_.num_queries});
  std::iota(queries.i64().begin(), queries.i64().end(), int64_t{0});
  tensors["query_index"] = std::move(queries);
  const std::array<int64_t, 2> sizes[] = {{golden.width, golden.height}};
  GeometryInputs geometry = make_geometry_inputs(prompts, sizes, config_);
  tensors["boxes"] = std::move(geometry.boxes);
  tensors["box_labels"] = std::move(geometry.box_labels);
  tensors["box_mask"] = std::move(geometry.box_mask);
  tensors["pool_y"] = std::move(geometry.pool_y);
  tensors["pool_x"] = std::move(geometry.pool_x);
  const std::vector<float> masks[] = {
      text_mask(tensors.at("input_ids").i64(), config_.eos_token_id)};
  tensors["prompt_mask"] = make_prompt_mask(prompts, masks, semantics_);
  for (const ComponentInfo& info : components()) {
    if (serves(info.id, Task::kDetect)) run_graph(engines_.at(info.id), tensors);
  }
  return tensors;
}

}  // namespace sam3trt::parity
