#include "runtime/pipeline.hpp"

#include <algorithm>
#include <chrono>

#include "base/error.hpp"
#include "base/log.hpp"
#include "runtime/result.hpp"
#include "runtime/stage.hpp"

namespace sam3trt {
namespace {

constexpr int64_t kMaskPlanes = 256;  // of one call of the mask head; bounds memory

/// A result for each image, with its prompts and without anything found.
std::vector<ImageResult> empty_results(std::span<const ImagePrompts> images) {
  std::vector<ImageResult> results;
  for (const ImagePrompts& image : images) {
    ImageResult& result = results.emplace_back();
    result.width = image.size[0];
    result.height = image.size[1];
    for (const Prompt& prompt : image.prompts) result.prompts.emplace_back().prompt = prompt;
  }
  return results;
}

/// The image has no result; those of others are kept.
void fail(ImageResult& image, size_t prompt, Component component) {
  const auto& text = image.prompts[prompt].prompt.text;
  set_error(image, NonFiniteError("the " + std::string(name_of(component)) +
                                  " gave non-finite numbers for " +
                                  (text ? "the prompt '" + *text + "'" : "a prompt of boxes")));
}

}  // namespace

/// Masks of one prompt in one call of the mask head.
struct Pipeline::MaskJob {
  size_t row = 0;
  size_t first = 0;  ///< Of the prompt's detections.
  size_t count = 0;
};

void throw_without(Component component, const std::string& how) {
  throw_bad_input("the model has no " + std::string(name_of(component)) +
                  ", which clicks and videos need; " + how);
}

const char* masks_of(Component component) {
  return component == Component::kMaskHead ? "pred_masks" : "sam_masks";
}

AxisSizes model_sizes(const ModelConfig& config) {
  AxisSizes sizes = {
      {"S", config.image_size},     {"g", config.grid},           {"N", config.grid * config.grid},
      {"D", config.detector_width}, {"L", config.context_length}, {"Q", config.num_queries},
      {"r", config.roi_size}};
  if (config.tracker) {
    sizes["H"] = config.tracker->vision_width;
    sizes["C"] = config.tracker->width;
    sizes["U"] = config.tracker->width / 8;
    sizes["V"] = config.tracker->width / 4;
    sizes["X"] = config.tracker->memory_channels;
    sizes["m"] = config.tracker->mask_tokens;
    sizes["Y"] =
        config.tracker->mask_prompt_size > 0 ? config.tracker->mask_prompt_size : config.image_size;
  }
  return sizes;
}

Pipeline::Pipeline(std::unique_ptr<Backend> backend, const Tokenizer& tokenizer,
                   const ModelConfig& config, Semantics semantics)
    : backend_(std::move(backend)),
      tokenizer_(tokenizer),
      config_(config),
      semantics_(semantics),
      limits_(backend_->limits()),
      sizes_(model_sizes(config)) {}

AxisSizes Pipeline::sizes_with(std::initializer_list<AxisSizes::value_type> more) const {
  AxisSizes sizes = sizes_;
  sizes.insert(more);
  return sizes;
}

template <typename Work>
auto Pipeline::guarded(const Work& work) {
  backend_->begin();
  try {
    auto result = work();
    backend_->end();
    return result;
  } catch (...) {
    backend_->recover();
    throw;
  }
}

std::vector<ImageResult> Pipeline::run(std::span<const ImageRequest> requests,
                                       const DetectOptions& options) {
  check_thresholds(options.thresholds);
  std::vector<ImagePrompts> images;
  std::vector<ImageView> views;
  for (const ImageRequest& request : requests) {
    check_image(request.image);
    backend_->check(request.image);
    views.push_back(request.image);
    images.push_back({{request.image.width, request.image.height}, request.prompts});
  }
  const PreparedCall call = prepare_call(images, limits_, tokenizer_, config_, semantics_);
  backend_->check(call, options.masks);
  warn_of(call);
  return guarded([&] {
    std::vector<ImageResult> results = empty_results(images);
    for (const ImageGroup& group : call.groups) {
      run_group(group, call, options, std::span(results).subspan(group.first, group.count),
                [&] { encode_group(std::span(views).subspan(group.first, group.count)); });
    }
    return results;
  });
}

EncodedImages Pipeline::encode(std::span<const ImageView> images) {
  if (images.empty() || images.size() > limits_.images) {
    throw_bad_input(std::to_string(images.size()) +
                    " images are to be encoded together; expected 1 to " +
                    std::to_string(limits_.images));
  }
  EncodedImages encoded;
  for (const ImageView& image : images) {
    check_image(image);
    backend_->check(image);
    encoded.sizes.push_back({image.width, image.height});
  }
  encoded.store = guarded([&] {
    encode_group(images);
    std::unique_ptr<FeatureStore> store = backend_->keep_features();
    backend_->wait();
    encoded.timings = backend_->take_timings();
    return store;
  });
  return encoded;
}

std::vector<ImageResult> Pipeline::detect(const EncodedImages& features,
                                          std::span<const std::span<const Prompt>> prompts,
                                          const DetectOptions& options) {
  check_thresholds(options.thresholds);
  if (prompts.size() != features.sizes.size()) {
    throw_bad_input("the features are those of " + std::to_string(features.sizes.size()) +
                    " images, and there are " + std::to_string(prompts.size()) +
                    " lists of prompts; expected one for each image");
  }
  std::vector<ImagePrompts> images;
  for (size_t i = 0; i < prompts.size(); ++i) images.push_back({features.sizes[i], prompts[i]});
  const PreparedCall call = prepare_call(images, limits_, tokenizer_, config_, semantics_);
  backend_->check(call, options.masks);
  warn_of(call);
  return guarded([&] {
    std::vector<ImageResult> results = empty_results(images);
    run_group(call.groups.front(), call, options, results, [&] {
      images_ = static_cast<int64_t>(images.size());
      backend_->use_features(*features.store);
    });
    return results;
  });
}

bool Pipeline::keep_only_texts(std::span<const Prompt> prompts) {
  const PreparedCall texts = prepare_texts(prompts, tokenizer_, config_, semantics_);
  warn_of(texts);
  return guarded([&] { return backend_->keep_only_texts(texts); });
}

Timings Pipeline::with_features(const EncodedImages& features,
                                const std::function<void(Backend& backend)>& work) {
  return guarded([&] {
    backend_->use_features(*features.store);
    work(*backend_);
    backend_->wait();
    return backend_->take_timings();
  });
}

void Pipeline::warn_of(const PreparedCall& call) {
  constexpr size_t kRemembered = 1024;
  if (warnings_.size() > kRemembered) warnings_.clear();
  for (const auto& [text, prepared] : call.texts) {
    if (prepared.warning.empty() || !warnings_.insert(prepared.warning).second) continue;
    log(LogLevel::kWarning, prepared.warning);
  }
}

void Pipeline::encode_group(std::span<const ImageView> images) {
  images_ = static_cast<int64_t>(images.size());
  backend_->timed(&Timings::preprocess, [&] { backend_->load_images(images); });
  backend_->timed(&Timings::vision_encoder, [&] {
    backend_->run(Component::kVisionEncoder, sizes_with({{"B", images_}}));
  });
}

/// Numbers that are not finite are an error of the image where it is known, and of all images of
/// the group where it is not; results of other groups are kept either way.
template <typename Encode>
void Pipeline::run_group(const ImageGroup& group, const PreparedCall& call,
                         const DetectOptions& options, Results results, const Encode& encode) {
  using Milliseconds = std::chrono::duration<double, std::milli>;
  const auto begin = std::chrono::steady_clock::now();
  try {
    encode();
    for (const PromptBatch& batch : group.batches) detect_batch(batch, call, options, results);
  } catch (const NonFiniteError& error) {
    for (ImageResult& result : results) set_error(result, error);
  }
  backend_->wait();
  Timings timings = backend_->take_timings();
  timings.postprocess =
      std::max(0.0, Milliseconds(std::chrono::steady_clock::now() - begin).count() -
                        timings.preprocess - timings.vision_encoder - timings.detector);
  const auto share = static_cast<double>(results.size());
  for (ImageResult& result : results) {
    if (result.error) result.prompts.clear();
    result.timings_ms = {0.0, timings.preprocess / share, timings.vision_encoder / share,
                         timings.detector / share, timings.postprocess / share};
  }
}

void Pipeline::detect_batch(const PromptBatch& batch, const PreparedCall& call,
                            const DetectOptions& options, Results results) {
  std::vector<std::array<int64_t, 2>> sizes;
  for (const PromptRow& row : batch.rows) sizes.push_back(row.size);
  backend_->timed(&Timings::detector, [&] { run_detector(batch, call); });
  const std::vector<PromptDetections> found =
      backend_->detections(sizes, static_cast<float>(options.thresholds.score));
  std::vector<MaskJob> jobs;
  for (size_t row = 0; row < batch.rows.size(); ++row) {
    const auto& [image, prompt, text, size] = batch.rows[row];
    if (!found[row].finite) fail(results[image], prompt, Component::kDetector);
    results[image].prompts[prompt].presence = found[row].presence;
    const size_t count = found[row].detections.size();
    for (size_t first = 0; first < count; first += limits_.masks) {
      jobs.push_back({row, first, std::min(limits_.masks, count - first)});
    }
  }
  for (size_t first = 0; first < jobs.size();) {
    const auto chunk = next_jobs(std::span(jobs).subspan(first));
    add_masks(chunk, batch, found, options, results);
    first += chunk.size();
  }
}

void Pipeline::run_detector(const PromptBatch& batch, const PreparedCall& call) {
  const auto prompts = static_cast<int64_t>(batch.rows.size());
  const AxisSizes sizes = sizes_with({{"B", images_}, {"P", prompts}, {"K", batch.box_slots}});
  backend_->put_texts(batch, call);
  for (const auto& [name, tensor] : batch.inputs) backend_->put(Component::kDetector, name, tensor);
  if (batch.needs_geometry) {
    backend_->run(Component::kGeometryEncoder, sizes);
  } else {
    backend_->put_zeros("geometry_features",
                        {prompts, batch.box_slots + 1, config_.detector_width});
  }
  backend_->run(Component::kDetector, sizes);
}

/// The first jobs that go through the mask head together.
std::span<const Pipeline::MaskJob> Pipeline::next_jobs(std::span<const MaskJob> jobs) const {
  int64_t slots = backend_->mask_slots(jobs.front().count);
  size_t end = 1;
  while (end < jobs.size() && end < limits_.mask_prompts) {
    const int64_t wanted = std::max(slots, backend_->mask_slots(jobs[end].count));
    if (wanted * static_cast<int64_t>(end + 1) > kMaskPlanes) break;
    slots = wanted;
    ++end;
  }
  return jobs.first(end);
}

void Pipeline::add_masks(std::span<const MaskJob> jobs, const PromptBatch& batch,
                         std::span<const PromptDetections> found, const DetectOptions& options,
                         Results results) {
  const auto count = static_cast<int64_t>(jobs.size());
  int64_t slots = 1;
  for (const MaskJob& job : jobs) slots = std::max(slots, backend_->mask_slots(job.count));
  Tensor prompt_index(DType::kI64, {count});
  Tensor image_index(DType::kI64, {count});
  Tensor query_index(DType::kI64, {count, slots});
  std::vector<MaskPlane> wanted;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const PromptRow& row = batch.rows[jobs[i].row];
    prompt_index.i64()[i] = static_cast<int64_t>(jobs[i].row);
    image_index.i64()[i] = static_cast<int64_t>(row.image);
    for (size_t m = 0; m < jobs[i].count; ++m) {
      const size_t plane = i * static_cast<size_t>(slots) + m;
      query_index.i64()[plane] = found[jobs[i].row].detections[jobs[i].first + m].query;
      wanted.push_back({plane, row.size[1], row.size[0]});
    }
  }
  backend_->timed(&Timings::detector, [&] {
    backend_->put(Component::kMaskHead, "prompt_index", prompt_index);
    backend_->put(Component::kMaskHead, "image_index", image_index);
    backend_->put(Component::kMaskHead, "query_index", query_index);
    backend_->run(Component::kMaskHead, sizes_with({{"R", count}, {"M", slots}}));
  });
  std::vector<FoundMask> masks =
      backend_->masks(wanted, count * slots, 4 * config_.grid,
                      static_cast<float>(options.thresholds.mask), options.masks);
  auto mask = masks.begin();
  for (const MaskJob& job : jobs) {
    const PromptRow& row = batch.rows[job.row];
    ImageResult& image = results[row.image];
    for (size_t m = 0; m < job.count; ++m, ++mask) {
      if (!mask->finite) fail(image, row.prompt, Component::kMaskHead);
      const Detection& detection = found[job.row].detections[job.first + m];
      image.prompts[row.prompt].instances.push_back(
          {detection.score, detection.query, detection.box, mask->area, std::move(mask->counts),
           std::move(mask->bits)});
    }
  }
}

}  // namespace sam3trt
