#include "gpu/gpu_session.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <type_traits>

#include "base/error.hpp"
#include "base/log.hpp"
#include "gpu/gpu_detections.hpp"
#include "gpu/gpu_images.hpp"
#include "gpu/gpu_masks.hpp"
#include "gpu/gpu_stage.hpp"
#include "gpu/gpu_texts.hpp"
#include "runtime/prompt_batch.hpp"
#include "runtime/stage.hpp"

namespace sam3trt {
namespace {

constexpr size_t kKeptTexts = 512;
constexpr int64_t kMaskPlanes = 256;  // of one call of the mask head; bounds memory

/// A prompt on its way through the detector.
struct Row {
  size_t image = 0;  ///< Within the pictures that are on the GPU.
  size_t prompt = 0;
};

/// Masks of one prompt in one call of the mask head.
struct MaskJob {
  size_t row = 0;
  size_t first = 0;  ///< Of the prompt's detections.
  size_t count = 0;
};

/// Throws unless `to` takes `tensor` in the type in which `from` gives it.
void check_joint(const GpuStage& from, const GpuStage& to, const std::string& tensor) {
  const auto given = from.type_of(tensor);
  const auto taken = to.type_of(tensor);
  if (!taken || given == taken) return;
  throw_bad_input(to.name() + " takes " + tensor + " as " + std::string(name_of(*taken)) +
                  ", and " + from.name() + " gives it as " +
                  (given ? std::string(name_of(*given)) : std::string("nothing")) +
                  "; build all parts with the same precision");
}

void check_type(const GpuStage& stage, const std::string& tensor, DType expected) {
  const auto type = stage.type_of(tensor);
  if (!type || *type == expected) return;
  throw_bad_input(stage.name() + ": expected " + tensor + " as " + std::string(name_of(expected)) +
                  ", found " + std::string(name_of(*type)) + "; export and build it again");
}

std::vector<Prompt> prompts_of(std::span<const ImageRequest> requests, std::span<const Row> rows) {
  std::vector<Prompt> prompts;
  for (const Row& row : rows) prompts.push_back(requests[row.image].prompts[row.prompt]);
  return prompts;
}

}  // namespace

class GpuSession::Impl {
 public:
  Impl(const CudaDevice& device, GpuPlans plans, Tokenizer tokenizer, const ModelConfig& config,
       Semantics semantics)
      : device_(device),
        stream_(device),
        kernels_(device),
        uploader_(device),
        activations_(device),
        no_geometry_(device),
        tokenizer_(std::move(tokenizer)),
        config_(config),
        semantics_(semantics),
        vision_("vision_encoder", std::move(plans.vision_encoder), device),
        geometry_("geometry_encoder", std::move(plans.geometry_encoder), device),
        detector_("detector", std::move(plans.detector), device),
        mask_head_("mask_head", std::move(plans.mask_head), device),
        texts_(device, GpuStage("text_encoder", std::move(plans.text_encoder), device), tokenizer_,
               config, semantics, std::max(kKeptTexts, max_prompts())),
        images_(device, kernels_, config, vision_.type_of("pixel_values").value_or(DType::kF32),
                max_images()),
        detections_(device, kernels_, config.num_queries),
        masks_(device, kernels_, semantics) {
    using Joint = std::tuple<const GpuStage&, const GpuStage&, const char*>;
    for (const auto& [from, to, tensor] :
         {Joint{vision_, geometry_, "fpn_feat_2"}, Joint{vision_, detector_, "fpn_feat_2"},
          Joint{vision_, mask_head_, "fpn_feat_0"}, Joint{vision_, mask_head_, "fpn_feat_1"},
          Joint{geometry_, detector_, "geometry_features"},
          Joint{geometry_, mask_head_, "geometry_features"},
          Joint{detector_, mask_head_, "encoder_hidden_states"},
          Joint{detector_, mask_head_, "query_features"}}) {
      check_joint(from, to, tensor);
    }
    check_type(detector_, "text_features", texts_.type());
    check_type(mask_head_, "text_features", texts_.type());
    for (const char* name : {"pred_logits", "pred_boxes", "presence_logits", "prompt_mask"}) {
      check_type(detector_, name, DType::kF32);
    }
    for (const char* name : {"boxes", "box_mask", "pool_y", "pool_x"}) {
      check_type(geometry_, name, DType::kF32);
    }
    check_type(mask_head_, "pred_masks", DType::kF32);
    check_type(mask_head_, "prompt_mask", DType::kF32);
  }

