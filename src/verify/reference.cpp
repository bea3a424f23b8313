#include "verify/reference.hpp"

#include <algorithm>
#include <numeric>

namespace sam3trt {
namespace {

/// As many as a picture has instances.
constexpr int64_t kMasks = 16;

using Tensors = std::map<std::string, Tensor>;

/// The first prompt alone; the features of the picture stay as they are.
Tensors first_prompt(const Tensors& tensors) {
  Tensors first;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with("fpn_feat")) {
      first[name] = tensor;
      continue;
    }
    Shape shape = tensor.shape();
    shape.at(0) = 1;
    Tensor row(tensor.dtype(), std::move(shape));
    std::ranges::copy(tensor.bytes().first(row.bytes().size()), row.bytes().begin());
    first[name] = std::move(row);
  }
  return first;
}

/// How many prompts the mask head gives masks of, and how many of each.
struct MaskCount {
  int64_t prompts = 1;
  int64_t masks = 1;
};

/// One call of the mask head on the first queries of the first prompts of a call of the detector,
/// put together from the other stages: in a run of the whole model it would depend on what passes
/// the threshold.
RecordedCall mask_head_call(const RecordedCall& vision, const RecordedCall& detector,
                            Engine& mask_head, MaskCount count) {
  RecordedCall call;
  for (const char* name : {"fpn_feat_0", "fpn_feat_1"}) {
    call.inputs[name] = vision.outputs.at(name);
  }
  for (const char* name : {"text_features", "geometry_features", "prompt_mask"}) {
    call.inputs[name] = detector.inputs.at(name);
  }
  for (const char* name : {"encoder_hidden_states", "query_features"}) {
    call.inputs[name] = detector.outputs.at(name);
  }
  call.inputs["image_index"] = Tensor(DType::kI64, {count.prompts});
  Tensor prompts(DType::kI64, {count.prompts});
  std::iota(prompts.i64().begin(), prompts.i64().end(), int64_t{0});
  call.inputs["prompt_index"] = std::move(prompts);
  Tensor queries(DType::kI64, {count.prompts, count.masks});
  for (size_t i = 0; i < queries.i64().size(); ++i) {
    queries.i64()[i] = static_cast<int64_t>(i) % count.masks;
  }
  call.inputs["query_index"] = std::move(queries);
  TensorMap inputs;
  for (const auto& [name, tensor] : call.inputs) inputs[name] = &tensor;
  call.outputs = mask_head.run(inputs);
  return call;
}

bool has_one_prompt(const RecordedCall& call) { return call.outputs.begin()->second.dim(0) == 1; }

/// Whether a prompt comes alone or with others follows from how many there are; this adds the kind
/// of call that did not occur. `engine` records into `calls`.
void add_missing_calls(std::vector<RecordedCall>& calls, Engine& engine,
                       const std::string& component, const ReferenceLimits& limits) {
  if (std::ranges::none_of(calls, has_one_prompt)) {
    const Tensors inputs = first_prompt(calls.back().inputs);
    TensorMap map;
    for (const auto& [name, tensor] : inputs) map[name] = &tensor;
    static_cast<void>(engine.run(map));
  }
  // A text that was seen before is not encoded again, so texts can come alone where prompts do not.
  if (component != "text_encoder" || limits.prompts == 1) return;
  if (std::ranges::all_of(calls, has_one_prompt)) {
    const std::vector<RecordedCall> two = {calls.front(), calls.back()};
    calls.push_back(stack_calls(two));
  }
}

}  // namespace

std::vector<Prompt> default_prompts(const Image& image, std::span<const std::string> texts,
                                    const ReferenceLimits& limits) {
  const auto width = static_cast<double>(image.width);
  const auto height = static_cast<double>(image.height);
  const PixelBox wanted = {0.08 * width, 0.08 * height, 0.36 * width, 0.46 * height};
  const PixelBox unwanted = {0.5 * width, 0.5 * height, 0.9 * width, 0.9 * height};
  std::vector<Prompt> prompts;
  for (const std::string& text : texts) prompts.push_back({text, {}});
  prompts.push_back({texts.empty() ? "circle" : texts.front(), {{wanted, true}}});
  prompts.push_back({std::nullopt, {{wanted, true}}});
  if (limits.boxes > 1) prompts.back().boxes.push_back({unwanted, false});
  return prompts;
}

ReferenceRun record_reference(const ModelFiles& files, const EngineLoader& load,
                              std::vector<Image> images, std::span<const std::string> texts,
                              const ReferenceLimits& limits,
                              const std::function<void(int64_t done)>& progress) {
  ReferenceRun run;
  run.images = std::move(images);
  SessionEngines engines = load_engines(files, load);
  Engine& mask_head = engines.at(Component::kMaskHead);
  std::map<std::string, Engine*> recorded;
  for (const Component component : {Component::kVisionEncoder, Component::kTextEncoder,
                                    Component::kGeometryEncoder, Component::kDetector}) {
    const std::string name(name_of(component));
    auto engine = std::make_unique<RecordingEngine>(engines.take(component), run.calls[name]);
    if (component != Component::kVisionEncoder) recorded[name] = engine.get();
    engines.set(component, std::move(engine));
  }
  // One less than there are, where the limits allow it: several come together, and one alone.
  const size_t prompts = default_prompts(run.images.front(), texts, limits).size();
  const auto together = static_cast<size_t>(std::clamp<int64_t>(
      std::max<int64_t>(static_cast<int64_t>(prompts) - 1, 2), 1, limits.prompts));
  const int64_t masks = std::min({kMasks, limits.masks, files.config.num_queries});
  CpuSession session(std::move(engines), Tokenizer::load(files.tokenizer), files.config,
                     files.semantics, {.prompts = together});
  for (const Image& image : run.images) {
    run.prompts.push_back(default_prompts(image, texts, limits));
    run.results.push_back(session.run(image, run.prompts.back(), {}));
    throw_if_failed(run.results.back());
    const RecordedCall& last = run.calls.at("detector").back();
    const RecordedCall alone = {first_prompt(last.inputs), first_prompt(last.outputs)};
    run.calls["mask_head"].push_back(
        mask_head_call(run.calls.at("vision_encoder").back(), alone, mask_head, {1, masks}));
    if (progress) progress(static_cast<int64_t>(run.results.size()));
  }
  const RecordedCall& first = run.calls.at("detector").front();
  const int64_t rows = std::min(limits.mask_prompts, first.outputs.at("pred_logits").dim(0));
  if (rows > 1) {
    run.calls["mask_head"].push_back(
        mask_head_call(run.calls.at("vision_encoder").front(), first, mask_head, {rows, masks}));
  }
  for (const auto& [component, engine] : recorded) {
    add_missing_calls(run.calls.at(component), *engine, component, limits);
  }
  return run;
}

}  // namespace sam3trt
