#include "runtime/session.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "base/error.hpp"
#include "image/resize.hpp"
#include "image/rle.hpp"
#include "runtime/postprocess.hpp"
#include "runtime/prompt_batch.hpp"
#include "runtime/stage.hpp"

namespace sam3trt {
namespace {

using Tensors = std::map<std::string, Tensor>;

/// Adds the milliseconds of its lifetime to a counter.
class Stopwatch {
 public:
  explicit Stopwatch(double& milliseconds) : milliseconds_(milliseconds) {}
  ~Stopwatch() {
    using Milliseconds = std::chrono::duration<double, std::milli>;
    milliseconds_ += Milliseconds(std::chrono::steady_clock::now() - start_).count();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& milliseconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Row `index` of a tensor whose first axis counts rows.
std::span<const float> row_of(const Tensor& tensor, int64_t index) {
  const size_t size = tensor.f32().size() / static_cast<size_t>(tensor.dim(0));
  return tensor.f32().subspan(static_cast<size_t>(index) * size, size);
}

}  // namespace

/// Prompts that went through the detector together, and all that the mask head needs of them.
struct Session::Batch {
  Tensor text_features;
  Tensor geometry_features;
  Tensor prompt_mask;
  Tensors outputs;  ///< Of the detector.
};

SessionEngines load_engines(const ModelFiles& files, const EngineLoader& load) {
  return {load(files.at(Component::kVisionEncoder)), load(files.at(Component::kTextEncoder)),
          load(files.at(Component::kGeometryEncoder)), load(files.at(Component::kDetector)),
          load(files.at(Component::kMaskHead))};
}

Session::Session(SessionEngines engines, Tokenizer tokenizer, const ModelConfig& config,
                 Semantics semantics, SessionLimits limits)
    : engines_(std::move(engines)),
      tokenizer_(std::move(tokenizer)),
      config_(config),
      semantics_(semantics),
      limits_(limits) {}

ImageResult Session::run(const Image& image, std::span<const Prompt> prompts,
                         const Thresholds& thresholds) {
  check_thresholds(thresholds);
  check_request({&image, prompts}, tokenizer_, config_, semantics_);
  ImageResult result;
  result.width = image.width;
  result.height = image.height;
  try {
    run_checked(image, prompts, thresholds, result);
  } catch (const NonFiniteError& error) {
    result.prompts.clear();
    result.error = error.what();
    result.error_code = error.code();
  }
  return result;
}

std::vector<ImageResult> Session::run(std::span<const ImageRequest> requests,
                                      const Thresholds& thresholds) {
  for (const ImageRequest& request : requests)
    check_request(request, tokenizer_, config_, semantics_);
  std::vector<ImageResult> results;
  for (const ImageRequest& request : requests) {
    results.push_back(run(*request.image, request.prompts, thresholds));
  }
  return results;
}

void Session::run_checked(const Image& image, std::span<const Prompt> prompts,
                          const Thresholds& thresholds, ImageResult& result) {
  Tensor pixels;
  {
    const Stopwatch watch(result.timings_ms.preprocess);
    pixels = to_pixel_values(resize_antialias(image, config_.image_size, config_.image_size),
                             config_.rescale_factor, config_.image_mean, config_.image_std);
  }
  Tensors features;
  {
    const Stopwatch watch(result.timings_ms.vision_encoder);
    const int64_t d = config_.detector_width;
    const int64_t g = config_.grid;
    const std::vector<StageOutput> outputs = {{"fpn_feat_0", {1, d, 4 * g, 4 * g}},
                                              {"fpn_feat_1", {1, d, 2 * g, 2 * g}},
                                              {"fpn_feat_2", {1, d, g, g}}};
    features =
        run_stage(*engines_.vision_encoder, "vision_encoder", {{"pixel_values", &pixels}}, outputs);
  }
  for (size_t first = 0; first < prompts.size(); first += limits_.prompts) {
    const auto chunk = prompts.subspan(first, std::min(limits_.prompts, prompts.size() - first));
    Batch batch;
    {
      const Stopwatch watch(result.timings_ms.detector);
      batch = detect(chunk, image, features);
    }
    for (size_t row = 0; row < chunk.size(); ++row) {
      PromptResult& prompt = result.prompts.emplace_back();
      prompt.prompt = chunk[row];
      add_masks(prompt, static_cast<int64_t>(row), batch, thresholds, features, result);
    }
  }
}

void Session::encode_texts(std::span<const Prompt> prompts) {
  if (texts_.size() + prompts.size() > limits_.texts) texts_.clear();
  std::vector<std::string> fresh;
  for (const Prompt& prompt : prompts) {
    const std::string text(effective_text(prompt));
    if (texts_.contains(text) || std::ranges::find(fresh, text) != fresh.end()) continue;
    fresh.push_back(text);
  }
  if (fresh.empty()) return;
  const auto rows = static_cast<int64_t>(fresh.size());
  const auto context = static_cast<size_t>(config_.context_length);
  Tensor ids(DType::kI64, {rows, config_.context_length});
  std::vector<std::vector<float>> masks;
  for (size_t row = 0; row < fresh.size(); ++row) {
    EncodedText encoded = encode_text(fresh[row], tokenizer_, config_, semantics_);
    std::ranges::copy(encoded.ids, ids.i64().subspan(row * context).begin());
    masks.push_back(std::move(encoded.mask));
  }
  const std::vector<StageOutput> outputs = {
      {"text_features", {rows, config_.context_length, config_.detector_width}}};
  const Tensors tensors =
      run_stage(*engines_.text_encoder, "text_encoder", {{"input_ids", &ids}}, outputs);
  for (int64_t row = 0; row < rows; ++row) {
    const auto features = row_of(tensors.at("text_features"), row);
    texts_[fresh[static_cast<size_t>(row)]] = {{features.begin(), features.end()},
                                               masks[static_cast<size_t>(row)]};
  }
}

Session::Batch Session::detect(std::span<const Prompt> prompts, const Image& image,
                               const Tensors& features) {
  encode_texts(prompts);
  const auto rows = static_cast<int64_t>(prompts.size());
  const int64_t slots = box_slots(prompts);
  const int64_t d = config_.detector_width;
  Batch batch;
  batch.text_features = Tensor(DType::kF32, {rows, config_.context_length, d});
  std::vector<std::vector<float>> masks;
  auto target = batch.text_features.f32().begin();
  for (const Prompt& prompt : prompts) {
    const TextEmbedding& text = texts_.find(effective_text(prompt))->second;
    target = std::ranges::copy(text.features, target).out;
    masks.push_back(text.mask);
  }
  batch.prompt_mask = make_prompt_mask(prompts, masks, semantics_);

  const Tensor& map = features.at("fpn_feat_2");
  const Tensor image_index(DType::kI64, {rows});
  batch.geometry_features = Tensor(DType::kF32, {rows, slots + 1, d});
  if (needs_geometry(prompts, semantics_)) {
    const std::vector<std::array<int64_t, 2>> sizes(prompts.size(), {image.width, image.height});
    const GeometryInputs boxes = make_geometry_inputs(prompts, sizes, config_);
    const std::vector<StageOutput> outputs = {{"geometry_features", {rows, slots + 1, d}}};
    Tensors geometry = run_stage(*engines_.geometry_encoder, "geometry_encoder",
                                 {{"fpn_feat_2", &map},
                                  {"image_index", &image_index},
                                  {"boxes", &boxes.boxes},
                                  {"box_labels", &boxes.box_labels},
                                  {"box_mask", &boxes.box_mask},
                                  {"pool_y", &boxes.pool_y},
                                  {"pool_x", &boxes.pool_x}},
                                 outputs);
    batch.geometry_features = std::move(geometry.at("geometry_features"));
  }
  const std::vector<StageOutput> outputs = {
      {"pred_logits", {rows, config_.num_queries}},
      {"pred_boxes", {rows, config_.num_queries, 4}},
      {"presence_logits", {rows, 1}},
      {"query_features", {rows, config_.num_queries, d}},
      {"encoder_hidden_states", {rows, config_.grid * config_.grid, d}}};
  batch.outputs = run_stage(*engines_.detector, "detector",
                            {{"fpn_feat_2", &map},
                             {"image_index", &image_index},
                             {"text_features", &batch.text_features},
                             {"geometry_features", &batch.geometry_features},
                             {"prompt_mask", &batch.prompt_mask}},
                            outputs);
  return batch;
}

void Session::add_masks(PromptResult& result, int64_t row, const Batch& batch,
                        const Thresholds& thresholds, const Tensors& features, ImageResult& image) {
  const PromptLogits logits{row_of(batch.outputs.at("pred_logits"), row),
                            row_of(batch.outputs.at("presence_logits"), row).front(),
                            row_of(batch.outputs.at("pred_boxes"), row)};
  result.presence = sigmoid(logits.presence);
  const auto detections =
      select_detections(logits, static_cast<float>(thresholds.score), image.width, image.height);
  const int64_t side = 4 * config_.grid;
  for (size_t first = 0; first < detections.size(); first += limits_.masks) {
    const auto chunk =
        std::span(detections).subspan(first, std::min(limits_.masks, detections.size() - first));
    const auto count = static_cast<int64_t>(chunk.size());
    const Tensor prompt_index = Tensor::from_i64({1}, std::vector{row});
    const Tensor image_index(DType::kI64, {1});
    Tensor query_index(DType::kI64, {1, count});
    std::ranges::transform(chunk, query_index.i64().begin(), &Detection::query);
    Tensors masks;
    {
      const Stopwatch watch(image.timings_ms.detector);
      const std::vector<StageOutput> outputs = {{"pred_masks", {1, count, side, side}}};
      masks = run_stage(*engines_.mask_head, "mask_head",
                        {{"fpn_feat_0", &features.at("fpn_feat_0")},
                         {"fpn_feat_1", &features.at("fpn_feat_1")},
                         {"encoder_hidden_states", &batch.outputs.at("encoder_hidden_states")},
                         {"text_features", &batch.text_features},
                         {"geometry_features", &batch.geometry_features},
                         {"prompt_mask", &batch.prompt_mask},
                         {"query_features", &batch.outputs.at("query_features")},
                         {"prompt_index", &prompt_index},
                         {"image_index", &image_index},
                         {"query_index", &query_index}},
                        outputs);
    }
    const Stopwatch watch(image.timings_ms.postprocess);
    const auto area = static_cast<size_t>(side * side);
    for (size_t i = 0; i < chunk.size(); ++i) {
      const auto mask =
          binary_mask(masks.at("pred_masks").f32().subspan(i * area, area), side, image.width,
                      image.height, semantics_, static_cast<float>(thresholds.mask));
      result.instances.push_back({chunk[i].score, chunk[i].query, chunk[i].box,
                                  std::accumulate(mask.begin(), mask.end(), int64_t{0}),
                                  rle_counts(mask, image.height, image.width)});
    }
  }
}

}  // namespace sam3trt