  [[nodiscard]] size_t max_images() const {
    return static_cast<size_t>(
        std::min({vision_.largest("pixel_values", 0), geometry_.largest("fpn_feat_2", 0),
                  detector_.largest("fpn_feat_2", 0), mask_head_.largest("fpn_feat_0", 0)}));
  }

  [[nodiscard]] size_t max_prompts() const {
    return static_cast<size_t>(
        std::min({geometry_.largest("boxes", 0), detector_.largest("text_features", 0),
                  mask_head_.largest("query_features", 0)}));
  }

  [[nodiscard]] bool keep_only_texts(std::span<const Prompt> prompts) {
    for (const Prompt& prompt : prompts) check_prompt(prompt, tokenizer_, config_, semantics_);
    return guarded([&] { return texts_.keep_only(stream_, uploader_, activations_, prompts); });
  }

  [[nodiscard]] std::vector<ImageResult> run(std::span<const ImageRequest> requests,
                                             const Thresholds& thresholds) {
    check(requests, thresholds);
    return guarded([&] {
      std::vector<ImageResult> results;
      for (size_t first = 0; first < requests.size(); first += max_images()) {
        const size_t count = std::min(max_images(), requests.size() - first);
        for (ImageResult& result : run_together(requests.subspan(first, count), thresholds)) {
          results.push_back(std::move(result));
        }
      }
      return results;
    });
  }

 private:
  /// Runs a call. One that fails may leave work in the stream that reads staging memory and writes
  /// device memory; until that is done nothing may be used again, and texts whose features it was
  /// to compute are unknown. So a call ends with an idle stream, also by an exception; where even
  /// waiting fails, the next call waits before anything else, or fails in turn.
  template <typename Work>
  std::invoke_result_t<Work> guarded(const Work& work) {
    device_.make_current();
    if (!idle_) uploader_.wait(stream_);
    idle_ = false;
    try {
      auto result = work();
      texts_.keep_new();
      idle_ = true;
      return result;
    } catch (...) {
      texts_.forget_new();
      try {
        uploader_.wait(stream_);
        idle_ = true;
      } catch (const Error& error) {
        log(LogLevel::kInfo, std::string("waiting after a failure: ") + error.what());
      }
      throw;
    }
  }

  /// All that can be wrong with a call, before anything is queued.
  void check(std::span<const ImageRequest> requests, const Thresholds& thresholds) const {
    check_thresholds(thresholds);
    for (const ImageRequest& request : requests) {
      check_request(request, tokenizer_, config_, semantics_);
      texts_.check(request.prompts);
      const int64_t boxes = box_slots(request.prompts);
      if (boxes <= max_boxes()) continue;
      throw_bad_input("a prompt has " + std::to_string(boxes) +
                      " boxes, and the engines were built for at most " +
                      std::to_string(max_boxes()) + "; build them with a larger --max-boxes");
    }
  }

  /// Of one prompt.
  [[nodiscard]] int64_t max_boxes() const {
    return std::min({geometry_.largest("boxes", 1), detector_.largest("geometry_features", 1) - 1,
                     mask_head_.largest("geometry_features", 1) - 1});
  }

  /// A stretch of the stream's work whose time on the GPU counts for one of the timings.
  struct Stretch {
    Event begin;
    Event end;
    double Timings::*counter = nullptr;
  };

  /// Remembers when the GPU begins and ends what `work` puts into the stream.
  template <typename Work>
  void timed(double Timings::*counter, const Work& work) {
    if (used_stretches_ == stretches_.size()) {
      stretches_.push_back({Event(device_), Event(device_), nullptr});
    }
    Stretch& stretch = stretches_[used_stretches_++];
    stretch.counter = counter;
    stream_.record(stretch.begin);
    work();
    stream_.record(stretch.end);
  }

  /// The times since the last call; the stream's work must be done.
  [[nodiscard]] Timings take_timings() {
    Timings timings;
    for (const Stretch& stretch : std::span(stretches_).first(used_stretches_)) {
      timings.*stretch.counter +=
          static_cast<double>(stretch.end.milliseconds_since(stretch.begin));
    }
    used_stretches_ = 0;
    return timings;
  }

