#include "server/service.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "sam3trt/version.hpp"
#include "segmenter/shared_model.hpp"
#include "server/call_queue.hpp"
#include "server/feature_cache.hpp"
#include "server/image_decoder.hpp"
#include "server/model_worker.hpp"

namespace sam3trt {
namespace {

/// On a GPU two sessions, so that one's host work hides behind the other's kernels.
size_t sessions_of(const Model& model, const ServiceLimits& limits) {
  if (limits.sessions > 0) return limits.sessions;
  return model.backend() == "tensorrt" ? 2 : 1;
}

ModelInfo describe(const Model& model, std::string name, const ServiceLimits& limits,
                   RunHeader header) {
  const SharedModel& loaded = *model.loaded();
  ModelInfo info;
  info.name = std::move(name);
  info.header = std::move(header);
  info.image_size = loaded.config().image_size;
  info.clicks = loaded.can_interact();
  info.video = loaded.can_track() && loaded.config().tracker.has_value();
  info.max_boxes = model.max_boxes();
  info.batch = model.max_images();
  info.version = SAM3TRT_VERSION;
  info.limits = limits;
  return info;
}

void check_count(const std::string& field, size_t count, size_t most) {
  if (count >= 1 && count <= most) return;
  throw HttpError(422, "bad_field",
                  field + ": expected 1 to " + std::to_string(most) + " of them, found " +
                      std::to_string(count),
                  field);
}

}  // namespace

class Service::Impl {
 public:
  Impl(std::vector<Model> models, std::string name, const ServiceLimits& limits, RunHeader header)
      : models_(std::move(models)),
        info_(describe(models_.front(), std::move(name), limits, std::move(header))),
        decoder_(info_.limits, limits.pixel_bytes + limits.cache_bytes),
        cache_(limits.cache_bytes),
        queue_(info_.limits, info_.batch, cache_) {
    for (size_t device = 0; device < models_.size(); ++device) {
      for (size_t i = 0; i < sessions_of(models_[device], limits); ++i) {
        workers_.push_back(
            std::make_unique<ModelWorker>(models_[device], device, queue_, cache_, counts_));
      }
    }
    warming_ = workers_.size();
    for (const auto& worker : workers_) {
      threads_.emplace_back([this, &worker = *worker] {
        if (info_.limits.warm_up) worker.warm_up();
        --warming_;
        worker.run();
      });
    }
  }
  ~Impl() {
    queue_.stop();
    for (std::thread& thread : threads_) thread.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  ServedImage decode(std::string_view file_bytes) {
    const size_t limit = info_.limits.max_file_bytes;
    if (file_bytes.size() > limit) {
      throw HttpError(413, "image_too_large",
                      "the image's file is larger than " + std::to_string(limit >> 20U) + " MiB");
    }
    const CallQueue::Announcement coming(queue_);
    std::string digest = sha256_hex(std::as_bytes(std::span(file_bytes)));
    if (auto kept = cache_.find(digest)) return kept->served;
    const auto begin = std::chrono::steady_clock::now();
    ServedImage served{decoder_.decode(file_bytes), std::move(digest), 0};
    served.decode_ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    return served;
  }

  /// The results, or the first error.
  std::vector<ImageResult> run(std::span<Call> calls, const HttpRequest& request) {
    queue_.run(calls, request.gone);
    std::vector<ImageResult> results;
    for (Call& call : calls) {
      if (call.error) std::rethrow_exception(call.error);
      results.push_back(std::move(call.result));
    }
    return results;
  }

  std::vector<Model> models_;
  ModelInfo info_;
  ImageDecoder decoder_;
  FeatureCache cache_;
  CallQueue queue_;
  WorkCounts counts_;
  std::vector<std::unique_ptr<ModelWorker>> workers_;
  std::vector<std::thread> threads_;
  std::atomic<size_t> warming_ = 0;
  std::atomic<size_t> videos_ = 0;
  std::atomic<size_t> next_device_ = 0;
};

Service::Service(std::vector<Model> models, std::string name, const ServiceLimits& limits,
                 RunHeader header)
    : impl_(std::make_unique<Impl>(std::move(models), std::move(name), limits, std::move(header))) {
}
Service::~Service() = default;

ServedImage Service::decode(std::string_view file_bytes) { return impl_->decode(file_bytes); }

ServedImage Service::image_of(const std::string& digest) {
  if (auto kept = impl_->cache_.find(digest)) {
    kept->served.decode_ms = 0;
    return kept->served;
  }
  throw HttpError(404, "unknown_features",
                  "these features are not kept (any more); send the image again");
}

std::vector<ImageResult> Service::detect(std::span<const ServedImage> images,
                                         std::span<const Prompt> prompts,
                                         const DetectOptions& options, const HttpRequest& request) {
  check_count("prompts", prompts.size(), impl_->info_.limits.max_prompts);
  std::vector<Call> calls(images.size());
  for (size_t i = 0; i < images.size(); ++i) {
    calls[i].kind = Call::Kind::kDetect;
    calls[i].image = images[i];
    calls[i].prompts = prompts;
    calls[i].detect = options;
  }
  return impl_->run(calls, request);
}

ImageResult Service::detect(const ServedImage& image, std::span<const Prompt> prompts,
                            const DetectOptions& options, const HttpRequest& request) {
  return std::move(detect(std::span(&image, 1), prompts, options, request).front());
}

ImageResult Service::interact(const ServedImage& image, std::span<const ObjectPrompt> objects,
                              const InteractOptions& options, const HttpRequest& request) {
  check_count("objects", objects.size(), impl_->info_.limits.max_prompts);
  Call call;
  call.kind = Call::Kind::kInteract;
  call.image = image;
  call.objects = objects;
  call.interact = options;
  return std::move(impl_->run({&call, 1}, request).front());
}

void Service::encode(const ServedImage& image, const HttpRequest& request) {
  Call call;
  call.kind = Call::Kind::kEncode;
  call.image = image;
  static_cast<void>(impl_->run({&call, 1}, request));
}

Service::VideoPlace::~VideoPlace() { --service_->impl_->videos_; }

std::unique_ptr<Service::VideoPlace> Service::take_video_place() {
  Impl& impl = *impl_;
  if (!impl.info_.video) {
    throw HttpError(422, "not_available", "the model of this server does not track videos");
  }
  if (impl.queue_.is_stopped()) throw HttpError(503, "stopping", "the server stops", {}, 1);
  if (impl.videos_.fetch_add(1) >= impl.info_.limits.videos) {
    --impl.videos_;
    throw HttpError(503, "queue_full", "as many videos as may be are tracked already", {}, 10);
  }
  const size_t device = impl.next_device_++ % impl.models_.size();
  return std::make_unique<VideoPlace>(*this, impl.models_[device]);
}

ServiceStats Service::stats() const {
  ServiceStats stats;
  stats.waiting = impl_->queue_.waiting();
  stats.videos = impl_->videos_;
  stats.cache_bytes = impl_->cache_.bytes();
  stats.cache_images = impl_->cache_.images();
  const std::scoped_lock lock(impl_->counts_.mutex);
  stats.cache_hits = impl_->counts_.hits;
  stats.cache_misses = impl_->counts_.misses;
  stats.batches = impl_->counts_.batches;
  return stats;
}

const ModelInfo& Service::info() const { return impl_->info_; }
bool Service::ready() const { return impl_->warming_ == 0 && !impl_->queue_.is_stopped(); }
bool Service::is_stopping() const { return impl_->queue_.is_stopped(); }
void Service::stop() { impl_->queue_.stop(); }

}  // namespace sam3trt