  [[nodiscard]] std::vector<ImageResult> run_together(std::span<const ImageRequest> requests,
                                                      const Thresholds& thresholds) {
    using Milliseconds = std::chrono::duration<double, std::milli>;
    const auto begin = std::chrono::steady_clock::now();
    used_stretches_ = 0;
    std::vector<ImageResult> results;
    std::vector<const Image*> images;
    std::vector<Row> rows;
    for (const ImageRequest& request : requests) {
      for (size_t prompt = 0; prompt < request.prompts.size(); ++prompt) {
        rows.push_back({images.size(), prompt});
      }
      images.push_back(request.image);
      ImageResult& result = results.emplace_back();
      result.width = request.image->width;
      result.height = request.image->height;
      for (const Prompt& prompt : request.prompts) result.prompts.emplace_back().prompt = prompt;
    }
    image_count_ = static_cast<int64_t>(images.size());
    timed(&Timings::preprocess, [&] { images_.load(stream_, uploader_, images); });
    timed(&Timings::vision_encoder, [&] {
      vision_.set_input("pixel_values", {image_count_, 3, config_.image_size, config_.image_size},
                        images_.pixel_values());
      vision_.run(stream_, activations_);
    });
    for (size_t first = 0; first < rows.size(); first += max_prompts()) {
      const auto chunk =
          std::span(rows).subspan(first, std::min(max_prompts(), rows.size() - first));
      detect(requests, chunk, thresholds, results);
    }
    uploader_.wait(stream_);
    Timings timings = take_timings();
    timings.postprocess =
        std::max(0.0, Milliseconds(std::chrono::steady_clock::now() - begin).count() -
                          timings.preprocess - timings.vision_encoder - timings.detector);
    const auto share = static_cast<double>(results.size());
    for (ImageResult& result : results) {
      if (result.error) result.prompts.clear();
      result.timings_ms = {0.0, timings.preprocess / share, timings.vision_encoder / share,
                           timings.detector / share, timings.postprocess / share};
    }
    return results;
  }

  /// Detections and masks of prompts that go through the detector together.
  void detect(std::span<const ImageRequest> requests, std::span<const Row> rows,
              const Thresholds& thresholds, std::vector<ImageResult>& results) {
    const std::vector<Prompt> prompts = prompts_of(requests, rows);
    std::vector<std::array<int64_t, 2>> sizes;
    for (const Row& row : rows)
      sizes.push_back({results[row.image].width, results[row.image].height});
    timed(&Timings::detector, [&] { run_detector(prompts, rows, sizes); });
    const std::vector<PromptDetections> found =
        detections_.run(stream_, uploader_,
                        {detector_.output("pred_logits"), detector_.output("presence_logits"),
                         detector_.output("pred_boxes")},
                        sizes, static_cast<float>(thresholds.score));
    std::vector<MaskJob> jobs;
    const auto most = static_cast<size_t>(mask_head_.largest("query_index", 1));
    for (size_t row = 0; row < rows.size(); ++row) {
      if (!found[row].finite) fail(results[rows[row].image], rows[row].prompt, "detector");
      PromptResult& result = results[rows[row].image].prompts[rows[row].prompt];
      result.presence = found[row].presence;
      for (size_t first = 0; first < found[row].detections.size(); first += most) {
        jobs.push_back({row, first, std::min(most, found[row].detections.size() - first)});
      }
    }
    for (size_t first = 0; first < jobs.size();) {
      const auto chunk = next_jobs(std::span(jobs).subspan(first));
      add_masks(chunk, rows, found, thresholds, results);
      first += chunk.size();
    }
  }

  /// The image has no result; those of others are kept.
  static void fail(ImageResult& image, size_t prompt, const std::string& stage) {
    if (image.error) return;
    const auto& text = image.prompts[prompt].prompt.text;
    const NonFiniteError error("the " + stage + " gave non-finite numbers for " +
                               (text ? "the prompt '" + *text + "'" : "a prompt of boxes"));
    image.error = error.what();
    image.error_code = error.code();
  }

  void run_detector(std::span<const Prompt> prompts, std::span<const Row> rows,
                    std::span<const std::array<int64_t, 2>> sizes) {
    const auto count = static_cast<int64_t>(prompts.size());
    const int64_t d = config_.detector_width;
    const int64_t slots = box_slots(prompts);
    const Shape map = {image_count_, d, config_.grid, config_.grid};
    const DevicePointer text =
        texts_.features(stream_, uploader_, activations_, prompts, max_prompts());
    Tensor image_index(DType::kI64, {count});
    std::ranges::transform(rows, image_index.i64().begin(),
                           [](const Row& row) { return static_cast<int64_t>(row.image); });
    const DevicePointer images = uploader_.upload(stream_, "image_index", image_index);
    const DevicePointer features = vision_.output("fpn_feat_2");
    geometry_shape_ = {count, slots + 1, d};
    if (needs_geometry(prompts, semantics_)) {
      const GeometryInputs inputs = make_geometry_inputs(prompts, sizes, config_);
      geometry_.set_input("fpn_feat_2", map, features);
      geometry_.set_input("image_index", {count}, images);
      for (const auto& [name, tensor] : {std::pair{"boxes", &inputs.boxes},
                                         {"box_labels", &inputs.box_labels},
                                         {"box_mask", &inputs.box_mask},
                                         {"pool_y", &inputs.pool_y},
                                         {"pool_x", &inputs.pool_x}}) {
        geometry_.set_input(name, tensor->shape(), uploader_.upload(stream_, name, *tensor));
      }
      geometry_.run(stream_, activations_);
      geometry_features_ = geometry_.output("geometry_features");
    } else {
      const size_t bytes = static_cast<size_t>(element_count(geometry_shape_)) * sizeof(float);
      no_geometry_.grow(stream_, bytes);
      fill_bytes(stream_, no_geometry_.data(), std::byte{0}, bytes);
      geometry_features_ = no_geometry_.data();
    }
    text_features_ = text;
    const Tensor mask = make_prompt_mask(prompts, texts_.masks(prompts), semantics_);
    prompt_mask_shape_ = mask.shape();
    prompt_mask_ = uploader_.upload(stream_, "prompt_mask", mask);
    detector_.set_input("fpn_feat_2", map, features);
    detector_.set_input("image_index", {count}, images);
    set_prompt_inputs(detector_, count);
    detector_.run(stream_, activations_);
  }

  void set_prompt_inputs(GpuStage& stage, int64_t count) const {
    stage.set_input("text_features", {count, config_.context_length, config_.detector_width},
                    text_features_);
    stage.set_input("geometry_features", geometry_shape_, geometry_features_);
    stage.set_input("prompt_mask", prompt_mask_shape_, prompt_mask_);
  }

  /// Slots of a call: a power of two, so that few shapes occur.
  [[nodiscard]] int64_t slots_for(size_t count) const {
    const auto rounded = static_cast<int64_t>(std::bit_ceil(count));
    return std::min(rounded, mask_head_.largest("query_index", 1));
  }

  /// The first jobs that go through the mask head together.
  [[nodiscard]] std::span<const MaskJob> next_jobs(std::span<const MaskJob> jobs) const {
    const auto most = static_cast<size_t>(mask_head_.largest("query_index", 0));
    int64_t slots = slots_for(jobs.front().count);
    size_t end = 1;
    while (end < jobs.size() && end < most) {
      const int64_t wanted = std::max(slots, slots_for(jobs[end].count));
      if (wanted * static_cast<int64_t>(end + 1) > kMaskPlanes) break;
      slots = wanted;
      ++end;
    }
    return jobs.first(end);
  }

  void add_masks(std::span<const MaskJob> jobs, std::span<const Row> rows,
                 std::span<const PromptDetections> found, const Thresholds& thresholds,
                 std::vector<ImageResult>& results) {
    const auto count = static_cast<int64_t>(jobs.size());
    int64_t slots = 1;
    for (const MaskJob& job : jobs) slots = std::max(slots, slots_for(job.count));
    Tensor prompt_index(DType::kI64, {count});
    Tensor image_index(DType::kI64, {count});
    Tensor query_index(DType::kI64, {count, slots});
    std::vector<MaskRequest> requests;
    for (size_t i = 0; i < jobs.size(); ++i) {
      const MaskJob& job = jobs[i];
      prompt_index.i64()[i] = static_cast<int64_t>(job.row);
      image_index.i64()[i] = static_cast<int64_t>(rows[job.row].image);
      const ImageResult& image = results[rows[job.row].image];
      for (size_t m = 0; m < job.count; ++m) {
        const size_t plane = i * static_cast<size_t>(slots) + m;
        query_index.i64()[plane] = found[job.row].detections[job.first + m].query;
        requests.push_back({plane, image.height, image.width});
      }
    }
    timed(&Timings::detector, [&] { run_mask_head(prompt_index, image_index, query_index, rows); });
    std::vector<RunLengths> masks =
        masks_.run(stream_, uploader_, mask_head_.output("pred_masks"), count * slots,
                   4 * config_.grid, requests, static_cast<float>(thresholds.mask));
    auto mask = masks.begin();
    for (const MaskJob& job : jobs) {
      ImageResult& image = results[rows[job.row].image];
      auto& instances = image.prompts[rows[job.row].prompt].instances;
      for (size_t m = 0; m < job.count; ++m, ++mask) {
        if (!mask->finite) fail(image, rows[job.row].prompt, "mask_head");
        const Detection& detection = found[job.row].detections[job.first + m];
        instances.push_back(
            {detection.score, detection.query, detection.box, mask->area, std::move(mask->counts)});
      }
    }
  }

  void run_mask_head(const Tensor& prompt_index, const Tensor& image_index,
                     const Tensor& query_index, std::span<const Row> rows) {
    const auto prompts = static_cast<int64_t>(rows.size());
    const int64_t d = config_.detector_width;
    const int64_t g = config_.grid;
    GpuStage& stage = mask_head_;
    stage.set_input("fpn_feat_0", {image_count_, d, 4 * g, 4 * g}, vision_.output("fpn_feat_0"));
    stage.set_input("fpn_feat_1", {image_count_, d, 2 * g, 2 * g}, vision_.output("fpn_feat_1"));
    stage.set_input("encoder_hidden_states", {prompts, g * g, d},
                    detector_.output("encoder_hidden_states"));
    set_prompt_inputs(stage, prompts);
    stage.set_input("query_features", {prompts, config_.num_queries, d},
                    detector_.output("query_features"));
    for (const auto& [name, tensor] : {std::pair{"prompt_index", &prompt_index},
                                       {"image_index", &image_index},
                                       {"query_index", &query_index}}) {
      stage.set_input(name, tensor->shape(),
                      uploader_.upload(stream_, std::string("mask_") + name, *tensor));
    }
    stage.run(stream_, activations_);
  }

  const CudaDevice& device_;
  Stream stream_;
  KernelLibrary kernels_;
  Uploader uploader_;
  DeviceBuffer activations_;
  DeviceBuffer no_geometry_;
  Tokenizer tokenizer_;
  ModelConfig config_;
  Semantics semantics_;
  GpuStage vision_;
  GpuStage geometry_;
  GpuStage detector_;
  GpuStage mask_head_;
  GpuTexts texts_;
  GpuImages images_;
  GpuDetections detections_;
  GpuMasks masks_;
  bool idle_ = true;  ///< Nothing of an earlier call is left in the stream.
  std::vector<Stretch> stretches_;
  size_t used_stretches_ = 0;

  // Of the pictures and prompts that are being worked on.
  int64_t image_count_ = 0;
  Shape geometry_shape_;
  Shape prompt_mask_shape_;
  DevicePointer geometry_features_ = 0;
  DevicePointer text_features_ = 0;
  DevicePointer prompt_mask_ = 0;
};

GpuSession::GpuSession(const CudaDevice& device, GpuPlans plans, Tokenizer tokenizer,
                       const ModelConfig& config, Semantics semantics)
    : impl_(std::make_unique<Impl>(device, std::move(plans), std::move(tokenizer), config,
                                   semantics)) {}
GpuSession::~GpuSession() = default;
GpuSession::GpuSession(GpuSession&&) noexcept = default;
GpuSession& GpuSession::operator=(GpuSession&&) noexcept = default;

size_t GpuSession::max_images() const { return impl_->max_images(); }
size_t GpuSession::max_prompts() const { return impl_->max_prompts(); }

bool GpuSession::keep_only_texts(std::span<const Prompt> prompts) {
  return impl_->keep_only_texts(prompts);
}

std::vector<ImageResult> GpuSession::run(std::span<const ImageRequest> requests,
                                         const Thresholds& thresholds) {
  return impl_->run(requests, thresholds);
}

}  // namespace sam3trt
